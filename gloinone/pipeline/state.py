"""state.json: what was made of a slide and from what, and whether that still holds.

Results are current when the input, the program's version, the weights and every setting that changes a byte
of them are the same. The device is recorded but not compared: a batch begun on a GPU may be ended on a CPU.
``--mpp`` counts only where it was used: passing it for one slide redoes none that carries its own.
"""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, get_args

from gloinone.annotations.columns import SUMMARY
from gloinone.pipeline.layout import STATE
from gloinone.records import Status

FORMAT = 1
CHANGED = "the slide has changed"
END_BYTES = 2**20
COMPANION_FOLDERS = {".mrxs"}
"""Suffixes of slides whose pixels lie in a folder of the same name."""

Json = str | int | float | bool | None


@dataclass(frozen=True)
class InputPrint:
    """Tells one input from another without reading it whole."""

    size: int
    """Bytes."""
    mtime_ns: int
    """The newest file's, where there are several."""
    sha256_ends: str
    """Of the first and the last MB; of several files, of theirs in the order of names."""

    def same_bytes(self, other: "InputPrint") -> bool:
        """Whether two inputs are alike but for their times, as a copy is."""
        return (self.size, self.sha256_ends) == (other.size, other.sha256_ends)


@dataclass(frozen=True)
class Basis:
    """What results follow from, besides the input."""

    version: str
    models: Mapping[str, str]
    """By task: name@sha256."""
    settings: Mapping[str, Json]
    """What the user chose that changes results; ``mpp_csv`` and ``mpp_option`` for this slide among them."""


@dataclass(frozen=True)
class State:
    """What stands in state.json."""

    slide: str
    """Path relative to IN."""
    status: Status
    reason: str
    input: InputPrint | None
    """None for a file that could not be read at all."""
    basis: Basis
    row: Mapping[str, str]
    """The slide's row of summary.csv."""
    notes: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    """sha256 of each XML, GeoJSON and .ann.dcm by name, as we wrote it."""
    beside: Mapping[str, str] = field(default_factory=dict)
    """The same for a file that lies beside the slide."""
    earlier: tuple[str, ...] = ()
    """Of those that we wrote before, under other settings: a copy of one is no reader's answer either."""
    outputs: tuple[str, ...] = ()
    """Every file we wrote, relative to the folder; whatever else lies there is somebody's own."""
    device: str = ""
    times: Mapping[str, float | str] = field(default_factory=dict)

    @property
    def written(self) -> frozenset[str]:
        """sha256 of every XML and GeoJSON that we ever wrote of the slide, in OUT or beside it."""
        return frozenset((*self.earlier, *self.files.values(), *self.beside.values()))

    @property
    def has_stale_beside(self) -> bool:
        """Whether the XML that we put beside the slide is not the one that lies in its folder now."""
        return not set(self.beside.values()) <= set(self.files.values())

    @property
    def is_of_this_version(self) -> bool:
        """Whether this version made it: older results lack tables, too."""
        return has_our_columns(self.row)

    def has_results_of(self, current: InputPrint | None) -> bool:
        """Whether these are results, and of the same bytes as far as one can tell; None: it cannot be read now."""
        if self.status not in ("done", "partial") or self.input is None:
            return False
        return current is None or current.same_bytes(self.input)

    def differs_from(self, current: InputPrint | None, basis: Basis) -> str:
        """Why these results do not hold for that input and basis, in a few words; empty if they do."""
        if self.input is None or current != self.input:
            return CHANGED
        return self.made_otherwise_than(basis)

    def made_otherwise_than(self, basis: Basis) -> str:
        """The same, of the basis alone."""
        if not self.is_of_this_version:
            return "made by a version with other tables"
        if self.basis.version != basis.version:
            return f"made by version {self.basis.version}"
        if self.basis.models != basis.models:
            return "made with other weights"
        changed = sorted(_changed(self._used(self.basis.settings), self._used(basis.settings)))
        return f"made with another {', '.join(changed)}" if changed else ""

    def _used(self, settings: Mapping[str, Json]) -> Mapping[str, Json]:
        """Without the device, and without --mpp where the slide has its own."""
        unused = {"device"}
        if self.row.get("mpp_source") in ("csv", "file"):
            unused.add("mpp_option")
        return {key: value for key, value in settings.items() if key not in unused}


def has_our_columns(row: Mapping[str, str]) -> bool:
    """Whether a row has just the columns that summary.csv has now."""
    return set(row) == {column.name for column in SUMMARY}


def _changed(before: Mapping[str, Json], now: Mapping[str, Json]) -> set[str]:
    return {key for key in before.keys() | now.keys() if before.get(key) != now.get(key)}


def state_bytes(state: State) -> bytes:
    """Text of state.json; names that are no UTF-8 survive it as escapes."""
    said = {"format": FORMAT, **asdict(state)}
    basis = said.pop("basis")
    return (json.dumps({**said, **basis}, indent=1) + "\n").encode()


def read_state(folder: Path) -> State | None:
    """Of a slide's folder; None where there is none that can be understood."""
    try:
        data = json.loads((folder / STATE).read_bytes())
    except (OSError, ValueError):
        return None
    try:
        return _state_from(data)
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def stamp_state(folder: Path) -> tuple[int, int] | None:
    """Changes whenever somebody settles the slide; None while nobody has."""
    try:
        stat = (folder / STATE).stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_mtime_ns


def _state_from(data: Mapping[str, Any]) -> State:
    if data["format"] != FORMAT or data["status"] not in get_args(Status):
        raise ValueError("another format")
    return State(
        slide=str(data["slide"]),
        status=data["status"],
        reason=str(data["reason"]),
        input=None if data["input"] is None else InputPrint(**data["input"]),
        basis=Basis(str(data["version"]), dict(data["models"]), dict(data["settings"])),
        row={str(k): str(v) for k, v in data["row"].items()},
        notes=tuple(data["notes"]),
        files=dict(data["files"]),
        beside=dict(data["beside"]),
        earlier=tuple(data.get("earlier", ())),
        outputs=tuple(data["outputs"]),
        device=str(data["device"]),
        times=dict(data["times"]),
    )


def print_input(files: Sequence[Path]) -> InputPrint:
    """Of a slide: its file, with the folder that belongs to it, or the files of its series. Raises OSError."""
    companions = [path.with_suffix("") for path in files if path.suffix.lower() in COMPANION_FOLDERS]
    below = [path for folder in companions for path in sorted(folder.rglob("*")) if path.is_file()]
    return _print_files([*files, *below]) if below or len(files) > 1 else _print_file(files[0])


def _print_file(path: Path) -> InputPrint:
    with path.open("rb") as stream:
        stat = os.fstat(stream.fileno())
        digest = hashlib.sha256(stream.read(END_BYTES))
        if stat.st_size > END_BYTES:
            stream.seek(max(END_BYTES, stat.st_size - END_BYTES))
            digest.update(stream.read(END_BYTES))
    return InputPrint(stat.st_size, stat.st_mtime_ns, digest.hexdigest())


def _print_files(paths: Sequence[Path]) -> InputPrint:
    prints = [_print_file(path) for path in paths]
    digest = hashlib.sha256()
    for path, one in zip(paths, prints, strict=True):
        digest.update(f"{one.size} {one.sha256_ends} ".encode() + os.fsencode(path.name) + b"\0")
    newest = max((one.mtime_ns for one in prints), default=0)
    return InputPrint(sum(one.size for one in prints), newest, digest.hexdigest())


def file_sha256(path: Path) -> str | None:
    """Hex digest of a file, or None if there is none."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except FileNotFoundError:
        return None
