"""The few lines of TIFF that a slide needs. (tifffile refuses to write JPEG without a codec package.)

Layout after the TIFF 6.0 specification and Adobe's technical note 2 (JPEG, compression 7); BigTIFF where a
slide may pass 4 GB. Tiles are written as they come, so a file may be far larger than memory.
"""

import struct
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

_ASCII, _SHORT, _LONG, _RATIONAL, _LONG8 = 2, 3, 4, 5, 16
_FORMATS = {_SHORT: "H", _LONG: "I", _LONG8: "Q"}
_JPEG, _YCBCR, _CENTIMETER = 7, 6, 3


class Entry(NamedTuple):
    """One field of a directory."""

    tag: int
    type: int
    values: tuple[int, ...] | bytes


class Picture(NamedTuple):
    """One directory: an image of JPEG pieces, RGB turned to YCbCr with colour at half resolution."""

    width: int
    height: int
    tile_px: int | None
    """Edge of the square tiles; None for one strip."""
    description: str = ""
    mpp: float | None = None
    """Written as resolution tags where given."""
    is_reduced: bool = False


class TiffFile:
    """Writes pictures one after the other; use as a context manager."""

    def __init__(self, path: Path, big: bool) -> None:
        self._file = path.open("wb")
        self._big = big
        self._offset_type = _LONG8 if big else _LONG
        self._word, self._count = ("<Q", "<Q") if big else ("<I", "<H")
        self._file.write(b"II" + (struct.pack("<HHHQ", 43, 8, 0, 0) if big else struct.pack("<HI", 42, 0)))
        self._next_at = 8 if big else 4

    def __enter__(self) -> "TiffFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def write(self, picture: Picture, pieces: Iterable[bytes]) -> None:
        """Appends a picture; `pieces` are its encoded tiles in reading order, or its one strip."""
        offsets, sizes = [], []
        for piece in pieces:
            offsets.append(self._file.tell())
            sizes.append(len(piece))
            self._file.write(piece)
        entries = _entries(picture)
        where, how_long = (324, 325) if picture.tile_px else (273, 279)
        entries += [Entry(where, self._offset_type, tuple(offsets)), Entry(how_long, _LONG, tuple(sizes))]
        self._directory(sorted(entries))

    def _directory(self, entries: list[Entry]) -> None:
        """Values that do not fit into a field come first, then the fields."""
        inline = 8 if self._big else 4
        fields = []
        for entry in entries:
            data, count = _packed(entry)
            if len(data) > inline:
                self._align()
                place = struct.pack(self._word, self._file.tell())
                self._file.write(data)
            else:
                place = data.ljust(inline, b"\0")
            fields.append(struct.pack("<HH", entry.tag, entry.type) + struct.pack(self._word, count) + place)
        self._align()
        start = self._file.tell()
        self._file.write(struct.pack(self._count, len(fields)) + b"".join(fields))
        end = self._file.tell()
        self._file.write(struct.pack(self._word, 0))
        self._file.seek(self._next_at)
        self._file.write(struct.pack(self._word, start))
        self._file.seek(0, 2)
        self._next_at = end

    def _align(self) -> None:
        self._file.write(b"\0" * (-self._file.tell() % 8))


def _entries(picture: Picture) -> list[Entry]:
    entries = [
        Entry(254, _LONG, (1 if picture.is_reduced else 0,)),
        Entry(256, _LONG, (picture.width,)),
        Entry(257, _LONG, (picture.height,)),
        Entry(258, _SHORT, (8, 8, 8)),
        Entry(259, _SHORT, (_JPEG,)),
        Entry(262, _SHORT, (_YCBCR,)),
        Entry(277, _SHORT, (3,)),
        Entry(284, _SHORT, (1,)),
        Entry(530, _SHORT, (2, 2)),
        Entry(532, _RATIONAL, (0, 1, 255, 1, 128, 1, 255, 1, 128, 1, 255, 1)),
    ]
    if picture.tile_px:
        entries += [Entry(322, _SHORT, (picture.tile_px,)), Entry(323, _SHORT, (picture.tile_px,))]
    else:
        entries.append(Entry(278, _LONG, (picture.height,)))
    if picture.description:
        entries.append(Entry(270, _ASCII, picture.description.encode("ascii") + b"\0"))
    if picture.mpp:
        per_cm = (round(10_000 / picture.mpp * 10_000), 10_000)
        entries += [
            Entry(282, _RATIONAL, per_cm),
            Entry(283, _RATIONAL, per_cm),
            Entry(296, _SHORT, (_CENTIMETER,)),
        ]
    return entries


def _packed(entry: Entry) -> tuple[bytes, int]:
    """Little-endian bytes of the values, and their count as the type counts."""
    if isinstance(entry.values, bytes):
        return entry.values, len(entry.values)
    if entry.type == _RATIONAL:
        return struct.pack(f"<{len(entry.values)}I", *entry.values), len(entry.values) // 2
    return struct.pack(f"<{len(entry.values)}{_FORMATS[entry.type]}", *entry.values), len(entry.values)
