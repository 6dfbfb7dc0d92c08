"""gloinone export on the command line: what it says, and its exit status."""

from pathlib import Path

import pytest
from click.testing import CliRunner
from folder_fakes import read_rows, write_slide_file
from threshold_method import run_at

from gloinone.cli.export import FORMATS, command
from gloinone.cli.main import program
from gloinone.pipeline.further_formats import Format


@pytest.fixture
def out(tmp_path: Path) -> Path:
    write_slide_file(tmp_path / "in/a.svs")
    assert run_at(tmp_path / "in", tmp_path / "out").exit_status == 0
    return tmp_path / "out"


def test_it_says_what_it_did(out: Path) -> None:
    n = len(read_rows(out / "glomeruli.csv"))
    done = CliRunner().invoke(command, [str(out), "--min-score", "0.1", "--format", "coco"])
    assert done.exit_code == 0, done.output
    more = len(read_rows(out / "glomeruli.csv")) - n
    assert f"{more} glomeruli were never outlined" in done.stderr
    assert "1 slides written again" in done.stdout
    assert (out / "slides/a.svs/a.coco.json").is_file()


def test_what_cannot_be_is_said_in_one_line(out: Path) -> None:
    (out / "slides/a.svs/tissue.png").write_bytes(b"")
    done = CliRunner().invoke(command, [str(out)])
    assert done.exit_code == 1
    assert "left as it was: a.svs: " in done.stderr
    refused = CliRunner().invoke(program, ["export", str(out), "--min-score", "7"])
    assert refused.exit_code == 2
    assert refused.stderr.startswith("error: --min-score 7: ")


def test_the_formats_are_those_of_the_pipeline() -> None:
    assert Format.__args__ == FORMATS  # type: ignore[attr-defined]
