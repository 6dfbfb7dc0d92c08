"""Reading in threads: in order, bounded, and losing exactly what the file has lost."""

import itertools
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from array_slide import ArraySlide, Disk
from slide_files import break_tile, smooth, write_pyramid

from gloinone.errors import SlideUnreadableError
from gloinone.records import Window
from gloinone.slide.reader import open_slide
from gloinone.slide.resolution import Resolution
from gloinone.slide.stream import TileStream, WindowStream
from gloinone.slide.tiles import Tile, TilePlan

EDGE = 100


def grid_plan(width: int, height: int, step: int = 60) -> TilePlan:
    """Windows of 100 px every 60 px, the last ones over the border, with cores in their middle."""
    places = [(x, y) for y in range(-20, height - 40, step) for x in range(-20, width - 40, step)]
    tiles = tuple(
        Tile(i, Window(x, y, EDGE, EDGE, EDGE, EDGE), (x + 20, y + 20, x + 20 + step, y + 20 + step))
        for i, (x, y) in enumerate(places)
    )
    return TilePlan(tiles, 1.0)


def touching(plan: TilePlan, box: tuple[int, int, int, int]) -> set[int]:
    """Tiles whose window meets the box, all inside the slide."""
    return {
        t.index
        for t in plan.tiles
        if t.window.x < box[2]
        and t.window.x + EDGE > box[0]
        and t.window.y < box[3]
        and t.window.y + EDGE > box[1]
    }


def picture(width: int = 600, height: int = 400) -> np.ndarray:
    return smooth(width, height, seed=3)


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    yield
    assert not [t for t in threading.enumerate() if t.name.startswith("read")]


def test_tiles_come_in_order_with_their_own_pixels_whatever_the_threads_do() -> None:
    rng = np.random.default_rng(0)
    disk = Disk(picture(), before_read=lambda x, y: time.sleep(float(rng.random()) * 0.003))
    slide = ArraySlide(disk)
    plan = grid_plan(600, 400)
    reads = list(TileStream(slide, plan, workers=8, queue_size=5))
    assert [read.tile.index for read in reads] == list(range(len(plan.tiles)))
    for read in reads:
        w = read.tile.window
        alone = slide.read_window(w.x, w.y, w.width, w.height, w.width_px, w.height_px)
        assert read.window == alone.window
        np.testing.assert_array_equal(read.pixels, alone.pixels)
    assert disk.opened == 1
    assert disk.closed == 0


def test_a_tiff_with_a_broken_stretch_loses_little_more_than_it(tmp_path: Path) -> None:
    image = picture(1536, 1280)
    path = write_pyramid(tmp_path / "a.tif", image)
    for column in (2, 3):
        break_tile(path, 2, column)
    plan = grid_plan(1536, 1280)
    broken = np.zeros(image.shape[:2], np.bool_)
    broken[512:768, 512:1024] = True
    with open_slide(path, "a.tif", Resolution()) as slide:
        assert slide.info.vendor == "generic-tiff"  # OpenSlide, whose handles fail for good
        for _ in range(2):  # the second time the caller's handle has failed already
            unread = np.zeros(image.shape[:2], int)
            for read in TileStream(slide, plan, workers=8, queue_size=16):
                for x0, y0, x1, y1 in read.unread:
                    cx0, cy0, cx1, cy1 = read.tile.core
                    assert cx0 <= x0 < x1 <= cx1
                    assert cy0 <= y0 < y1 <= cy1
                    unread[max(0, int(y0)) : int(y1), max(0, int(x0)) : int(x1)] += 1
                if read.pixels is not None and read.scanned is not None:
                    x, y = int(read.window.x), int(read.window.y)
                    expected = image[max(y, 0) : y + EDGE, max(x, 0) : x + EDGE]
                    inside = np.s_[max(-y, 0) :, max(-x, 0) :]
                    rows, columns = expected.shape[:2]
                    known = read.scanned[inside][:rows, :columns]
                    got = read.pixels[inside][:rows, :columns]
                    np.testing.assert_array_equal(got[known], expected[known])
                    assert (got[~known] == 255).all()
            assert unread.max() == 1  # cores share nothing
            assert unread[broken].all()
            assert unread.sum() < 1.3 * broken.sum()


