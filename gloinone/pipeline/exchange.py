"""New results take the place of old ones at once, and nothing that a person made is lost on the way.

A person's are: an XML, GeoJSON or .ann.dcm that is not, byte for byte, what state.json says we wrote; and any file that
state.json does not know. They move along. Where one bears the name of a new file, the new one steps aside:
``a.xml`` -> ``a.new.xml`` -> ``a.new2.xml``.
"""

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from gloinone.pipeline.atomic import sync_folder, write_atomic
from gloinone.pipeline.layout import LOG, NEW, OLD, REPORT, STATE, WORK, SlidePlace
from gloinone.pipeline.state import State, file_sha256

PROTECTED = (".xml", ".geojson", ".ann.dcm")
"""Suffixes of the files that a pathologist opens, corrects and saves."""

Stamps = dict[str, tuple[int, int, int]]
"""Inode, size and time of each file by its path in the folder: changes when somebody saves it."""


class ChangedMeanwhileError(Exception):
    """Somebody saved a file in the old folder while it was being replaced; look at it again."""


@dataclass(frozen=True)
class Kept:
    """What was found in the old folder and taken over."""

    stamps: Stamps
    """Of the old folder, taken before it was looked at."""
    notes: tuple[str, ...]
    linked: tuple[str, ...]
    """Files of a person, now in the new folder too."""
    renamed: dict[str, str]
    """New files that stepped aside: what they were called and are called now."""


def begin(place: SlidePlace) -> Path:
    """An empty folder, hidden beside the results, to write new ones into. Raises OSError."""
    folder = place.work / f"{NEW}{place.key}-{secrets.token_hex(4)}"
    folder.mkdir(parents=True)
    return folder


def empty(folder: Path) -> None:
    """Remove everything in a folder of ours. Raises OSError."""
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def discard(folder: Path) -> None:
    """Remove a folder of ours, as far as that is possible now; ``repair`` does the rest."""
    if folder.is_symlink():  # somebody's, to results on another disk
        with contextlib.suppress(OSError):
            folder.unlink()
    else:
        shutil.rmtree(folder, ignore_errors=True)


def unfinished_keys(out: Path) -> set[str]:
    """Slides of which something unfinished lies about: at work now, or left by a run that died."""
    return {path.name.split("-")[1] for path in (out / WORK).glob("*-*-*")}


def repair(place: SlidePlace) -> None:
    """Clean up after a run that died; only for the holder of the slide's claim. Raises OSError."""
    for old in place.unfinished(OLD):
        if not place.folder.exists():  # died between the two renames
            place.folder.parent.mkdir(parents=True, exist_ok=True)
            old.rename(place.folder)
        else:
            discard(old)
    for new in place.unfinished(NEW):
        discard(new)


def keep_foreign(place: SlidePlace, old_state: State | None, new: Path) -> Kept:
    """Link what is a person's from the old folder into the new one; new files step aside. Raises OSError."""
    stamps = stamp_files(place.folder)
    notes, renamed = [], {}
    foreign = [name for name in sorted(stamps) if _is_foreign(place.folder / name, name, old_state, new)]
    for name in foreign:
        target = new / name
        if target.exists():
            aside = _step_aside(target, taken={new / other for other in foreign})
            renamed[name] = aside.relative_to(new).as_posix()
            notes.append(f"{name} was edited by hand and is kept; the new one is {aside.name}")
        elif name.endswith(PROTECTED):
            notes.append(f"{name} was edited by hand and is kept")
        target.parent.mkdir(parents=True, exist_ok=True)
        _link(place.folder / name, target)
    return Kept(stamps, tuple(notes), tuple(foreign), renamed)


def put_back(kept: Kept, new: Path) -> None:
    """Undo ``keep_foreign``, to look at the old folder again. Raises OSError."""
    for name in kept.linked:
        (new / name).unlink()
    for name, aside in kept.renamed.items():
        (new / aside).rename(new / name)


def _is_foreign(path: Path, name: str, state: State | None, new: Path) -> bool:
    if name in (STATE, LOG, REPORT):
        return False
    if not name.endswith(PROTECTED):
        return not (new / name).exists() and (state is None or name not in state.outputs)
    digest = file_sha256(path)
    if state is not None and name in state.files and state.files[name] == digest:
        return False
    return digest != file_sha256(new / name)


def _step_aside(target: Path, taken: set[Path]) -> Path:
    """Rename a new file to the first name of its series that nobody has."""
    for number in range(1, 10_000):
        aside = target.with_name(f"{target.stem}.new{number if number > 1 else ''}{target.suffix}")
        if aside not in taken and not aside.exists():
            return target.rename(aside)
    raise OSError(f"{target.name}: there are ten thousand edited versions of it; move some away")


def _link(source: Path, target: Path) -> None:
    """A second name for a file; a copy where the file system has no links."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, target, follow_symlinks=False)


def stamp_files(folder: Path) -> Stamps:
    """Of every file and link under a folder; empty if there is none."""
    stamps = {}
    for parent, folders, names in os.walk(folder):
        links = [name for name in folders if os.path.islink(os.path.join(parent, name))]
        for path in (os.path.join(parent, name) for name in (*names, *links)):
            with contextlib.suppress(FileNotFoundError):
                stat = os.lstat(path)
                stamps[os.path.relpath(path, folder)] = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
    return stamps


def hash_protected(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """sha256 of those of our files in a folder that a person may edit."""
    hashes = {name: file_sha256(folder / name) for name in names if name.endswith(PROTECTED)}
    return {name: digest for name, digest in hashes.items() if digest}


def exchange(place: SlidePlace, new: Path, stamps: Stamps) -> None:
    """Put a finished folder in its place; ``stamps`` are of the old one when it was looked at.

    Between the two renames there is no folder in that place; ``repair`` brings the old one back.

    Raises
    ------
    ChangedMeanwhileError
        With the old folder back in its place.
    OSError
    """
    place.folder.parent.mkdir(parents=True, exist_ok=True)
    old = place.work / f"{OLD}{place.key}-{secrets.token_hex(4)}"
    if place.folder.exists():
        place.folder.rename(old)
        if stamp_files(old) != stamps:
            old.rename(place.folder)
            raise ChangedMeanwhileError
    elif stamps:
        raise ChangedMeanwhileError
    new.rename(place.folder)
    sync_folder(place.folder.parent)
    sync_folder(place.work)
    if old.exists():
        condemned = old.with_name(old.name.replace(OLD, NEW, 1))
        old.rename(condemned)  # a name that is never brought back
        discard(condemned)


def write_beside(target: Path, data: bytes, ours: str | None) -> bool:
    """Put an XML beside its slide, unless a file of somebody else is there; True if it now lies there.

    ``ours`` is the sha256 of what we last wrote there. Raises OutputError.
    """
    there = file_sha256(target)
    if there is None or there == ours:
        write_atomic(target, data)
        return True
    return target.read_bytes() == data
