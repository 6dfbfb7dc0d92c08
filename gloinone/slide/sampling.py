"""From a pyramid of levels to an image of any window: the arithmetic of reading, and its one resampling.

Level px i of a level with downsample d covers level-0 px i*d to (i+1)*d: OpenSlide's convention. OpenSlide's
d is the mean of the two axes' ratios, so it need not be whole (2500 px over 312 px); rectangles are whole
level pixels, and the answer holds the level-0 window that was really read, not the one that was asked for.
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from gloinone.errors import SlideUnreadableError
from gloinone.records import Mask, Pixels, SlideInfo, Window

COARSER_BY = 1.02
"""A level this much coarser than what was asked still serves: 0.2508 um/px for 0.25."""
BLOCK_PX = 4096
"""Edge of the level rectangle that one read of an overview may take: bounds memory at 64 MB a thread."""
SMALLEST_BLOCK_PX = 512
"""Level px: a stretch of the overview that cannot be read is narrowed down to about this."""


@dataclass(frozen=True)
class Level:
    """One level of the pyramid."""

    width: int
    """Level px."""
    height: int
    """Level px."""
    downsample: float
    """Level-0 px per level px."""


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
    """Left edge, level-0 px."""
    y: float
    """Top edge, level-0 px."""


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


class PyramidSlide(ABC):
    """An open slide. Reads may come from several threads at once; close it when the last one has ended."""

    info: SlideInfo
    path: Path
    background: tuple[int, int, int]
    levels: tuple[Level, ...]

    @abstractmethod
    def read_level(self, level: int, x: int, y: int, width: int, height: int) -> LevelRead:
        """A rectangle in level px that lies inside the level; raises SlideUnreadableError."""

    @abstractmethod
    def reopen(self) -> "PyramidSlide":
        """A fresh handle on the same file; raises SlideUnreadableError when it has gone."""

    @abstractmethod
    def close(self) -> None:
        """Frees the handle; may be called twice."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def read_window(
        self, x: float, y: float, width: float, height: float, width_px: int, height_px: int
    ) -> Read:
        """Level-0 window, which may stick out of the slide, as an image of width_px x height_px.

        One resampling from the coarsest level that is at least as fine. The window is rounded to whole pixels
        of that level; the answer says which it became. Raises SlideUnreadableError, after which an OpenSlide
        handle fails for good: go on with ``reopen()``.
        """
        asked = Window(x, y, width, height, width_px, height_px)
        index = choose_level(self.levels, min(width / width_px, height / height_px))
        level = self.levels[index]
        left, top = round(asked.x / level.downsample), round(asked.y / level.downsample)
        right = max(left + 1, round((asked.x + asked.width) / level.downsample))
        bottom = max(top + 1, round((asked.y + asked.height) / level.downsample))
        columns, rows = reflected(left, right, level.width), reflected(top, bottom, level.height)
        x_level, y_level = int(columns.min()), int(rows.min())
        part = self.read_level(
            index, x_level, y_level, int(columns.max()) - x_level + 1, int(rows.max()) - y_level + 1
        )
        window = Window(
            part.x + (left - x_level) * level.downsample,
            part.y + (top - y_level) * level.downsample,
            (right - left) * level.downsample,
            (bottom - top) * level.downsample,
            width_px,
            height_px,
        )
        inside = left >= 0 and top >= 0 and right <= level.width and bottom <= level.height
        pick = None if inside else np.ix_(rows - y_level, columns - x_level)
        pixels = part.pixels if pick is None else part.pixels[pick]
        scanned = part.scanned if part.scanned is None or pick is None else part.scanned[pick]
        return self._finish(window, pixels, scanned)

    def _finish(self, window: Window, pixels: Pixels, scanned: Mask | None) -> Read:
        """Resamples pixels and mask; what is less than half scanned is background altogether."""
        out = resample(pixels, window.width_px, window.height_px)
        if scanned is None:
            return Read(window, out, np.ones(out.shape[:2], np.bool_))
        mask = resample(scanned.astype(np.uint8) * 255, window.width_px, window.height_px) >= 128
        out = out.copy()
        out[~mask] = self.background
        return Read(window, out, mask)

    def overview(self, um_per_px: float) -> Read:
        """The whole slide at that resolution (or its own, where that is coarser), read in bounded blocks.

        A damaged stretch is marked in ``unread``; raises SlideUnreadableError when nothing could be read.
        """
        downsample = max(1.0, um_per_px / self.info.mpp)
        width_px = max(1, round(self.info.width / downsample))
        height_px = max(1, round(self.info.height / downsample))
        window = Window(0, 0, self.info.width, self.info.height, width_px, height_px)
        return OverviewReader(self, window).read()


