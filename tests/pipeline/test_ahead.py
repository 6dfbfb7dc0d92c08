"""What is read ahead and written behind: never more than one slide of each, and nothing is left open."""

import logging
import threading
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from folder_fakes import FakeMethod, read_rows, run, tree, unfinished

from gloinone.pipeline import ahead, batch, one_slide
from gloinone.pipeline.slide_log import SlideLog
from gloinone.records import SlideResult
from gloinone.slide.reader import Slide

SLIDES = ["a.svs", "a.tif", "b/c.tif"]


class Begun:
    """Tells when it is begun, finished and closed."""

    def __init__(self, method: FakeMethod, slide: Slide, told: list[str]) -> None:
        self.method, self.slide, self.told = method, slide, told
        told.append(f"begin {slide.info.name}")

    def finish(self, on_tile: Callable[[int, int], None]) -> SlideResult:
        self.told.append(f"networks {self.slide.info.name}")
        result = self.method.analyse(self.slide, on_tile)
        self.told.append(f"made {self.slide.info.name}")
        return result

    def close(self) -> None:
        self.told.append(f"close {self.slide.info.name}")


class Telling(FakeMethod):
    """Keeps what happened, in order."""

    def __init__(self) -> None:
        super().__init__(pause_s=0.05)
        self.told: list[str] = []

    def load(self) -> Callable[[Slide], Begun]:  # type: ignore[override]
        self.loads += 1
        return lambda slide: Begun(self, slide, self.told)


def test_the_next_slide_begins_when_the_last_tile_of_this_one_is_read(
    slides: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = Telling()
    begun = threading.Event()
    open_task, analyse = ahead.open_task, method.analyse

    def opened(*given: object) -> ahead.Opened:
        slide = open_task(*given)  # type: ignore[arg-type]
        begun.set()
        return slide

    def slow(slide: Slide, on_tile: Callable[[int, int], None]) -> SlideResult:
        begun.clear()
        result = analyse(slide, on_tile)
        assert begun.wait(20) or slide.info.name == SLIDES[-1]
        return result

    monkeypatch.setattr(ahead, "open_task", opened)
    monkeypatch.setattr(method, "analyse", slow)
    assert run(slides, tmp_path / "out", method).exit_status == 0
    at = {words: place for place, words in enumerate(method.told)}
    for now, later in pairwise(SLIDES):
        assert at[f"networks {now}"] < at[f"begin {later}"] < at[f"made {now}"] < at[f"networks {later}"]
    assert len(method.told) == 4 * len(SLIDES), "each is begun once and closed once"


def test_a_slide_that_fails_ahead_is_tried_again_in_its_turn(
    slides: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_task = ahead.open_task
    failed = []

    def fail(task: object, *more: object) -> ahead.Opened:
        if threading.current_thread().name.startswith("ahead"):
            failed.append(task)
            raise OSError("the server is busy")
        return open_task(task, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(ahead, "open_task", fail)
    assert run(slides, tmp_path / "out").statuses == dict.fromkeys(SLIDES, "done")
    assert failed


def test_a_run_that_ends_closes_what_it_read_ahead(slides: Path, tmp_path: Path) -> None:
    method = Telling()
    method.wrong = {"a.svs": KeyboardInterrupt()}
    with pytest.raises(KeyboardInterrupt):
        run(slides, tmp_path / "out", method)
    opened = sorted(words.split()[1] for words in method.told if words.startswith("begin"))
    assert sorted(words.split()[1] for words in method.told if words.startswith("close")) == opened
    assert not unfinished(tmp_path / "out")
    assert not [t for t in threading.enumerate() if t.name.startswith(("ahead", "write", "heartbeat"))]


def test_a_result_is_written_while_the_next_is_made_and_interrupts_wait_for_it(
    slides: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, write_slide = tmp_path / "out", one_slide.write_slide
    at_work = threading.Event()

    def write(*given: object) -> None:
        assert at_work.wait(20), "the next slide is not at work"
        write_slide(*given)  # type: ignore[arg-type]

    def interrupt(slide: Slide) -> None:
        if slide.info.name == "a.tif":
            at_work.set()
            raise KeyboardInterrupt

    monkeypatch.setattr(one_slide, "write_slide", write)
    with pytest.raises(KeyboardInterrupt):
        run(slides, out, FakeMethod(on_slide=interrupt))
    assert (out / "slides/a.svs/state.json").is_file()
    assert not (out / "slides/a.tif").exists()
    assert not unfinished(out)


def test_a_slide_that_another_run_took_meanwhile_is_left_to_it(
    slides: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    taken = []

    def not_ours(claim: batch.Claim) -> bool:
        if claim.slide == "a.tif" and threading.current_thread().name.startswith("write") and not taken:
            taken.append(claim.slide)
            return False
        return True

    monkeypatch.setattr(batch.Claim, "is_ours", not_ours)
    monkeypatch.setattr(batch, "POLL_S", 0.01)
    method = FakeMethod()
    outcome = run(slides, out, method)
    assert list(outcome.statuses.items()) == [(name, "done") for name in SLIDES]
    assert method.seen == [*SLIDES, "a.tif"], "nobody else did it, so it was done again"
    run(slides, tmp_path / "whole")
    assert tree(out) == tree(tmp_path / "whole")
    assert len(read_rows(out / "summary.csv")) == 3


def test_each_log_has_its_own_slide_only() -> None:
    logger = logging.getLogger("gloinone.test")
    with SlideLog() as one, SlideLog() as other, one.here():
        logger.warning("of one")
        thread = threading.Thread(target=logger.warning, args=("of nobody",))
        thread.start()
        thread.join()
        with other.here():
            logger.warning("of the other")
        logger.warning("of one again")
    assert [line.split("WARNING ")[1] for line in one.lines] == ["of one", "of one again"]
    assert [line.split("WARNING ")[1] for line in other.lines] == ["of the other"]
