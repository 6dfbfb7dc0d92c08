"""Folders change places at once; a crash in between is mended."""

from pathlib import Path

import pytest

from gloinone.pipeline import exchange as module
from gloinone.pipeline.exchange import (
    ChangedMeanwhileError,
    begin,
    exchange,
    keep_foreign,
    put_back,
    repair,
    stamp_files,
    unfinished_keys,
    write_beside,
)
from gloinone.pipeline.layout import SlidePlace, file_stem, slide_place
from gloinone.pipeline.state import file_sha256


@pytest.fixture
def place(tmp_path: Path) -> SlidePlace:
    return slide_place(tmp_path, "case 1/a.svs")


def results(place: SlidePlace, text: str) -> Path:
    folder = begin(place)
    (folder / "a.xml").write_text(text)
    return folder


def test_first_and_second_results(place: SlidePlace) -> None:
    for text in ("one", "two"):
        exchange(place, results(place, text), stamp_files(place.folder))
        assert (place.folder / "a.xml").read_text() == text
        assert list(place.work.iterdir()) == []


class CrashError(BaseException):
    """The power goes."""


@pytest.mark.parametrize("renames", [0, 1, 2, 3])
def test_a_crash_after_any_rename(place: SlidePlace, renames: int, monkeypatch: pytest.MonkeyPatch) -> None:
    exchange(place, results(place, "old"), {})
    new, done, rename = results(place, "new"), [], Path.rename

    def crash(path: Path, target: Path) -> Path:
        if len(done) == renames:
            raise CrashError
        done.append(path)
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", crash)
    monkeypatch.setattr(module, "discard", lambda folder: None)
    if renames < 3:
        with pytest.raises(CrashError):
            exchange(place, new, stamp_files(place.folder))
    else:
        exchange(place, new, stamp_files(place.folder))
    monkeypatch.undo()
    assert unfinished_keys(place.out) == {place.key}
    repair(place)
    assert (place.folder / "a.xml").read_text() == ("new" if renames >= 2 else "old")
    assert list(place.work.iterdir()) == []


def test_repair_leaves_other_slides_alone(place: SlidePlace) -> None:
    other = slide_place(place.out, "b.svs")
    folder = results(other, "at work")
    results(place, "dead")
    repair(place)
    assert list(place.work.iterdir()) == [folder]


def test_a_file_saved_while_it_is_exchanged(place: SlidePlace) -> None:
    exchange(place, results(place, "old"), {})
    new = results(place, "new")
    kept = keep_foreign(place, None, new)  # no state: the old XML counts as a person's
    assert (new / "a.xml").read_text() == "old"
    assert (new / "a.new.xml").read_text() == "new"
    (place.folder / "a.xml").unlink()
    (place.folder / "a.xml").write_text("edited")
    with pytest.raises(ChangedMeanwhileError):
        exchange(place, new, kept.stamps)
    assert (place.folder / "a.xml").read_text() == "edited"
    put_back(kept, new)
    assert {path.name: path.read_text() for path in new.iterdir()} == {"a.xml": "new"}
    exchange(place, new, keep_foreign(place, None, new).stamps)
    assert (place.folder / "a.xml").read_text() == "edited"
    assert (place.folder / "a.new.xml").read_text() == "new"


def test_a_folder_that_appears_meanwhile(place: SlidePlace) -> None:
    new = results(place, "new")
    place.folder.mkdir(parents=True)
    (place.folder / "mine.xml").write_text("mine")
    with pytest.raises(ChangedMeanwhileError):
        exchange(place, new, {})
    assert (place.folder / "mine.xml").read_text() == "mine"


def test_beside(tmp_path: Path) -> None:
    target = tmp_path / "a.xml"
    assert write_beside(target, b"one", None)
    ours = file_sha256(target)
    assert write_beside(target, b"two", ours)
    assert target.read_bytes() == b"two"
    assert not write_beside(target, b"three", ours)
    assert target.read_bytes() == b"two"
    assert write_beside(target, b"two", None)  # the very same: as if written by a run that died
    assert [path.name for path in tmp_path.iterdir()] == ["a.xml"]


def test_names_of_files() -> None:
    assert file_stem("case/a.svs") == "a"
    assert file_stem("case/folder") == "folder"
    long = [file_stem("x" * 240 + end + ".svs") for end in ("1", "2")]
    assert long[0] != long[1]
    assert all(len((stem + ".new99.geojson").encode()) <= 255 for stem in long)
    name = "é" * 126 + ".svs"
    assert len(file_stem(name).encode()) <= 230
    assert file_stem(name).startswith("é" * 100)