class OverviewReader:
    """Reads one window in blocks, on handles of its own, so that damage does not poison the caller's."""

    def __init__(self, slide: PyramidSlide, window: Window) -> None:
        self.slide = slide
        self.window = window
        self.pixels: Pixels = np.empty((window.height_px, window.width_px, 3), np.uint8)
        self.pixels[:] = slide.background
        self.scanned: Mask = np.zeros((window.height_px, window.width_px), np.bool_)
        self.unread: Mask = np.zeros((window.height_px, window.width_px), np.bool_)
        level = slide.levels[choose_level(slide.levels, window.downsample)]
        self.level_px_per_px = max(1.0, window.downsample / level.downsample)
        self.edge_px = max(1, int(BLOCK_PX / self.level_px_per_px))
        self.smallest_px = max(1, int(SMALLEST_BLOCK_PX / self.level_px_per_px))

    def read(self) -> Read:
        """All blocks, several rows of them at a time."""
        tops = range(0, self.window.height_px, self.edge_px)
        workers = min(4, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1, len(tops))
        with ThreadPoolExecutor(workers) as pool:
            errors = [error for row in pool.map(self._read_row, tops) for error in row]
        if errors and self.unread.all():
            raise errors[0]
        return Read(self.window, self.pixels, self.scanned, self.unread if errors else None)

    def _read_row(self, top: int) -> list[SlideUnreadableError]:
        errors: list[SlideUnreadableError] = []
        bottom = min(top + self.edge_px, self.window.height_px)
        todo = [
            (left, top, min(left + self.edge_px, self.window.width_px), bottom)
            for left in reversed(range(0, self.window.width_px, self.edge_px))
        ]
        slide = self.slide.reopen()
        try:
            while todo:
                block = todo.pop()
                try:
                    self._read_block(slide, block)
                except SlideUnreadableError as error:
                    errors.append(error)
                    todo.extend(self._narrowed(block))
                    slide.close()
                    slide = self.slide.reopen()
        finally:
            slide.close()
        return errors

    def _read_block(self, slide: PyramidSlide, block: tuple[int, int, int, int]) -> None:
        left, top, right, bottom = block
        step_x = self.window.width / self.window.width_px
        step_y = self.window.height / self.window.height_px
        read = slide.read_window(
            left * step_x,
            top * step_y,
            (right - left) * step_x,
            (bottom - top) * step_y,
            right - left,
            bottom - top,
        )
        self.pixels[top:bottom, left:right] = read.pixels
        self.scanned[top:bottom, left:right] = read.scanned

    def _narrowed(self, block: tuple[int, int, int, int]) -> list[tuple[int, int, int, int]]:
        """Four quarters of a block that failed, or none, marking it unread, when it is small."""
        left, top, right, bottom = block
        if max(right - left, bottom - top) <= self.smallest_px:
            self.unread[top:bottom, left:right] = True
            return []
        x, y = (left + right + 1) // 2, (top + bottom + 1) // 2
        quarters = [(left, top, x, y), (x, top, right, y), (left, y, x, bottom), (x, y, right, bottom)]
        return [q for q in quarters if q[2] > q[0] and q[3] > q[1]]
