"""Slides that the tests of gloinone.slide write: pyramids in TIFF, and pictures with a known pattern."""

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray

Picture = NDArray[np.uint8]


def smooth(width: int, height: int, grain: int = 16, seed: int = 0) -> Picture:
    """Coloured noise without detail finer than ``grain`` px."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (height // grain + 2, width // grain + 2, 3)).astype(np.uint8)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def blob(width: int, height: int, x: float, y: float, sigma: float) -> Picture:
    """A bright spot on black centred at x, y (continuous: the first pixel's centre is .5)."""
    across = np.exp(-0.5 * ((np.arange(width) + 0.5 - x) / sigma) ** 2)
    down = np.exp(-0.5 * ((np.arange(height) + 0.5 - y) / sigma) ** 2)
    return np.repeat((255 * down[:, None] * across[None]).round().astype(np.uint8)[..., None], 3, axis=2)


def write_pyramid(
    path: Path,
    picture: Picture,
    downsamples: Sequence[int] = (),
    mpp: float | None = 0.5,
    missing: Sequence[tuple[int, int]] = (),
) -> Path:
    """Tiled TIFF (256 px, deflate); level sizes are rounded down. ``missing``: row, column of absent tiles."""
    options: dict[str, object] = {"tile": (256, 256), "photometric": "rgb", "compression": "zlib"}
    if mpp is not None:
        options |= {"resolution": (1e4 / mpp, 1e4 / mpp), "resolutionunit": "CENTIMETER"}
    height, width = picture.shape[:2]
    with tifffile.TiffWriter(path) as tiff:
        if missing:
            tiles = _tiles(picture, missing)
            options["compression"] = None
            tiff.write(tiles, shape=picture.shape, dtype=np.uint8, **options)
        else:
            tiff.write(picture, **options)
        for downsample in downsamples:
            size = (width // downsample, height // downsample)
            whole = picture[: size[1] * downsample, : size[0] * downsample]
            level = cv2.resize(whole, size, interpolation=cv2.INTER_AREA)
            tiff.write(level, subfiletype=1, **options)
    return path


def _tiles(picture: Picture, missing: Sequence[tuple[int, int]]) -> Iterator[Picture | None]:
    for row in range(-(-picture.shape[0] // 256)):
        for column in range(-(-picture.shape[1] // 256)):
            tile = picture[row * 256 : row * 256 + 256, column * 256 : column * 256 + 256]
            yield None if (row, column) in missing else np.ascontiguousarray(tile)


def break_tile(path: Path, row: int, column: int, level: int = 0) -> None:
    """Overwrites the deflated bytes of one tile of a level."""
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages[level]
        assert isinstance(page, tifffile.TiffPage)
        across = -(-page.imagewidth // page.tilewidth)
        offset = page.dataoffsets[row * across + column]
        length = page.databytecounts[row * across + column]
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(b"\xff" * length)


def element(group: int, number: int, kind: bytes, value: bytes) -> bytes:
    """One DICOM element, explicit little-endian."""
    value += b"\0" * (len(value) % 2)
    if kind in (b"SQ", b"UN", b"OB"):
        return struct.pack("<HH2s2xI", group, number, kind, len(value)) + value
    return struct.pack("<HH2sH", group, number, kind, len(value)) + value


def write_dicom(path: Path, series: str, sop_class: str, syntax: str = "1.2.840.10008.1.2.1") -> Path:
    """The header of an instance, explicit little-endian, with a sequence of undefined length before the series."""
    sequence = struct.pack("<HH2s2xI", 0x0008, 0x1140, b"SQ", 0xFFFFFFFF)
    sequence += struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF) + element(0x0008, 0x1155, b"UI", b"1.2.3")
    sequence += struct.pack("<HHI", 0xFFFE, 0xE00D, 0) + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    path.write_bytes(
        b"\0" * 128
        + b"DICM"
        + element(0x0002, 0x0002, b"UI", sop_class.encode())
        + element(0x0002, 0x0010, b"UI", syntax.encode())
        + sequence
        + element(0x0010, 0x0010, b"PN", b"SECRET^NAME")
        + element(0x0020, 0x000E, b"UI", series.encode())
        + element(0x0020, 0x0011, b"IS", b"1")
    )
    return path
