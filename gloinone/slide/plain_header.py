"""What a plain picture says of itself, by its header alone: nothing is decoded before its size is known."""

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gloinone.errors import SlideUnreadableError
from gloinone.slide.resolution import LARGEST_MPP, SMALLEST_MPP
from gloinone.slide.tiff_tags import (
    BITS,
    HEIGHT,
    ORIENTATION,
    PHOTOMETRIC,
    RESOLUTION_UNIT,
    SAMPLE_FORMAT,
    WIDTH,
    X_RESOLUTION,
    Y_RESOLUTION,
    Tags,
    read_tiff_tags,
)

Kind = Literal["PNG", "JPEG", "TIFF"]

MAGIC: dict[bytes, Kind] = {
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"II*\x00": "TIFF",
    b"MM\x00*": "TIFF",
    b"II+\x00": "TIFF",
    b"MM\x00+": "TIFF",
}
START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
CENTIMETRE = 3
"""Value of the TIFF tag ResolutionUnit."""
WHITE_IS_ZERO, CMYK = 0, 5
"""Values of the TIFF tag PhotometricInterpretation."""


@dataclass(frozen=True)
class PlainHeader:
    """Size and resolution of a plain picture, in stored pixels: EXIF orientation turns nothing."""

    kind: Kind
    width: int
    height: int
    mpp: tuple[float, float] | None
    """x, y; only a TIFF in centimetres is believed: dots per inch are a printer's, not a microscope's."""
    refused: str = ""
    """Why a picture of this kind is not read, with the mend; empty where it is."""


def plain_kind(path: Path) -> Kind | None:
    """Which kind of plain picture the file begins like."""
    with path.open("rb") as file:
        start = file.read(8)
    return next((kind for magic, kind in MAGIC.items() if start.startswith(magic)), None)


def read_header(path: Path, name: str) -> PlainHeader:
    """Header of a plain picture, of a kind that is refused too; SlideUnreadableError for what is damaged."""
    kind = plain_kind(path)
    try:
        if kind == "PNG":
            return _png_header(path)
        if kind == "JPEG":
            return _jpeg_header(path)
        if kind == "TIFF":
            return _tiff_header(path)
    except (struct.error, ValueError, KeyError, OverflowError) as error:
        raise SlideUnreadableError(
            f"{name}: damaged {kind} header ({error}); copy or export it again", quoted=str(error)
        ) from error
    raise SlideUnreadableError(f"{name}: not a slide, PNG, JPEG or TIFF; remove it or export it again")


def _png_header(path: Path) -> PlainHeader:
    with path.open("rb") as file:
        start = file.read(33)
    tag, width, height = struct.unpack(">12x4sII", start[:24])
    if tag != b"IHDR" or len(start) < 33 or zlib.crc32(start[12:29]) != int.from_bytes(start[29:33], "big"):
        raise ValueError("its IHDR is broken")
    return PlainHeader("PNG", width, height, None)


def _jpeg_header(path: Path) -> PlainHeader:
    with path.open("rb") as file:
        file.seek(2)
        while True:
            marker = file.read(2)
            if len(marker) < 2 or marker[0] != 0xFF:
                raise ValueError("no frame before the data")
            if marker[1] == 0xFF:  # fill byte
                file.seek(-1, 1)
                continue
            (length,) = struct.unpack(">H", file.read(2))
            if marker[1] in START_OF_FRAME:
                bits, height, width, channels = struct.unpack(">BHHB", file.read(6))
                break
            file.seek(length - 2, 1)
    if channels in (1, 3) and bits == 8:
        return PlainHeader("JPEG", width, height, None)
    kind = "CMYK" if channels == 4 else f"{channels} channels of {bits} bits"
    return PlainHeader("JPEG", width, height, None, f"a JPEG in {kind}; save it as RGB with 8 bits a channel")


def _tiff_header(path: Path) -> PlainHeader:
    pictures = read_tiff_tags(path)
    tags = pictures[0]
    (width,), (height,) = tags[WIDTH], tags[HEIGHT]
    same_size = sum(other.get(WIDTH) == (width,) and other.get(HEIGHT) == (height,) for other in pictures)
    refused = _tiff_refused(tags, same_size)
    words = f"a TIFF {refused}" if refused else ""
    return PlainHeader("TIFF", int(width), int(height), _tiff_mpp(tags), words)


def _tiff_refused(tags: Tags, pictures: int) -> str | None:
    """Why a flat TIFF is not read, with the mend."""
    bits = set(tags.get(BITS, (1,)))
    if not bits <= {8, 16} or set(tags.get(SAMPLE_FORMAT, (1,))) != {1}:
        return f"of {max(bits):g} bits or other numbers than counts; save it as RGB with 8 bits a channel"
    if tags.get(PHOTOMETRIC) == (CMYK,):
        return "in CMYK; save it as RGB"
    if tags.get(PHOTOMETRIC) == (WHITE_IS_ZERO,) and 16 in bits:
        return "of 16 bits in which white is 0; save it with 8 bits a channel"
    if tags.get(ORIENTATION, (1,)) != (1,):
        return "that is stored turned (Orientation); save it upright"
    if pictures > 1:
        return f"of {pictures} pictures of one size (a stack); save the one that is meant"
    return None


def _tiff_mpp(tags: Tags) -> tuple[float, float] | None:
    x_per_cm, y_per_cm = tags.get(X_RESOLUTION, (0,))[0], tags.get(Y_RESOLUTION, (0,))[0]
    if tags.get(RESOLUTION_UNIT) != (CENTIMETRE,) or not x_per_cm or not y_per_cm:
        return None
    x, y = 10_000 / x_per_cm, 10_000 / y_per_cm
    return (x, y) if min(x, y) >= SMALLEST_MPP and max(x, y) <= LARGEST_MPP else None
