"""The tags of a TIFF's pictures, classic or big, by its directories alone (TIFF 6.0, section 2)."""

import struct
from pathlib import Path
from typing import BinaryIO

Tags = dict[int, tuple[float, ...]]
"""Values by tag; rationals as quotients."""

WIDTH, HEIGHT, BITS, PHOTOMETRIC, ORIENTATION = 256, 257, 258, 262, 274
X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT, SAMPLE_FORMAT = 282, 283, 296, 339

LAYOUTS = {1: "B", 3: "H", 4: "I", 5: "II", 13: "I", 16: "Q"}
"""struct letters of a value by the field type; others are not needed here."""
MOST_VALUES = 16
"""Longer values, such as the offsets of strips, are not read."""
MOST_PICTURES = 10_000


def read_tiff_tags(path: Path) -> list[Tags]:
    """Tags of every picture in the chain of directories; ValueError or struct.error where it is broken."""
    with path.open("rb") as file:
        start = file.read(16)
        order = "<" if start[:2] == b"II" else ">"
        (version,) = struct.unpack(order + "H", start[2:4])
        big = version == 43
        (at,) = struct.unpack(order + "Q", start[8:16]) if big else struct.unpack(order + "I", start[4:8])
        size = file.seek(0, 2)
        pictures: list[Tags] = []
        seen: set[int] = set()
        while at:
            if at in seen or at >= size or len(pictures) >= MOST_PICTURES:
                raise ValueError(f"its directory {len(pictures)} lies at {at} of {size} bytes")
            seen.add(at)
            file.seek(at)
            tags, at = _directory(file, order, big)
            pictures.append(tags)
    if not pictures:
        raise ValueError("no picture inside")
    return pictures


def _directory(file: BinaryIO, order: str, big: bool) -> tuple[Tags, int]:
    """Tags of one directory and where the next one begins, 0 for none."""
    count_layout, entry_layout, next_layout = ("Q", "HHQ8s", "Q") if big else ("H", "HHI4s", "I")
    (count,) = struct.unpack(order + count_layout, file.read(struct.calcsize(order + count_layout)))
    entry_size = struct.calcsize(order + entry_layout)
    table = file.read(min(count, 1 << 16) * entry_size)
    following = file.read(struct.calcsize(order + next_layout))
    tags: Tags = {}
    for tag, kind, length, inline in struct.iter_unpack(order + entry_layout, table):
        if kind not in LAYOUTS or not 1 <= length <= MOST_VALUES:
            continue
        layout = order + LAYOUTS[kind] * length
        needed = struct.calcsize(layout)
        if needed > len(inline):
            file.seek(struct.unpack(order + next_layout, inline)[0])
            inline = file.read(needed)
        values = struct.unpack(layout, inline[:needed])
        if kind == 5:
            pairs = zip(values[::2], values[1::2], strict=True)
            values = tuple(above / below if below else 0.0 for above, below in pairs)
        tags[tag] = values
    return tags, int(struct.unpack(order + next_layout, following)[0])
