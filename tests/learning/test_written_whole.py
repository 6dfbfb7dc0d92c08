"""Files of a training are whole or not there."""

import os
import time
from pathlib import Path

import pytest

from gloinone.errors import OutputError
from gloinone.learning.whole import ABANDONED_S, PREFIX, written_whole


def test_the_new_file_takes_the_place_of_the_old(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "curves.png"
    for text in ("old", "new"):
        with written_whole(path) as aside:
            assert aside.suffix == ".png"
            aside.write_text(text)
            assert not path.exists() or path.read_text() == "old"
    assert path.read_text() == "new"
    assert [p.name for p in path.parent.iterdir()] == ["curves.png"]


def test_after_an_error_the_old_file_stands(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    path.write_text("old")

    def fail(error: Exception) -> None:
        with written_whole(path) as aside:
            aside.write_text("half")
            raise error

    with pytest.raises(ValueError, match="torn"):
        fail(ValueError("torn"))
    with pytest.raises(OutputError, match="No space left"):
        fail(OSError(28, "No space left on device"))
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["state.pt"]


def test_two_writers_of_one_process_number_do_not_meet(tmp_path: Path) -> None:
    path = tmp_path / "picture.npy"
    with written_whole(path) as one, written_whole(path) as other:
        one.write_text("one")
        other.write_text("other")
        assert one.read_text() == "one"
    assert path.read_text() == "one"  # the outer one ends last
    assert [p.name for p in tmp_path.iterdir()] == ["picture.npy"]


def test_what_a_killed_training_left_goes_after_a_day(tmp_path: Path) -> None:
    old, recent = tmp_path / f"{PREFIX}0a-state.pt", tmp_path / f"{PREFIX}0b-other.npy"
    for left, age_s in ((old, ABANDONED_S + 60), (recent, 60)):
        left.write_text("half")
        os.utime(left, (time.time() - age_s,) * 2)
    with written_whole(tmp_path / "state.pt") as aside:
        aside.write_text("whole")
    assert {p.name for p in tmp_path.iterdir()} == {"state.pt", recent.name}
