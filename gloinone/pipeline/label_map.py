"""masks.tif: the slide at 1 um/px, each pixel the number of its glomerulus; pyramidal, written tile by tile.

A tile is rasterised from the rings when its turn comes, so memory holds one tile whatever the slide measures.
Where outlines overlap the glomerulus of the higher score wins (of equal scores the lower number).
"""

import math
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

from gloinone.errors import OutputError
from gloinone.geometry import ring_mask
from gloinone.records import Glomerulus, Points, SlideInfo

UM_PER_PX = 1.0
TILE_PX = 512
MAX_NUMBER = 65535
"""What uint16 holds."""
COMPRESSION_LEVEL = 1
"""Level 6 takes four times as long for two fifths less."""
BIG_TIFF_OVER = 2**36
"""Uncompressed bytes beyond which 4 GB may not hold the file: labels compress at least sixteenfold."""

Labels = NDArray[np.uint16]
"""(H, W) number of the glomerulus, 0 elsewhere."""


@dataclass(frozen=True)
class NumberedRing:
    """One glomerulus, in microns from the slide's corner or in px of a level, as whoever takes it says."""

    number: int
    ring: Points


@dataclass(frozen=True)
class Level:
    """One resolution of the pyramid; pixel i shows pixel (i + 1/2) * step of the full one, rounded down."""

    width: int
    height: int
    step: int
    """Full-resolution px per px."""

    @property
    def columns(self) -> int:
        """Tiles side by side."""
        return math.ceil(self.width / TILE_PX)

    @property
    def rows(self) -> int:
        """Tiles on top of each other."""
        return math.ceil(self.height / TILE_PX)

    def pixels_from_um(self, ring_um: Points) -> Points:
        """Ring in px of this level, such that the pixel centres in it are the full pixels sampled."""
        return (ring_um / UM_PER_PX - self.step // 2 - 0.5) / self.step + 0.5


def write_label_map(path: Path, glomeruli: Sequence[Glomerulus], info: SlideInfo) -> None:
    """Write the map of one slide.

    Raises
    ------
    OutputError
        When a number does not fit into 16 bits.
    """
    too_high = [g.number for g in glomeruli if not 0 < g.number <= MAX_NUMBER]
    if too_high:
        raise OutputError(
            f"{info.name}: {len(glomeruli)} glomeruli are more than masks.tif can number ({MAX_NUMBER}); "
            "raise --min-score or pass --no-masks"
        )
    by_score = sorted(glomeruli, key=lambda g: (g.candidate.score, -g.number))
    rings = [NumberedRing(g.number, g.outline.ring * info.mpp) for g in by_score]
    levels = pyramid(info)
    nbytes = 2 * levels[0].width * levels[0].height
    with tifffile.TiffWriter(path, byteorder="<", bigtiff=nbytes > BIG_TIFF_OVER) as tiff:
        for level in levels:
            tiff.write(
                _encoded_tiles(level, rings),
                shape=(level.height, level.width),
                dtype=np.uint16,
                tile=(TILE_PX, TILE_PX),
                compression="zlib",
                photometric="minisblack",
                subfiletype=0 if level.step == 1 else 1,  # 1: reduced copy, how OpenSlide knows a pyramid
                resolution=(1e4 / (UM_PER_PX * level.step),) * 2,  # px per cm
                resolutionunit="CENTIMETER",
                metadata=None,
                software=False,
            )


def pyramid(info: SlideInfo) -> list[Level]:
    """Full resolution first, halved until a level fits into one tile."""
    width = max(1, math.ceil(info.width * info.mpp / UM_PER_PX))
    height = max(1, math.ceil(info.height * info.mpp / UM_PER_PX))
    levels = [Level(width, height, 1)]
    while max(levels[-1].width, levels[-1].height) > TILE_PX:
        step = 2 * levels[-1].step
        levels.append(Level(math.ceil(width / step), math.ceil(height / step), step))
    return levels


def _encoded_tiles(level: Level, rings: Sequence[NumberedRing]) -> Iterator[bytes]:
    """The tiles of a level row by row from rings in microns.

    They are compressed here, so that the bytes do not depend on the codecs that happen to be installed.
    """
    by_tile = _rings_by_tile(level, rings)
    empty = zlib.compress(bytes(2 * TILE_PX * TILE_PX), 9)
    for row in range(level.rows):
        for column in range(level.columns):
            inside = by_tile.get((column, row))
            if inside is None:
                yield empty
            else:
                labels = draw_tile(column * TILE_PX, row * TILE_PX, inside)
                yield zlib.compress(labels.astype("<u2").tobytes(), COMPRESSION_LEVEL)


def _rings_by_tile(level: Level, rings: Sequence[NumberedRing]) -> dict[tuple[int, int], list[NumberedRing]]:
    """Rings in microns -> by (column, row) of a tile, in order, those that reach into it, in px."""
    by_tile: dict[tuple[int, int], list[NumberedRing]] = {}
    for numbered in rings:
        ring = level.pixels_from_um(numbered.ring)
        first = np.maximum(ring.min(axis=0) // TILE_PX, 0).astype(int)
        last = np.minimum(ring.max(axis=0) // TILE_PX, [level.columns - 1, level.rows - 1]).astype(int)
        for row in range(first[1], last[1] + 1):
            for column in range(first[0], last[0] + 1):
                by_tile.setdefault((column, row), []).append(NumberedRing(numbered.number, ring))
    return by_tile


def draw_tile(x: int, y: int, rings: Sequence[NumberedRing]) -> Labels:
    """(TILE_PX, TILE_PX) labels of the tile at x, y; all in px of one level; later rings win."""
    labels = np.zeros((TILE_PX, TILE_PX), np.uint16)
    for numbered in rings:
        ring = numbered.ring - [x, y]
        x0, y0 = np.clip(np.floor(ring.min(axis=0)), 0, TILE_PX).astype(int)
        x1, y1 = np.clip(np.ceil(ring.max(axis=0)), 0, TILE_PX).astype(int)
        if x1 > x0 and y1 > y0:
            inside = ring_mask(ring - [x0, y0], x1 - x0, y1 - y0)
            labels[y0:y1, x0:x1][inside] = numbered.number
    return labels
