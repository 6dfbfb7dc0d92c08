"""Reads a large or a damaged window in blocks: memory stays bounded, and only what no level can give is lost.

A block that cannot be read is tried on the finer levels, which lie elsewhere in the file, as far as memory allows;
then its four quarters are, down to a size below that of the tiles that scanners write.
"""

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from gloinone.cores import available_cores
from gloinone.errors import SlideUnreadableError
from gloinone.records import Mask, Pixels, Window
from gloinone.slide.sampling import Read, Slide, choose_level, resample

BLOCK_PX = 4096
"""Edge of the level rectangle that one read may take: bounds memory at 64 MB a thread."""
SMALLEST_BLOCK_PX = 32
"""Level px: a stretch that cannot be read is narrowed down to about this."""
MOST_FAILURES = 200
"""In one row of blocks; beyond them whole blocks are given up: a slide damaged all over must not take hours."""
MOST_FAILURES_AT_FIRST = 24
"""The same, as long as nothing could be read at all."""
MOST_THREADS = 4

Box = tuple[int, int, int, int]
"""x0, y0, x1, y1, half-open."""


@dataclass(frozen=True)
class _Block:
    """A piece of the image, px, and the level to read it from."""

    left: int
    top: int
    right: int
    bottom: int
    level: int

    @property
    def edge_px(self) -> int:
        return max(self.right - self.left, self.bottom - self.top)


class BlockReader:
    """Reads one window in blocks, on handles of its own, so that damage does not poison the caller's."""

    def __init__(self, slide: Slide, window: Window) -> None:
        self.slide = slide
        self.window = window
        self.errors: list[SlideUnreadableError] = []
        self.pixels: Pixels = np.empty((window.height_px, window.width_px, 3), np.uint8)
        self.pixels[:] = slide.background
        self.scanned: Mask = np.zeros((window.height_px, window.width_px), np.bool_)
        self.unread: Mask = np.zeros((window.height_px, window.width_px), np.bool_)
        self.step_x = window.width / window.width_px
        self.step_y = window.height / window.height_px
        self.level = choose_level(slide.levels, min(self.step_x, self.step_y))
        self.edge_px = max(1, int(BLOCK_PX / max(1.0, self._level_px(self.level))))

    def read(self) -> Read:
        """All blocks, several rows of them at a time; what none of ``errors`` could be mended for is ``unread``."""
        tops = range(0, self.window.height_px, self.edge_px)
        workers = min(MOST_THREADS, available_cores(), len(tops))
        with ThreadPoolExecutor(workers) as pool:
            self.errors = [error for row in pool.map(self._read_row, tops) for error in row]
        return Read(self.window, self.pixels, self.scanned, self.unread if self.unread.any() else None)

    def _level_px(self, level: int) -> float:
        """Of one pixel of the image."""
        return max(self.step_x, self.step_y) / self.slide.levels[level].downsample

    def _read_row(self, top: int) -> list[SlideUnreadableError]:
        errors: list[SlideUnreadableError] = []
        n_read = 0
        bottom = min(top + self.edge_px, self.window.height_px)
        todo = deque(
            _Block(left, top, min(left + self.edge_px, self.window.width_px), bottom, self.level)
            for left in range(0, self.window.width_px, self.edge_px)
        )
        slide = self.slide.reopen()
        try:
            while todo:
                block = todo.popleft()
                try:
                    self._read_block(slide, block)
                    n_read += 1
                except SlideUnreadableError as error:
                    errors.append(error)
                    if len(errors) > (MOST_FAILURES if n_read else MOST_FAILURES_AT_FIRST):
                        self._give_up(block)
                    else:
                        self._try_otherwise(block, todo)
                    slide.close()
                    slide = self.slide.reopen()
        finally:
            slide.close()
        return errors

    def _read_block(self, slide: Slide, block: _Block) -> None:
        x, y = self.window.x + block.left * self.step_x, self.window.y + block.top * self.step_y
        width_px, height_px = block.right - block.left, block.bottom - block.top
        width, height = width_px * self.step_x, height_px * self.step_y
        at = np.s_[block.top : block.bottom, block.left : block.right]
        if block.level == self.level:
            read = slide.read_window(x, y, width, height, width_px, height_px)
            self.pixels[at], self.scanned[at] = read.pixels, read.scanned
            return
        finer = slide.levels[block.level]
        size = max(1, round(width / finer.downsample_x)), max(1, round(height / finer.downsample_y))
        read = slide.read_window(x, y, width, height, *size)
        self.pixels[at] = resample(read.pixels, width_px, height_px)
        self.scanned[at] = resample(read.scanned.view(np.uint8) * 255, width_px, height_px) >= 128

    def _try_otherwise(self, block: _Block, todo: deque[_Block]) -> None:
        """From a finer level, and next; or in quarters, when all else has been tried."""
        if block.level > 0 and block.edge_px * self._level_px(block.level - 1) <= BLOCK_PX:
            todo.appendleft(replace(block, level=block.level - 1))
        elif block.edge_px > 1 and block.edge_px * self._level_px(self.level) > SMALLEST_BLOCK_PX:
            x, y = (block.left + block.right + 1) // 2, (block.top + block.bottom + 1) // 2
            for left, right in ((block.left, x), (x, block.right)):
                for top, bottom in ((block.top, y), (y, block.bottom)):
                    if left < right and top < bottom:
                        todo.append(_Block(left, top, right, bottom, self.level))
        else:
            self._give_up(block)

    def _give_up(self, block: _Block) -> None:
        self.unread[block.top : block.bottom, block.left : block.right] = True


def boxes_of(mask: Mask) -> list[Box]:
    """Disjoint boxes that together are the mask: runs of its rows, joined where they are the same.

    >>> boxes_of(np.array([[1, 1, 0], [1, 1, 0], [0, 0, 1]], bool))
    [(0, 0, 2, 2), (2, 2, 3, 3)]
    """
    done: list[Box] = []
    since: dict[tuple[int, int], int] = {}
    for y, row in enumerate([*mask, np.zeros(mask.shape[1], np.bool_)]):
        borders = np.flatnonzero(np.diff(row, prepend=False, append=False)).tolist()
        runs = set(zip(borders[::2], borders[1::2], strict=True))
        done += [(run[0], since.pop(run), run[1], y) for run in sorted(set(since) - runs)]
        for run in runs:
            since.setdefault(run, y)
    return done