def test_what_one_level_has_lost_is_read_from_a_finer_one(tmp_path: Path) -> None:
    image = picture(2048, 1536)
    path = write_pyramid(tmp_path / "a.tif", image, (2, 8))
    break_tile(path, 1, 1, level=1)
    windows = [Window(256, 256, 1200, 1200, 600, 600)]  # the tile lies at 512 to 1024
    with open_slide(path, "a.tif", Resolution()) as slide:
        with pytest.raises(SlideUnreadableError):
            slide.read_window(256, 256, 1200, 1200, 600, 600)
        (read,) = WindowStream(slide, windows, workers=2, queue_size=2)
    assert read is not None
    assert read.unread is None
    assert read.scanned.all()
    expected = cv2.resize(image[256:1456, 256:1456], (600, 600), interpolation=cv2.INTER_AREA)
    assert np.abs(read.pixels.astype(int) - expected).max() <= 2


def test_a_slide_that_is_broken_all_over_is_given_up_soon() -> None:
    disk = Disk(picture(1200, 1200), broken=((0, 0, 1200, 1200),))
    (read,) = WindowStream(ArraySlide(disk), [Window(0, 0, 1200, 1200, 1200, 1200)], 1, 1)
    assert read is None
    assert disk.reads < 100  # 1444 pieces of 32 px


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_every_handle_that_was_opened_is_closed_once_and_never_in_use(workers: int) -> None:
    box = (250, 150, 300, 200)
    disk = Disk(picture(), broken=(box,), before_read=lambda x, y: time.sleep(0.0005))
    slide = ArraySlide(disk)
    plan = grid_plan(600, 400)
    reads = list(TileStream(slide, plan, workers, queue_size=8))
    assert {read.tile.index for read in reads if read.pixels is None or not read.scanned.all()} == touching(
        plan, box
    )
    assert disk.opened > 1
    assert disk.closed == disk.opened - 1
    assert not slide.is_closed


def test_what_is_in_flight_on_a_failed_handle_is_read_again() -> None:
    """All eight reads are under way before the broken one fails."""
    barrier = threading.Barrier(8)
    first = itertools.count()

    def meet(x: int, y: int) -> None:
        if next(first) < 8:
            barrier.wait(10)

    disk = Disk(picture(800, 100), broken=((0, 0, 50, 50),), before_read=meet)
    windows = [Window(100 * i, 0, 100, 100, 100, 100) for i in range(8)]
    reads = list(WindowStream(ArraySlide(disk), windows, workers=8, queue_size=8))
    assert [read is None or read.unread is not None for read in reads] == [True] + 7 * [False]


def test_no_more_is_read_ahead_than_the_queue_holds() -> None:
    disk = Disk(picture())
    plan = grid_plan(600, 400)
    stream = TileStream(ArraySlide(disk), plan, workers=4, queue_size=3)
    for taken in range(1, 6):
        next(stream)
        time.sleep(0.02)
        assert disk.reads <= taken + 3
    stream.close()


def test_closing_early_stops_the_threads_and_the_handles() -> None:
    disk = Disk(picture(), broken=((0, 0, 30, 30),), before_read=lambda x, y: time.sleep(0.002))
    stream = TileStream(ArraySlide(disk), grid_plan(600, 400), workers=8, queue_size=20)
    assert next(stream).unread
    stream.close()
    reads = disk.reads
    time.sleep(0.05)
    assert disk.reads == reads < 50
    assert disk.closed == disk.opened - 1


def test_a_file_that_vanishes_fails_the_slide() -> None:
    disk = Disk(picture(), broken=((100, 100, 101, 101),))
    slide = ArraySlide(disk)
    disk.gone = True
    with pytest.raises(SlideUnreadableError, match="is it still there"):
        list(TileStream(slide, grid_plan(600, 400), workers=8, queue_size=8))
    assert disk.closed == disk.opened - 1


def test_other_errors_of_a_read_are_not_swallowed() -> None:
    def fail(x: int, y: int) -> None:
        if (x, y) != (0, 0):
            raise MemoryError("no room")

    disk = Disk(picture(), before_read=fail)
    with pytest.raises(MemoryError, match="no room"):
        list(TileStream(ArraySlide(disk), grid_plan(600, 400), workers=3, queue_size=6))


def test_all_is_broken_and_nothing_to_read() -> None:
    disk = Disk(picture(), broken=((0, 0, 600, 400),))
    plan = grid_plan(600, 400)
    assert all(read.pixels is None for read in TileStream(ArraySlide(disk), plan, 4, 4))
    assert list(TileStream(ArraySlide(disk), TilePlan((), 1.0), 4, 4)) == []


@pytest.mark.parametrize(("workers", "queue_size"), [(0, 4), (4, 0)])
def test_reading_with_nobody_or_nowhere_is_refused(workers: int, queue_size: int) -> None:
    with pytest.raises(ValueError, match="cannot read"):
        next(TileStream(ArraySlide(Disk(picture())), grid_plan(600, 400), workers, queue_size))
