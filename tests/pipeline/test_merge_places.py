"""Folders of slides that somebody copied, renamed, or moved to another disk and linked."""

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from folder_fakes import read_rows, run, tree, unfinished

from gloinone.cli.main import program
from gloinone.pipeline.edited import written_files
from gloinone.pipeline.merge import merge
from gloinone.pipeline.state import file_sha256
from gloinone.pipeline.watching import Watch

pytestmark = pytest.mark.usefixtures("unflushed")

TABLES = ("summary.csv", "glomeruli.csv", "pieces.csv", "cores.csv", "patients.csv")


@pytest.fixture
def out(slides: Path, tmp_path: Path) -> Path:
    run(slides, tmp_path / "out")
    return tmp_path / "out"


def tables(out: Path) -> dict[str, bytes]:
    return {name: (out / name).read_bytes() for name in TABLES}


@pytest.mark.parametrize("copy", ["a.svs - Kopie", "backup/a.svs", "b/a.svs", "a.svs/old"])
def test_a_copied_folder_counts_once(
    copy: str, out: Path, slides: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = tables(out)
    shutil.copytree(out / "slides/a.svs", out / "slides" / copy)
    merged = CliRunner().invoke(program, ["merge", str(out)])
    assert merged.exit_code == 0
    assert tables(out) == before
    warning = (
        f"{out / 'slides' / copy}: left out: holds results of a.svs, whose place is {out / 'slides/a.svs'}"
    )
    assert merged.stderr.startswith(f"warning: {warning}; if it is a copy move it out of {out}, ")
    assert Watch(out).look().counts == {"done": 3}
    assert file_sha256(out / "slides" / copy / "a.xml") in written_files(out)["a.svs"], "nobody edited it"
    caplog.clear()
    run(slides, out)
    assert tables(out) == before
    assert "earlier runs" not in caplog.text, "no rows of it stay"


def test_a_renamed_folder_is_left_out_until_it_has_its_name_again(
    out: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = tables(out)
    renamed = (out / "slides/a.svs").rename(out / "slides/x.svs")
    merge(out)
    assert [row["slide"] for row in read_rows(out / "summary.csv")] == ["a.tif", "b/c.tif"]
    assert f"{renamed}: left out: holds results of a.svs" in caplog.text
    renamed.rename(out / "slides/a.svs")
    merge(out)
    assert tables(out) == before


@pytest.mark.parametrize("moved", ["a.svs", "b"])
def test_a_folder_that_was_moved_and_linked_still_counts(
    moved: str, out: Path, slides: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before, disk = tree(out), tmp_path / "disk"
    shutil.move(out / "slides" / moved, disk)
    (out / "slides" / moved).symlink_to(disk)
    assert merge(out) == ["done"] * 3
    assert tables(out) == {name: before[name] for name in TABLES}
    assert Watch(out).look().counts == {"done": 3}
    run(slides, out)
    assert tables(out) == {name: before[name] for name in TABLES}
    assert not caplog.records


def test_links_in_a_circle_and_second_names_end_and_count_once(
    out: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before, disk = tables(out), tmp_path / "disk"
    shutil.move(out / "slides/b", disk)
    (out / "slides/b").symlink_to(disk)
    (disk / "up").symlink_to(out / "slides")
    (disk / "self").symlink_to(disk)
    (out / "slides/0").symlink_to(out / "slides/a.svs")
    (out / "slides/gone").symlink_to(tmp_path / "gone")
    merge(out)
    assert tables(out) == before
    assert not caplog.records


def test_a_slide_that_was_moved_and_linked_is_done_again_in_out(
    out: Path, slides: Path, tmp_path: Path
) -> None:
    before, disk = tree(out), tmp_path / "disk"
    shutil.move(out / "slides/a.svs", disk)
    (out / "slides/a.svs").symlink_to(disk)
    run(slides, out, overwrite=True)
    assert tree(out) == before
    assert not (out / "slides/a.svs").is_symlink()
    assert (disk / "a.xml").is_file(), "what lies on the other disk is not ours to remove"
    assert not unfinished(out)
