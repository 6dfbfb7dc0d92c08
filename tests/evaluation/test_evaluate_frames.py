"""Truth is that of the slide, in the slide's frame."""

from pathlib import Path

import pytest
from folder_fakes import run as run_folder
from folder_fakes import write_slide_file
from made_run import Found, write_run, write_truth

from gloinone.annotations.geojson import read_geojson
from gloinone.annotations.saved_result import RESULT, read_saved_result
from gloinone.errors import UsageError
from gloinone.evaluation import run_output
from gloinone.evaluation.run_output import bounds_of, load_run


def test_the_bounds_that_qupath_subtracts_are_added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_truth(tmp_path / "truth", "a", [500, 1000])
    write_run(tmp_path / "out", {"a.png": [Found(800, 0.9, 0.9, id="G001")]})
    monkeypatch.setattr(run_output, "bounds_of", lambda folder: (300, 100, 4000, 300))
    (slide,) = load_run(tmp_path / "out", tmp_path / "truth").slides
    assert slide.truth.circles()[:, :2].round(6).tolist() == [[800, 300], [1300, 300]]


def test_the_bounds_are_those_of_the_run(tmp_path: Path) -> None:
    write_slide_file(tmp_path / "in/a.tif")
    run_folder(tmp_path / "in", tmp_path / "out")
    folder = tmp_path / "out/slides/a.tif"
    assert bounds_of(folder) == read_saved_result(folder).info.bounds
    ours = read_geojson(folder / "a.geojson", bounds_of(folder))
    assert len(ours) == len(read_saved_result(folder).candidates)
    (folder / RESULT).unlink()
    assert bounds_of(folder) is None, "of a version that kept none"


def test_one_file_is_not_the_truth_of_two_slides(tmp_path: Path) -> None:
    write_truth(tmp_path / "truth", "a", [500])
    found = [Found(500, 0.9, 0.9, id="G001")]
    write_run(tmp_path / "out", {"c1/a.png": found, "c2/a.png": found, "c3/b.png": found})
    write_truth(tmp_path / "truth", "b", [500])
    scored = load_run(tmp_path / "out", tmp_path / "truth")
    assert [slide.name for slide in scored.slides] == ["c3/b.png"]
    assert any("c1/a.png, c2/a.png" in note for note in scored.notes)
    write_truth(tmp_path / "truth/c1", "a", [500])
    assert [slide.name for slide in load_run(tmp_path / "out", tmp_path / "truth").slides] == [
        "c1/a.png",
        "c3/b.png",
    ]
    (tmp_path / "truth/b.geojson").unlink()
    (tmp_path / "truth/c1/a.geojson").unlink()
    with pytest.raises(UsageError, match="holds no truth for any slide"):
        load_run(tmp_path / "out", tmp_path / "truth")
