"""Runs in processes of their own: killed at any moment, interrupted, and two at once on one OUT."""

import json
import signal
import time
from collections import Counter
from pathlib import Path

import pytest
from folder_fakes import FakeMethod, line_of, run, start, tree, unfinished, write_slide_file

from gloinone.pipeline.state import read_state

EDITED = b"<Annotations/>"


@pytest.mark.slow
def test_after_kills_at_any_moment_the_files_are_the_same(slides: Path, tmp_path: Path) -> None:
    whole, out = tmp_path / "whole", tmp_path / "out"
    run(slides, whole)
    run(slides, out)
    edited = out / "slides/b/c.tif/c.xml"
    edited.write_bytes(EDITED)
    for round_ in range(7):
        process = start(slides, out, 0.0, "0/1", "overwrite")
        line_of(process)
        time.sleep(0.13 * round_)
        process.kill()
        process.communicate()
        for name in ("a.svs", "a.tif", "b/c.tif"):  # never half a folder in place
            folder = out / "slides" / name
            state = read_state(folder)
            assert state is None or all((folder / output).exists() for output in state.outputs)
    assert run(slides, out).exit_status == 0
    assert edited.read_bytes() == EDITED
    edited.unlink()
    run(slides, out, overwrite=True)
    left = tree(out)
    assert left.pop("slides/b/c.tif/c.new.xml", None) is None
    assert left == tree(whole)
    assert not unfinished(out)


def test_a_run_killed_half_way_goes_on_to_the_same_files(slides: Path, tmp_path: Path) -> None:
    whole, out = tmp_path / "whole", tmp_path / "out"
    run(slides, whole)
    process = start(slides, out, 0.2)
    assert [line_of(process) for _ in range(3)] == ["a.svs", "a.tif", "b/c.tif"]
    process.kill()
    process.communicate()
    method = FakeMethod()
    assert run(slides, out, method).exit_status == 0
    assert "a.svs" not in method.seen, "lost are the slide at work and at most the one that was being written"
    assert method.seen[-1] == "b/c.tif"
    assert tree(out) == tree(whole)
    assert not unfinished(out)


def test_a_run_killed_between_putting_in_place_and_letting_go(slides: Path, tmp_path: Path) -> None:
    whole, out = tmp_path / "whole", tmp_path / "out"
    run(slides, whole)
    process = start(slides, out, 0.2)
    assert line_of(process) == "a.svs"
    (claim,) = (out / ".claims").glob("*.json")
    of_the_dead = claim.read_bytes()
    process.kill()
    process.communicate()
    run(slides, out)
    claim.write_bytes(of_the_dead)
    method = FakeMethod()
    assert run(slides, out, method).exit_status == 0
    assert not method.seen, "its results are whole"
    assert not unfinished(out)
    assert tree(out) == tree(whole)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_and_frees_its_slide(
    number: signal.Signals, slides: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    process = start(slides, out, 2.0)
    line_of(process)
    process.send_signal(number)
    process.communicate(timeout=120)
    assert process.returncode == 128 + number
    assert not unfinished(out)
    assert not (out / "slides").exists()
    record = json.loads((out / "run.json").read_bytes())
    assert (record["status"], record["exit_status"]) == ("stopped", 128 + number)
    assert run(slides, out).exit_status == 0
    assert json.loads((out / "run.json").read_bytes())["status"] == "finished"


def test_two_runs_share_the_slides(tmp_path: Path) -> None:
    slides, out, whole = tmp_path / "in", tmp_path / "out", tmp_path / "whole"
    names = [f"{i}.tif" for i in range(6)]
    for i, name in enumerate(names):
        write_slide_file(slides / name, i)
    run(slides, whole)
    processes = [start(slides, out, 0.1, "0/1", "overwrite", "hold") for _ in range(2)]
    assert [line_of(process) for process in processes] == ["no slide yet"] * 2
    (tmp_path / "go").touch()  # together: what one does before the other starts, --overwrite does again
    seen = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], seen
    lists = [text.split() for text, _ in seen]
    assert Counter(lists[0] + lists[1]) == Counter(names)
    assert all(lists), "one run did it all"
    assert tree(out) == tree(whole)
    assert not unfinished(out)


def test_a_run_waits_for_the_slide_of_another_and_takes_it_over_when_that_dies(tmp_path: Path) -> None:
    slides, out = tmp_path / "in", tmp_path / "out"
    for i in range(2):
        write_slide_file(slides / f"{i}.tif", i)
    first = start(slides, out, 60.0)
    assert line_of(first) == "0.tif"
    second = start(slides, out, 0.0)
    assert line_of(second) == "1.tif"
    time.sleep(0.5)
    assert second.poll() is None
    first.kill()
    first.communicate()
    text, _ = second.communicate(timeout=120)
    assert second.returncode == 0
    assert text == "0.tif\n"
    assert not unfinished(out)
