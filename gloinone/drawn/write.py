"""Pixels to a slide file that OpenSlide opens: a pyramidal tiled TIFF, or one laid out as Aperio's scanners do."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from gloinone.drawn.tiff_file import Picture, TiffFile
from gloinone.errors import UsageError
from gloinone.records import Pixels

TILE_PX = 256
"""Edge of a tile."""
_SMALLEST_PX = 512
"""A level that fits into this has no level below it."""
_THUMBNAIL_PX = 1024
_BIG_OVER = 2**32
"""Uncompressed bytes beyond which a classic TIFF might not do."""
_MAKER = "gloinone drawn slide"


def write_tiff(path: Path, pixels: Pixels, mpp: float, quality: int = 90) -> None:
    """Generic tiled TIFF, halved from level to level; resolution tags carry `mpp`."""
    _check(pixels, mpp)
    width = pixels.shape[1]
    with TiffFile(path, _is_big(pixels)) as tiff:
        for number, level in enumerate(pyramid(pixels, 2)):
            level_mpp = mpp * width / level.shape[1]
            tiff.write(
                Picture(level.shape[1], level.shape[0], TILE_PX, _MAKER, level_mpp, is_reduced=number > 0),
                encoded_tiles(level, quality),
            )


def write_svs(path: Path, pixels: Pixels, mpp: float, magnification: float, quality: int = 90) -> None:
    """Aperio layout: level 0, a thumbnail in one strip, levels of a quarter each.

    `mpp` and the magnification stand in the image descriptions, where OpenSlide looks for them.
    """
    _check(pixels, mpp)
    height, width = pixels.shape[:2]
    header = f"Aperio Image Library v12.0.0 ({_MAKER})\r\n{width}x{height}"
    whole = f"{header} [0,0 {width}x{height}] ({TILE_PX}x{TILE_PX})"
    tail = f"JPEG/RGB Q={quality}|AppMag = {magnification:g}|MPP = {mpp:.6g}"
    with TiffFile(path, _is_big(pixels)) as tiff:
        for number, level in enumerate(pyramid(pixels, 4)):
            to = f" -> {level.shape[1]}x{level.shape[0]}" if number else ""
            picture = Picture(level.shape[1], level.shape[0], TILE_PX, f"{whole}{to} {tail}")
            tiff.write(picture, encoded_tiles(level, quality))
            if number == 0:
                small = _thumbnail(pixels)
                to = f" -> {small.shape[1]}x{small.shape[0]}"
                tiff.write(
                    Picture(small.shape[1], small.shape[0], None, f"{header}{to} - {tail}"),
                    [jpeg(small, quality)],
                )


def pyramid(pixels: Pixels, step: int) -> list[Pixels]:
    """The pixels and, while they are larger than a screen, `step` times smaller averages."""
    levels = [pixels]
    while max(levels[-1].shape[:2]) > _SMALLEST_PX and min(levels[-1].shape[:2]) >= step:
        height, width = levels[-1].shape[:2]
        smaller = cv2.resize(levels[-1], (width // step, height // step), interpolation=cv2.INTER_AREA)
        levels.append(np.asarray(smaller, np.uint8))
    return levels


def _thumbnail(pixels: Pixels) -> Pixels:
    height, width = pixels.shape[:2]
    scale = min(1.0, _THUMBNAIL_PX / max(width, height))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


def encoded_tiles(level: Pixels, quality: int) -> Iterator[bytes]:
    """Encoded tiles in reading order; those that stick out repeat their last row and column."""
    height, width = level.shape[:2]
    for y in range(0, height, TILE_PX):
        for x in range(0, width, TILE_PX):
            tile = level[y : y + TILE_PX, x : x + TILE_PX]
            below, right = TILE_PX - tile.shape[0], TILE_PX - tile.shape[1]
            if below or right:
                tile = np.pad(tile, ((0, below), (0, right), (0, 0)), mode="edge")
            yield jpeg(tile, quality)


def jpeg(pixels: Pixels, quality: int) -> bytes:
    """One encoded tile."""
    settings: Sequence[int] = (
        cv2.IMWRITE_JPEG_QUALITY,
        quality,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420,
    )
    done, data = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), settings)
    assert done, "OpenCV encodes every 8-bit RGB image"
    return bytes(data.tobytes())


def _is_big(pixels: Pixels) -> bool:
    return pixels.nbytes > _BIG_OVER


def _check(pixels: Pixels, mpp: float) -> None:
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8 or pixels.size == 0:
        raise ValueError(f"a slide is (H, W, 3) bytes, got {pixels.shape} of {pixels.dtype}")
    if not 0.05 <= mpp <= 20:
        raise UsageError(f"mpp {mpp} is outside 0.05 to 20 um/px")
