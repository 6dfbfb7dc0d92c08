"""A slide that reads rectangles of its levels becomes one that reads any window at any resolution."""

from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from gloinone.records import Mask, Pixels, SlideInfo, Window
from gloinone.slide.blocks import BlockReader
from gloinone.slide.sampling import Level, LevelRead, Read, choose_level, reflected, resample


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
        left, right = _whole_pixels(asked.x, asked.width, level.downsample_x)
        top, bottom = _whole_pixels(asked.y, asked.height, level.downsample_y)
        columns, rows = reflected(left, right, level.width), reflected(top, bottom, level.height)
        x_level, y_level = int(columns.min()), int(rows.min())
        part = self.read_level(
            index, x_level, y_level, int(columns.max()) - x_level + 1, int(rows.max()) - y_level + 1
        )
        window = Window(
            (part.x + left - x_level) * level.downsample_x,
            (part.y + top - y_level) * level.downsample_y,
            (right - left) * level.downsample_x,
            (bottom - top) * level.downsample_y,
            width_px,
            height_px,
        )
        pixels, scanned = part.pixels, part.scanned
        if left < 0 or top < 0 or right > level.width or bottom > level.height:
            pick = np.ix_(rows - y_level, columns - x_level)
            pixels, scanned = pixels[pick], None if scanned is None else scanned[pick]
        return self._finish(window, pixels, scanned)

    def _finish(self, window: Window, pixels: Pixels, scanned: Mask | None) -> Read:
        """Resamples pixels and mask; what is less than half scanned is background altogether."""
        out = resample(pixels, window.width_px, window.height_px)
        if out.base is not None:  # a view of pixels that others read too
            out = out.copy()
        if scanned is None:
            return Read(window, out, np.ones(out.shape[:2], np.bool_))
        mask = resample(scanned.astype(np.uint8) * 255, window.width_px, window.height_px) >= 128
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
        blocks = BlockReader(self, window)
        read = blocks.read()
        if read.unread is not None and read.unread.all():
            raise blocks.errors[0]
        return read


def _whole_pixels(start: float, length: float, downsample: float) -> tuple[int, int]:
    """Level-0 stretch as level px first..last + 1, at least one."""
    first = round(start / downsample)
    return first, max(first + 1, round((start + length) / downsample))
