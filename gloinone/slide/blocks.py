"""Reads a whole slide in blocks: memory stays bounded, and damage costs only the stretch that it touches."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from gloinone.cores import available_cores
from gloinone.errors import SlideUnreadableError
from gloinone.records import Mask, Pixels, Window
from gloinone.slide.sampling import Read, Slide, choose_level

BLOCK_PX = 4096
"""Edge of the level rectangle that one read may take: bounds memory at 64 MB a thread."""
SMALLEST_BLOCK_PX = 512
"""Level px: a stretch that cannot be read is narrowed down to about this."""
MOST_FAILURES = 200
"""In one row of blocks; beyond them whole blocks are given up: a slide damaged all over must not take hours."""
MOST_THREADS = 4


class BlockReader:
    """Reads one window in blocks, on handles of its own, so that damage does not poison the caller's."""

    def __init__(self, slide: Slide, window: Window) -> None:
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
        workers = min(MOST_THREADS, available_cores(), len(tops))
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
                    todo.extend(self._narrowed(block, len(errors) > MOST_FAILURES))
                    slide.close()
                    slide = self.slide.reopen()
        finally:
            slide.close()
        return errors

    def _read_block(self, slide: Slide, block: tuple[int, int, int, int]) -> None:
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

    def _narrowed(self, block: tuple[int, int, int, int], give_up: bool) -> list[tuple[int, int, int, int]]:
        """Four quarters of a block that failed, or none, marking it unread, when it is small or given up."""
        left, top, right, bottom = block
        if give_up or max(right - left, bottom - top) <= self.smallest_px:
            self.unread[top:bottom, left:right] = True
            return []
        x, y = (left + right + 1) // 2, (top + bottom + 1) // 2
        quarters = [(left, top, x, y), (x, top, right, y), (left, y, x, bottom), (x, y, right, bottom)]
        return [q for q in quarters if q[2] > q[0] and q[3] > q[1]]
