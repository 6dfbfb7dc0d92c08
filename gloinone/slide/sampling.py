"""From a pyramid of levels to an image of any window: the arithmetic of reading, and its one resampling.

Level px i of a level with downsample d covers level-0 px i*d to (i+1)*d. Where 2500 px became 312, d is 8 and not
8.013: scanners average whole blocks and drop what is left over. Rectangles are whole level pixels, and the
answer holds the level-0 window that was really read, not the one that was asked for.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from gloinone.records import Mask, Pixels, SlideInfo, Window

COARSER_BY = 1.02
"""A level this much coarser than what was asked still serves: 0.2508 um/px for 0.25."""


@dataclass(frozen=True)
class Level:
    """One level of the pyramid."""

    width: int
    """Level px."""
    height: int
    """Level px."""
    downsample_x: float = 1.0
    """Level-0 px per level px."""
    downsample_y: float = 1.0
    """Level-0 px per level px."""

    @property
    def downsample(self) -> float:
        """Geometric mean of the two, which differ by rounding only."""
        return math.sqrt(self.downsample_x * self.downsample_y)


@dataclass(frozen=True)
class Read:
    """An image and where on the slide it lies."""

    window: Window
    pixels: Pixels
    """(H, W, 3); background colour where nothing was scanned, the slide's reflection outside of it."""
    scanned: Mask
    """(H, W); False where the file has no pixels (alpha 0). Reflected like the pixels outside the slide."""
    unread: Mask | None = None
    """(H, W); True where an overview met damage: unknown, which is not white. None: all was read."""


@dataclass(frozen=True)
class LevelRead:
    """A rectangle of one level as the file has it."""

    pixels: Pixels
    scanned: Mask | None
    """None: everything was scanned."""
    x: float
    """Left edge, level px; what was asked for but for a fraction of a pixel."""
    y: float
    """Top edge, level px."""


class Slide(Protocol):
    """An open slide, as every stage sees it. ``pyramid.PyramidSlide`` says what the methods promise."""

    info: SlideInfo
    path: Path
    background: tuple[int, int, int]
    """RGB that stands where nothing was scanned."""
    levels: tuple[Level, ...]

    def read_window(
        self, x: float, y: float, width: float, height: float, width_px: int, height_px: int
    ) -> Read:
        """Level-0 window as an image of width_px x height_px."""

    def overview(self, um_per_px: float) -> Read:
        """The whole slide at about that resolution."""

    def reopen(self) -> "Slide":
        """A fresh handle on the same file."""

    def close(self) -> None:
        """Frees the handle, once no read is under way."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def make_level(width: int, height: int, full_width: int, full_height: int) -> Level:
    """Level of a slide, its downsample whole where the sizes allow it.

    >>> make_level(312, 250, 2500, 2000)
    Level(width=312, height=250, downsample_x=8, downsample_y=8)
    """
    whole = round(math.sqrt(full_width / width * full_height / height))
    if _fits(width, full_width, whole) and _fits(height, full_height, whole):
        return Level(width, height, whole, whole)
    return Level(width, height, full_width / width, full_height / height)


def _fits(size: int, full_size: int, downsample: int) -> bool:
    return size in (full_size // downsample, -(-full_size // downsample))


def choose_level(levels: Sequence[Level], downsample: float) -> int:
    """Index of the coarsest level that is at least as fine as asked; level 0 where none is."""
    fine = [i for i, level in enumerate(levels) if level.downsample <= downsample * COARSER_BY]
    return max(fine, key=lambda i: levels[i].downsample, default=0)


def reflected(start: int, stop: int, size: int) -> NDArray[np.intp]:
    """Indices start..stop-1 folded into 0..size-1 by reflection at the outer pixels, however far out.

    >>> reflected(-3, 6, 4).tolist()
    [3, 2, 1, 0, 1, 2, 3, 2, 1]
    >>> reflected(-2, 2, 1).tolist()
    [0, 0, 0, 0]
    """
    if size == 1:
        return np.zeros(stop - start, np.intp)
    period = 2 * (size - 1)
    folded = np.arange(start, stop, dtype=np.intp) % period
    return np.minimum(folded, period - folded)


def resample(pixels: Pixels, width_px: int, height_px: int) -> Pixels:
    """(H, W[, C]) to (height_px, width_px[, C]): area mean downwards, linear upwards, edges on edges."""
    height, width = pixels.shape[:2]
    if (width, height) == (width_px, height_px):
        return pixels
    down = width >= width_px and height >= height_px
    out = cv2.resize(
        pixels, (width_px, height_px), interpolation=cv2.INTER_AREA if down else cv2.INTER_LINEAR
    )
    return np.asarray(out, np.uint8)
