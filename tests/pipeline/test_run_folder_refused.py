"""What goes wrong with one slide stays with it; what goes wrong with the run is said at once."""

import errno
import json
from pathlib import Path

import pytest
from folder_fakes import FakeMethod, read_rows, run, tree, unfinished, write_slide_file

from gloinone.errors import OutputError, SlideUnreadableError, UsageError, WeightsError
from gloinone.pipeline import atomic, one_slide
from gloinone.pipeline.state import read_state
from gloinone.slide.reader import Slide


@pytest.mark.usefixtures("informative")
def test_a_fault_of_the_program_is_one_slides_and_keeps_its_traceback(slides: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    outcome = run(slides, out, FakeMethod(wrong={"a.tif": ZeroDivisionError("by nothing")}))
    assert outcome.statuses == {"a.svs": "done", "a.tif": "failed", "b/c.tif": "done"}
    assert outcome.exit_status == 1
    log = (out / "slides/a.tif/log.txt").read_text()
    assert "Traceback" in log
    assert "folder_fakes.py" in log
    assert "ZeroDivisionError: by nothing" in str(read_rows(out / "summary.csv")[1]["reason"])
    assert read_rows(out / "summary.csv")[1]["width_px"] == 512
    assert {p.name for p in (out / "slides/a.tif").iterdir()} == {"log.txt", "report.html", "state.json"}
    assert "by nothing" in (out / "report.html").read_text()


def test_what_failed_is_redone_by_the_next_run(slides: Path, tmp_path: Path) -> None:
    out, whole = tmp_path / "out", tmp_path / "whole"
    run(slides, out, FakeMethod(wrong={"a.tif": SlideUnreadableError("a.tif: torn; copy it again")}))
    state = read_state(out / "slides/a.tif")
    assert state is not None
    assert state.reason == "torn; copy it again"
    method = FakeMethod()
    assert run(slides, out, method).exit_status == 0
    assert method.seen == ["a.tif"]
    run(slides, whole)
    assert tree(out) == tree(whole)


def test_a_slide_that_vanishes_meanwhile(slides: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"

    def take_away(slide: Slide) -> None:
        (slides / "a.tif").unlink(missing_ok=True)

    outcome = run(slides, out, FakeMethod(on_slide=take_away))
    assert outcome.statuses == {"a.svs": "done", "a.tif": "failed", "b/c.tif": "done"}
    assert "still there" in str(read_rows(out / "summary.csv")[1]["reason"])


def test_a_slide_that_changes_while_it_is_read(slides: Path, tmp_path: Path) -> None:
    def grow(slide: Slide) -> None:
        if slide.info.name == "a.tif":
            with slide.path.open("ab") as stream:
                stream.write(b"more")

    outcome = run(slides, tmp_path / "out", FakeMethod(on_slide=grow))
    assert outcome.statuses["a.tif"] == "failed"
    assert outcome.statuses["b/c.tif"] == "done"


def test_a_full_disk_fails_the_slide_that_does_not_fit(
    slides: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, write_slide = tmp_path / "out", one_slide.write_slide

    def fill(folder: Path, result: object, options: object, place: str) -> None:
        write_slide(folder, result, options, place)  # type: ignore[arg-type]
        if place.endswith("a.tif"):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(one_slide, "write_slide", fill)
    outcome = run(slides, out)
    assert outcome.statuses == {"a.svs": "done", "a.tif": "failed", "b/c.tif": "done"}
    assert {p.name for p in (out / "slides/a.tif").iterdir()} == {"log.txt", "report.html", "state.json"}
    assert "No space left" in str(read_rows(out / "summary.csv")[1]["reason"])
    assert not unfinished(out)


def test_a_disk_that_takes_nothing_more_ends_the_run(
    slides: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    run(slides, out)
    before = tree(out)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def fill(slide: Slide) -> None:
        if slide.info.name == "a.tif":
            monkeypatch.setattr(one_slide, "sync_tree", full)
            monkeypatch.setattr(Path, "write_bytes", full)
            monkeypatch.setattr(atomic.os, "fsync", full)

    method = FakeMethod(on_slide=fill)
    outcome = run(slides, out, method, overwrite=True)
    monkeypatch.undo()
    assert outcome.exit_status == 1
    assert "No space left" in outcome.stopped
    assert "b/c.tif" not in method.seen
    assert tree(out) == before  # the old results stand, whole
    assert not unfinished(out)


def test_networks_that_cannot_be_loaded_end_the_run(slides: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"

    class Broken(FakeMethod):
        def load(self) -> object:  # type: ignore[override]
            raise WeightsError("detector: damaged; copy it again")

    with pytest.raises(WeightsError, match="damaged"):
        run(slides, out, Broken())
    assert json.loads((out / "run.json").read_bytes())["exit_status"] == 2
    assert not (out / "slides").exists()
    assert not unfinished(out)
    assert run(slides, out).exit_status == 0


def test_an_out_that_cannot_be_written(slides: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        run(slides, Path("/proc/gloinone"))
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="is a file"):
        run(slides, tmp_path / "file")

    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(OutputError, match=r"Read-only file system.*make it writable"):
        run(slides, tmp_path / "out")


def test_places_that_make_no_sense(slides: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="folder of the slides"):
        run(slides, slides)
    with pytest.raises(UsageError, match="lies in"):
        run(slides, tmp_path)
    with pytest.raises(UsageError, match="no such file"):
        run(slides / "nothing", tmp_path / "out")
    (tmp_path / "empty/.hidden").mkdir(parents=True)
    write_slide_file(tmp_path / "empty/.hidden/a.tif")
    with pytest.raises(UsageError, match="no slides in it"):
        run(tmp_path / "empty", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_table_of_mpp_that_makes_no_sense(slides: Path, tmp_path: Path) -> None:
    table = tmp_path / "mpp.csv"
    table.write_text("slide,mpp\na.svs,0.5\na.svs,0.25\n")
    with pytest.raises(UsageError, match="twice"):
        run(slides, tmp_path / "out", mpp_csv=table)
    assert not (tmp_path / "out").exists()


def test_a_state_that_cannot_be_read_is_made_anew(slides: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(slides, out)
    before = tree(out)
    state = out / "slides/a.svs/state.json"
    state.write_text(state.read_text()[:100])
    method = FakeMethod()
    run(slides, out, method)
    assert method.seen == ["a.svs"]
    assert tree(out) == before


def test_earlier_results_do_not_give_way_to_a_failure(slides: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(slides, out)
    before = tree(out)
    assert run(slides, out, mpp=None).statuses == dict.fromkeys(("a.svs", "a.tif", "b/c.tif"), "failed")
    torn = FakeMethod(wrong={"a.svs": SlideUnreadableError("a.svs: torn")})
    outcome = run(slides, out, torn, overwrite=True)
    assert (outcome.statuses["a.svs"], outcome.exit_status) == ("failed", 1)
    assert tree(out) == before
    assert not unfinished(out)
    again = FakeMethod()
    assert run(slides, out, again).exit_status == 0
    assert not again.seen, "what they were made with holds still"
    write_slide_file(slides / "a.svs", 5)
    assert run(slides, out, torn).statuses["a.svs"] == "failed"
    assert not (out / "slides/a.svs/a.xml").exists(), "they were of another file"
