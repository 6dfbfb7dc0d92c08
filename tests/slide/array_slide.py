"""A slide in memory that can be damaged: as with OpenSlide, a handle that failed once fails for good."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from gloinone.errors import SlideUnreadableError
from gloinone.records import Mask, Pixels, SlideInfo
from gloinone.slide.pyramid import PyramidSlide
from gloinone.slide.sampling import LevelRead, make_level

Rectangle = tuple[int, int, int, int]


@dataclass
class Disk:
    """What all handles of one made-up file share."""

    pixels: Pixels
    broken: tuple[Rectangle, ...] = ()
    """x0, y0, x1, y1 in level-0 px: a read that touches one fails."""
    scanned: Mask | None = None
    gone: bool = False
    """Cannot be opened again."""
    before_read: Callable[[int, int], None] = lambda x, y: None
    opened: int = 0
    closed: int = 0
    reads: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


class ArraySlide(PyramidSlide):
    """One handle."""

    def __init__(self, disk: Disk, mpp: float = 1.0) -> None:
        if disk.gone:
            raise SlideUnreadableError("a.svs: cannot be opened; is it still there?")
        height, width = disk.pixels.shape[:2]
        self.disk = disk
        self.info = SlideInfo("a.svs", width, height, mpp, "file", "made up")
        self.path = Path("a.svs")
        self.background = (255, 255, 255)
        self.levels = (make_level(width, height, width, height),)
        self.failed = self.is_closed = False
        disk.opened += 1

    def read_level(self, level: int, x: int, y: int, width: int, height: int) -> LevelRead:
        disk = self.disk
        assert not self.is_closed, "read after close"
        disk.before_read(x, y)
        with disk.lock:
            disk.reads += 1
        touched = any(x < b[2] and x + width > b[0] and y < b[3] and y + height > b[1] for b in disk.broken)
        self.failed = self.failed or touched
        time.sleep(0)
        assert not self.is_closed, "closed during a read"
        if self.failed:
            raise SlideUnreadableError("a.svs: damaged")
        part = np.s_[y : y + height, x : x + width]
        scanned = None if disk.scanned is None else disk.scanned[part]
        return LevelRead(disk.pixels[part].copy(), scanned, x, y)

    def reopen(self) -> "ArraySlide":
        return ArraySlide(self.disk, self.info.mpp)

    def close(self) -> None:
        assert not self.is_closed, "closed twice"
        self.is_closed = True
        self.disk.closed += 1
