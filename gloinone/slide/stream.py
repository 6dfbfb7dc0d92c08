"""Reads windows in threads and hands them out in order; at most a queue's length is held in memory.

After one failed read an OpenSlide handle fails for good, and with it every read under way on it. So a failure says
nothing about the window until the window has been read again, alone, on a handle of its own. What fails there too is
read in pieces, and only those that cannot be had are unread: one damaged tile of the file costs no more than itself.
A file that cannot be opened again ends the stream with SlideUnreadableError: the slide has failed.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from threading import Lock
from typing import Self

import numpy as np

from gloinone.errors import SlideUnreadableError
from gloinone.records import Mask, Pixels, Points, Window
from gloinone.slide.blocks import BlockReader, boxes_of
from gloinone.slide.light import lit
from gloinone.slide.sampling import Read, Slide
from gloinone.slide.tiles import Tile, TilePlan


@dataclass(frozen=True)
class TileRead:
    """A tile and its pixels; what could not be read has none, and is never taken for white."""

    tile: Tile
    window: Window
    """What was read exactly: the tile's window rounded to whole pixels of the pyramid level."""
    pixels: Pixels | None
    """As the network is to see them. None: none of it could be read. Background where a part could not."""
    scanned: Mask | None
    """False where the scanner recorded nothing, or where it could not be read."""
    unread: tuple[tuple[float, float, float, float], ...] = ()
    """x0, y0, x1, y1 in level-0 px: what of the core could not be read."""


class TileStream:
    """Every tile of a plan, in its order, its pixels times ``gain``.

    Reading begins at once; closing it stops the threads.
    """

    def __init__(
        self, slide: Slide, plan: TilePlan, workers: int, queue_size: int, gain: float = 1.0
    ) -> None:
        self.slide = slide
        self.plan = plan
        self.gain = gain
        self._reads = WindowStream(slide, (tile.window for tile in plan.tiles), workers, queue_size)
        self._tiles = iter(plan.tiles)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> TileRead:
        read = next(self._reads)
        tile = next(self._tiles)
        if read is None:
            return TileRead(tile, tile.window, None, None, (tile.core,))
        pixels = lit(read.pixels, self.gain)
        return TileRead(tile, read.window, pixels, read.scanned, _unread_of_core(tile, read))

    def close(self) -> None:
        """Returns when no read is under way any more."""
        self._reads.close()


def _unread_of_core(tile: Tile, read: Read) -> tuple[tuple[float, float, float, float], ...]:
    """What is unread of a margin is for the tile to say whose core it is."""
    if read.unread is None:
        return ()
    found = []
    for x0, y0, x1, y1 in boxes_of(read.unread):
        corners = read.window.l0_from_image(np.array([[x0, y0], [x1, y1]], np.float64))
        low: Points = np.maximum(corners[0], tile.core[:2])
        high: Points = np.minimum(corners[1], tile.core[2:])
        if (low < high).all():
            found.append((float(low[0]), float(low[1]), float(high[0]), float(high[1])))
    return tuple(found)


class WindowStream:
    """Windows in the order given, None for each of which nothing can be read, on a fresh handle and in pieces.

    Reading begins at once, in ``workers`` threads; with the one that the caller has, ``queue_size`` windows at most
    are held. ``slide`` stays the caller's to close; handles opened here are closed here. Raises what a read raises,
    except SlideUnreadableError of the window itself.
    """

    def __init__(self, slide: Slide, windows: Iterable[Window], workers: int, queue_size: int) -> None:
        if workers < 1 or queue_size < 1:
            raise ValueError(f"cannot read with {workers} workers and a queue of {queue_size}")
        self._windows = iter(windows)
        self._queue_size = queue_size
        self._pending: deque[Future[Read | None]] = deque()
        self._handles = _Handles(slide)
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="read")
        self._fill()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Read | None:
        try:
            self._fill()  # in the place of the window that the caller has done with
            if self._pending:
                return self._pending.popleft().result()
        except BaseException:
            self.close()
            raise
        self.close()
        raise StopIteration

    def _fill(self) -> None:
        for window in islice(self._windows, self._queue_size - len(self._pending)):
            self._pending.append(self._pool.submit(self._handles.read, window))

    def close(self) -> None:
        """Returns when no read is under way any more."""
        self._windows = iter(())
        self._pending.clear()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._handles.close()


def _read(slide: Slide, window: Window) -> Read:
    return slide.read_window(
        window.x, window.y, window.width, window.height, window.width_px, window.height_px
    )


class _Handles:
    """One shared handle for all threads, replaced when it has failed."""

    def __init__(self, slide: Slide) -> None:
        self._callers = slide
        self._shared = slide
        self._readers: dict[int, int] = {}
        """Reads under way, by id of the handle: one in use is not closed."""
        self._lock = Lock()

    def read(self, window: Window) -> Read | None:
        """In pieces when a fresh handle, used for nothing else, cannot read it either; None when that fails too."""
        with self._lease() as shared:
            try:
                return _read(shared, window)
            except SlideUnreadableError:
                pass
        fresh = self._callers.reopen()
        try:
            read = _read(fresh, window)
        except SlideUnreadableError:
            fresh.close()
            self._replace(shared, self._callers.reopen())
            pieces = BlockReader(self._callers, window).read()
            return None if pieces.unread is not None and pieces.unread.all() else pieces
        except BaseException:
            fresh.close()
            raise
        self._replace(shared, fresh)
        return read

    @contextmanager
    def _lease(self) -> Iterator[Slide]:
        with self._lock:
            slide = self._shared
            self._readers[id(slide)] = self._readers.get(id(slide), 0) + 1
        try:
            yield slide
        finally:
            with self._lock:
                self._readers[id(slide)] -= 1
                self._close_if_done(slide)

    def _replace(self, failed: Slide, fresh: Slide) -> None:
        """The first thread that met the failure puts its fresh handle in place; the others' are not needed."""
        with self._lock:
            if self._shared is failed:
                self._shared = fresh
                self._close_if_done(failed)
            else:
                fresh.close()

    def _close_if_done(self, slide: Slide) -> None:
        """Under the lock; the handle that is shared and the one of the caller stay open."""
        if slide is not self._shared and not self._readers.get(id(slide)):
            del self._readers[id(slide)]
            if slide is not self._callers:
                slide.close()

    def close(self) -> None:
        """After the threads have ended."""
        if self._shared is not self._callers:
            self._shared.close()
            self._shared = self._callers
