"""Files are there whole or not at all."""

import os
import time
from pathlib import Path

import pytest

from gloinone.errors import OutputError
from gloinone.pipeline.atomic import (
    FOREIGN_AGE_S,
    check_writable,
    remove_abandoned,
    unfinished_name,
    write_atomic,
)


def test_a_file_is_written_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "new/folder/a.csv"
    for data in (b"one", b"two"):
        write_atomic(path, data)
        assert path.read_bytes() == data
        assert [p.name for p in path.parent.iterdir()] == ["a.csv"]


def test_what_was_there_stays_when_writing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.csv"
    write_atomic(path, b"one")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match=r"a\.csv: cannot be written \(No space left on device\)"):
        write_atomic(path, b"two")
    assert path.read_bytes() == b"one"
    assert [p.name for p in tmp_path.iterdir()] == ["a.csv"]


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file/below", Path("/proc/none")):
        with pytest.raises(OutputError, match="cannot be written"):
            check_writable(folder)
    check_writable(tmp_path / "new")
    assert list((tmp_path / "new").iterdir()) == []


def test_only_the_files_of_the_dead_are_removed(tmp_path: Path) -> None:
    mine = tmp_path / unfinished_name()
    prefix, host, pid, started, token = mine.name.split("-")
    dead = tmp_path / "-".join([prefix, host, pid, str(int(started) - 1), token])
    foreign = tmp_path / "-".join([prefix, "f" * 12, "1", "1", token])
    old = tmp_path / "-".join([prefix, "e" * 12, "1", "1", token])
    odd = tmp_path / f"{prefix}-x"
    other = tmp_path / "other"
    for path in (mine, dead, foreign, old, odd, other):
        path.touch()
    os.utime(old, (time.time() - FOREIGN_AGE_S - 10,) * 2)
    remove_abandoned(tmp_path)
    assert set(tmp_path.iterdir()) == {mine, foreign, odd, other}
    remove_abandoned(tmp_path / "nothing")
