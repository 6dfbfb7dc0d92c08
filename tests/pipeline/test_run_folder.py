"""A batch: every slide accounted for, and nothing done twice."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import tifffile
from folder_fakes import FakeMethod, read_rows, run, tree, unfinished, write_slide_file
from PIL import Image

import gloinone
from gloinone.pipeline.merge import merge
from gloinone.pipeline.save import SaveOptions
from gloinone.pipeline.tasks import Shard


def mpp_table(folder: Path, rows: str) -> Path:
    path = folder / "mpp.csv"
    path.write_text("slide,mpp\n" + rows)
    return path


@pytest.mark.usefixtures("informative")
def test_each_slide_has_its_folder_and_its_row(slides: Path, tmp_path: Path) -> None:
    (slides / "broken.svs").write_text("this is no slide")
    (slides / "empty.svs").touch()
    Image.new("RGB", (64, 64), "white").save(slides / "picture.png")
    out = tmp_path / "out"
    table = mpp_table(tmp_path, "a.svs,0.25\na.tif,0.5\nb/c.tif,0.5\n")
    outcome = run(slides, out, mpp=None, mpp_csv=table)
    assert outcome.statuses == {
        "a.svs": "done",
        "a.tif": "done",
        "b/c.tif": "done",
        "broken.svs": "failed",
        "empty.svs": "failed",
        "picture.png": "skipped",
    }
    assert outcome.exit_status == 1
    rows = read_rows(out / "summary.csv")
    assert [(row["slide"], row["status"]) for row in rows] == list(outcome.statuses.items())
    assert [row["mpp"] for row in rows] == [0.25, 0.5, 0.5, None, None, None]
    assert [bool(row["reason"]) for row in rows] == [False, False, False, True, True, True]
    assert "failed" in (out / "slides/broken.svs/log.txt").read_text()
    record = json.loads((out / "run.json").read_bytes())
    assert record["counts"] == {"done": 3, "failed": 2, "skipped": 1}
    assert [slide["mpp_source"] for slide in record["slides"]] == ["csv"] * 3 + [None] * 3
    assert not unfinished(out)


def test_the_tables_are_those_of_the_slides_in_order(slides: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run(slides, out).exit_status == 0
    parts = [(out / "slides" / name / "glomeruli.csv").read_bytes() for name in ("a.svs", "a.tif", "b/c.tif")]
    header = parts[0].split(b"\n")[0] + b"\n"
    assert (out / "glomeruli.csv").read_bytes() == header + b"".join(p.removeprefix(header) for p in parts)
    for row in read_rows(out / "glomeruli.csv"):
        assert (out / str(row["crop"])).is_file()
        assert (out / str(row["mask"])).is_file()


def test_a_second_run_loads_nothing_and_changes_nothing(slides: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    Image.new("RGB", (64, 64), "white").save(slides / "picture.png")
    table = mpp_table(tmp_path, "a.svs,0.25\na.tif,0.5\nb/c.tif,0.5\n")
    run(slides, out, mpp=None, mpp_csv=table)
    before = tree(out)
    method = FakeMethod()
    assert run(slides, out, method, mpp=None, mpp_csv=table).exit_status == 0
    assert method.loads == 0
    assert tree(out) == before


def test_only_what_changed_is_redone(slides: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    everything = ["a.svs", "a.tif", "b/c.tif"]

    def redone(**options: object) -> list[str]:
        method = FakeMethod(models=models, settings={"min_score": min_score})
        assert run(slides, out, method, **options).exit_status == 0
        return method.seen

    models, min_score = {"detector": "fake@0123456789ab"}, None
    assert redone() == everything
    assert redone() == []
    os.utime(slides / "a.tif", ns=(0, 0))
    assert redone() == ["a.tif"]
    same_size = bytearray((slides / "a.svs").read_bytes())
    same_size[-5] ^= 1
    stat = (slides / "a.svs").stat()
    (slides / "a.svs").write_bytes(same_size)
    os.utime(slides / "a.svs", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert redone() == ["a.svs"]
    write_slide_file(slides / "new.tif")
    assert redone() == ["new.tif"]
    everything.append("new.tif")
    models = {"detector": "other@0123456789ab"}
    assert redone() == everything
    min_score = 0.5
    assert redone() == everything
    assert redone(save=SaveOptions(masks=False)) == everything
    assert not (out / "slides/a.svs/masks").exists()
    assert redone(save=SaveOptions(masks=False)) == []
    assert redone(save=SaveOptions(masks=False), overwrite=True) == everything
    monkeypatch.setattr(gloinone, "__version__", "0.0.0")
    assert redone(save=SaveOptions(masks=False)) == everything


def test_mpp_given_for_one_slide_does_not_redo_those_that_have_theirs(tmp_path: Path) -> None:
    slides, out = tmp_path / "in", tmp_path / "out"
    write_slide_file(slides / "without.tif")
    pixels = np.full((512, 512, 3), 200, np.uint8)
    tifffile.imwrite(
        slides / "with.tif", pixels, tile=(256, 256), photometric="rgb", resolution=(20000, 20000),
        resolutionunit="CENTIMETER",
    )  # fmt: skip
    first = run(slides, out, mpp=None)
    assert first.statuses == {"with.tif": "done", "without.tif": "failed"}
    assert "--mpp" in str(read_rows(out / "summary.csv")[1]["reason"])
    method = FakeMethod()
    assert run(slides, out, method, mpp=0.25).exit_status == 0
    assert method.seen == ["without.tif"]
    assert [row["mpp_source"] for row in read_rows(out / "summary.csv")] == ["file", "option"]
    other = FakeMethod()
    run(slides, out, other, mpp=0.26)
    assert other.seen == ["without.tif"]


def test_shards_together_are_the_whole_run(slides: Path, tmp_path: Path) -> None:
    whole, shared = tmp_path / "whole", tmp_path / "shared"
    run(slides, whole)
    for index in (1, 0):
        run(slides, shared, shard=Shard(index, 2))
        assert not (shared / "summary.csv").exists()
    assert {p.name for p in (shared / "runs").iterdir()} == {"0-of-2.json", "1-of-2.json"}
    merge(shared)
    merge(shared)
    one, other = tree(whole), tree(shared)
    for files in (one, other):
        del files["report.html"]  # its head is of one run
    assert {name: data for name, data in other.items() if not name.startswith(("runs/", "slides.txt"))} == one


def test_out_inside_in_twice(slides: Path) -> None:
    out = slides / "results"
    first = run(slides, out)
    method = FakeMethod()
    assert run(slides, out, method).statuses == first.statuses
    assert method.seen == []
    assert run(slides, slides / "elsewhere", FakeMethod()).statuses == first.statuses


def test_a_run_over_one_slide_adds_to_the_tables(slides: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(slides, out)
    whole = (out / "summary.csv").read_bytes()
    assert list(run(slides / "a.tif", out, overwrite=True).statuses) == ["a.tif"]
    assert (out / "summary.csv").read_bytes() == whole


@pytest.mark.parametrize(
    "name",
    [
        "with spaces  and  'quotes' \".tif",
        "<script>alert(1)</script>&amp;.tif",
        "café é.tif",
        "=cmd|' !A1.tif",
        "new\nline\ttab.tif",
        "x" * 251 + ".tif",
        "é" * 125 + ".tif",
        os.fsdecode(b"caf\xe9" * 60 + b".tif"),
        "state.json.tif",
        "100%_#?.tif",
    ],
)
def test_odd_names(name: str, tmp_path: Path) -> None:
    slides, out = tmp_path / "in", tmp_path / "out"
    name = name.replace("<script>alert(1)</script>", "<script>alert(1)<")  # a slash would be a folder
    write_slide_file(slides / name)
    outcome = run(slides, out)
    assert list(outcome.statuses.values()) == ["done"]
    (row,) = read_rows(out / "summary.csv")
    assert [row["slide"]] == list(outcome.statuses)
    for glomerulus in read_rows(out / "glomeruli.csv"):
        assert glomerulus["slide"] == row["slide"]
        assert (out / str(glomerulus["crop"])).is_file()
    assert "<script>alert" not in (out / "report.html").read_text()
    method = FakeMethod()
    run(slides, out, method)
    assert method.seen == []


def test_another_file_of_the_same_name_is_said(
    slides: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "out"
    run(slides, out)
    os.utime(slides / "a.svs", (1, 1))
    run(slides, out)
    assert "another file" not in caplog.text, "a copy is the same"
    write_slide_file(slides / "a.svs", 3)
    run(slides, out)
    assert "a.svs: another file than the one whose results are in OUT" in caplog.text


def test_slides_of_earlier_runs_are_named(
    slides: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "out"
    run(slides, out)
    run(slides / "a.svs", out)
    assert "earlier runs" not in caplog.text, "one slide is a part"
    (slides / "a.svs").rename(slides / "renamed.svs")
    run(slides, out)
    assert "1 slides of earlier runs are not among those of this one (a.svs)" in caplog.text
    assert len(read_rows(out / "summary.csv")) == 4


def test_slides_in_what_was_a_slide_are_found(slides: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(slides, out)
    (slides / "a.svs").unlink()
    write_slide_file(slides / "a.svs/deep.tif")
    run(slides, out)
    names = [row["slide"] for row in read_rows(out / "summary.csv")]
    assert names == ["a.svs", "a.svs/deep.tif", "a.tif", "b/c.tif"]
