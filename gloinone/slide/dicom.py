"""Which DICOM series a file belongs to, from the first elements of its header; patient data are stepped over.

Only the SOP class and the series are looked for (DICOM PS3.5 section 7, PS3.10 section 7), so that a folder
with thousands of instances is sorted into slides without opening each through OpenSlide.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

SLIDE_SOP_CLASS = "1.2.840.10008.5.1.4.1.1.77.1.6"
"""VL Whole Slide Microscopy Image Storage."""
IMPLICIT_LITTLE_ENDIAN = b"1.2.840.10008.1.2"
META_GROUP = 0x0002
SOP_CLASS = (0x0002, 0x0002)
TRANSFER_SYNTAX = (0x0002, 0x0010)
SERIES = (0x0020, 0x000E)
LONG_VRS = frozenset(
    (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")
)
UNDEFINED = 0xFFFFFFFF
ITEM_GROUP = 0xFFFE
SEQUENCE_END = (0xFFFE, 0xE0DD)
ITEM_END = (0xFFFE, 0xE00D)


@dataclass(frozen=True)
class DicomHeader:
    """What decides where an instance belongs."""

    sop_class: str
    series: str

    @property
    def is_slide(self) -> bool:
        """One level, or another image, of a whole slide."""
        return self.sop_class == SLIDE_SOP_CLASS


def read_dicom_header(path: Path) -> DicomHeader | None:
    """SOP class and series of a DICOM file, or None for what is no DICOM file or broken in its header."""
    found: dict[tuple[int, int], str] = {}
    try:
        with path.open("rb") as file:
            if file.read(132)[128:] != b"DICM":
                return None
            for tag, value in _elements(file):
                found[tag] = value.decode("ascii", "replace").rstrip("\0 ")
    except (OSError, struct.error, ValueError):
        return None
    if SOP_CLASS not in found or SERIES not in found:
        return None
    return DicomHeader(found[SOP_CLASS], found[SERIES])


def largest_instance(folder: Path) -> Path | None:
    """Of the slide series in a folder, the largest file (the finest level's); None where it holds no series.

    Where it holds several series, the one of the first file counts.
    """
    files = sorted(entry for entry in folder.iterdir() if entry.is_file())
    headers = {file: header for file in files if (header := read_dicom_header(file)) and header.is_slide}
    if not headers:
        return None
    series = next(iter(headers.values())).series
    own = [file for file, header in headers.items() if header.series == series]
    return max(own, key=lambda file: (file.stat().st_size, file.name))


def _elements(file: BinaryIO) -> Iterator[tuple[tuple[int, int], bytes]]:
    """The wanted elements, the series last; the file meta group (0002) is always explicit little-endian."""
    syntax = b""
    while True:
        tag: tuple[int, int] = struct.unpack("<HH", file.read(4))
        if tag > SERIES:
            return
        explicit = tag[0] == META_GROUP or syntax != IMPLICIT_LITTLE_ENDIAN
        length = _length(file, explicit)
        if length == UNDEFINED:
            _skip_sequence(file, explicit)
        elif tag in (SOP_CLASS, TRANSFER_SYNTAX, SERIES):
            value = file.read(length)
            if len(value) != length:
                raise ValueError("cut short")
            if tag == TRANSFER_SYNTAX:
                syntax = value.rstrip(b"\0 ")
            yield tag, value
            if tag == SERIES:
                return
        else:
            file.seek(length, 1)


def _length(file: BinaryIO, explicit: bool) -> int:
    """Length of the element whose tag was just read."""
    if not explicit:
        return _unsigned(file, "<I")
    kind = file.read(2)
    if not (kind.isalpha() and kind.isupper()):
        raise ValueError(f"{kind!r} is no value representation")
    if kind in LONG_VRS:
        file.seek(2, 1)
        return _unsigned(file, "<I")
    return _unsigned(file, "<H")


def _unsigned(file: BinaryIO, layout: str) -> int:
    return int(struct.unpack(layout, file.read(struct.calcsize(layout)))[0])


def _skip_sequence(file: BinaryIO, explicit: bool) -> None:
    """Steps over the items of a sequence of undefined length, nested ones included."""
    depth = 1
    while depth:
        tag = struct.unpack("<HH", file.read(4))
        if tag[0] == ITEM_GROUP:
            length = _unsigned(file, "<I")
            if tag in (SEQUENCE_END, ITEM_END):
                depth -= 1
            elif length == UNDEFINED:
                depth += 1
            else:
                file.seek(length, 1)
            continue
        length = _length(file, explicit)
        if length == UNDEFINED:
            depth += 1
        else:
            file.seek(length, 1)
