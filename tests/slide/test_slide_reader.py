"""Reading windows: the right pixels, from the right level, at the right place, and what was never read is said."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slide_files import blob, break_tile, smooth, write_pyramid

from gloinone.errors import ResolutionError, SlideUnreadableError
from gloinone.records import SlideInfo, Window
from gloinone.slide import blocks
from gloinone.slide.pyramid import PyramidSlide
from gloinone.slide.reader import Slide, open_slide, read_background, read_bounds, read_mpp
from gloinone.slide.resolution import Resolution
from gloinone.slide.sampling import Level, LevelRead, Read, choose_level, make_level, reflected

NOTHING_SAID = Resolution()


def open_tiff(path: Path) -> Slide:
    return open_slide(path, path.name, NOTHING_SAID)


def centroid(read: Read) -> tuple[float, float]:
    """Of the brightness, level-0 px."""
    weight = read.pixels[..., 0].astype(np.float64)
    rows, columns = np.indices(weight.shape) + 0.5
    points = np.array([[(weight * columns).sum(), (weight * rows).sum()]]) / weight.sum()
    x, y = read.window.l0_from_image(points)[0]
    return float(x), float(y)


class DrawnSlide(PyramidSlide):
    """A slide in memory, with its unscanned pixels black as OpenSlide delivers them."""

    def __init__(self, picture: np.ndarray, scanned: np.ndarray) -> None:
        height, width = picture.shape[:2]
        self.info = SlideInfo("drawn", width, height, 0.5, "file", "drawn")
        self.path = Path("drawn")
        self.background = (250, 240, 230)
        self.levels = (Level(width, height),)
        self.picture, self.scanned = picture.copy(), scanned
        self.picture[~scanned] = self.background

    def read_level(self, level: int, x: int, y: int, width: int, height: int) -> LevelRead:
        part = np.s_[y : y + height, x : x + width]
        return LevelRead(self.picture[part], self.scanned[part], x, y)

    def reopen(self) -> PyramidSlide:
        return self

    def close(self) -> None:
        pass


@pytest.mark.parametrize("size", [1, 2, 3, 7, 40])
def test_reflection_is_numpys_however_far(size: int) -> None:
    row = np.arange(size)
    for left, right in [(0, 0), (1, 0), (0, 1), (5, 3), (100, 90)]:
        expected = np.pad(row, (left, right), mode="reflect") if size > 1 else np.zeros(left + right + 1)
        assert reflected(-left, size + right, size).tolist() == expected.tolist()
    assert reflected(size + 3, size + 6, size).tolist() == reflected(0, size + 6, size)[size + 3 :].tolist()


@pytest.mark.parametrize(
    ("asked", "level"),
    [(0.3, 0), (1, 0), (3.9, 0), (3.93, 1), (4, 1), (15, 1), (16, 2), (15.7, 2), (1000, 2)],
)
def test_level_is_the_coarsest_that_is_fine_enough(asked: float, level: int) -> None:
    levels = [Level(4096, 4096), Level(1024, 1024, 4, 4), Level(256, 256, 16, 16)]
    assert choose_level(levels, asked) == level


def test_level_zero_serves_where_none_is_fine_enough() -> None:
    assert choose_level([Level(10, 10)], 0.1) == 0


def test_unscaled_window_is_the_file_byte_for_byte(tmp_path: Path) -> None:
    picture = smooth(700, 500, grain=2)
    with open_tiff(write_pyramid(tmp_path / "a.tif", picture, (2,))) as slide:
        read = slide.read_window(100, 50, 300, 200, 300, 200)
        assert read.window == Window(100, 50, 300, 200, 300, 200)
        np.testing.assert_array_equal(read.pixels, picture[50:250, 100:400])
        assert read.scanned.all()
        assert read.unread is None
        assert slide.info.mpp == pytest.approx(0.5)
        assert slide.info == SlideInfo(
            "a.tif", 700, 500, slide.info.mpp, "file", "generic-tiff", (1.0, 2.0), None
        )
        assert [(level.width, level.height) for level in slide.levels] == [(700, 500), (350, 250)]


def test_outside_is_the_slides_reflection(tmp_path: Path) -> None:
    picture = smooth(300, 280, grain=2)
    padded = np.pad(picture, ((900, 1200), (1000, 700), (0, 0)), mode="reflect")
    with open_tiff(write_pyramid(tmp_path / "a.tif", picture)) as slide:
        for x, y, width, height in [
            (-40, -30, 100, 90),
            (250, 240, 120, 100),
            (-1000, -900, 2000, 2380),
            (-500, 10, 60, 50),
        ]:
            read = slide.read_window(x, y, width, height, width, height)
            expected = padded[900 + y : 900 + y + height, 1000 + x : 1000 + x + width]
            np.testing.assert_array_equal(read.pixels, expected)
            assert (read.window.x, read.window.y) == (x, y)


@pytest.mark.parametrize(("width", "height"), [(1024, 1024), (1000, 1000), (1013, 1007), (999, 1500)])
@pytest.mark.parametrize("downsamples", [(), (2, 4), (3, 7), (4, 16)])
def test_windows_say_exactly_where_they_lie(
    tmp_path: Path, width: int, height: int, downsamples: Sequence[int]
) -> None:
    x, y = 431.3, 520.8
    path = write_pyramid(tmp_path / "a.tif", blob(width, height, x, y, sigma=24), downsamples)
    with open_tiff(path) as slide:
        for left, top, edge, edge_px in [
            (250, 340, 362, 362),
            (251.7, 341.2, 360.3, 171),
            (230, 330, 400, 100),
            (229, 331, 403, 57),
            (0, 0, 990, 60),
            (300, 380, 260, 500),
            (-60, -40, 1050, 130),
        ]:
            read = slide.read_window(left, top, edge, edge, edge_px, edge_px)
            assert centroid(read) == pytest.approx((x, y), abs=0.05 + 0.03 * max(1, edge / edge_px))
            level = slide.levels[choose_level(slide.levels, edge / edge_px)].downsample
            assert abs(read.window.x - left) <= level
            assert abs(read.window.width - edge) <= level
            assert read.pixels.shape == (edge_px, edge_px, 3)
            assert read.pixels.dtype == np.uint8
            assert read.pixels.flags.writeable


def test_scans_at_20x_40x_80x_give_one_picture(tmp_path: Path) -> None:
    finest = smooth(2048, 2048, grain=16)
    reads: dict[float, list[Read]] = {}
    for objective, mpp in [(80, 0.125), (40, 0.25), (20, 0.5)]:
        edge = int(2048 * 0.125 / mpp)
        picture = cv2.resize(finest, (edge, edge), interpolation=cv2.INTER_AREA)
        path = write_pyramid(tmp_path / f"{objective}x.tif", picture, (2, 4), mpp)
        with open_tiff(path) as slide:
            for um_per_px in (0.5, 0.73, 1.0, 2.0):
                edge_px = round(200 / um_per_px)
                span = edge_px * um_per_px / mpp
                read = slide.read_window(20 / mpp, 24 / mpp, span, span, edge_px, edge_px)
                reads.setdefault(um_per_px, []).append(read)
            reads.setdefault(8.0, []).append(slide.overview(8.0))
    for same in reads.values():
        shapes = {read.pixels.shape for read in same}
        assert len(shapes) == 1
        for read in same[1:]:
            assert np.abs(read.pixels.astype(int) - same[0].pixels).mean() < 1.5


def test_what_was_not_scanned_is_background_and_bleeds_no_black() -> None:
    picture = np.full((400, 400, 3), 200, np.uint8)
    scanned = np.ones((400, 400), np.bool_)
    scanned[:, 203:] = False
    picture[~scanned] = 0
    slide = DrawnSlide(picture, scanned)
    for edge_px in (400, 130, 90, 900):
        read = slide.read_window(0, 0, 400, 400, edge_px, edge_px)
        border = 203 * edge_px / 400
        assert read.pixels.min() >= 200
        assert read.scanned[:, : int(border - 1)].all()
        assert not read.scanned[:, int(border + 1) :].any()
        assert (read.pixels[~read.scanned] == slide.background).all()
        assert (read.pixels[:, : int(border - 2)] == 200).all()
    read = slide.read_window(350, 0, 100, 100, 50, 50)
    assert not read.scanned.any()
    read = slide.read_window(-50, 0, 100, 100, 50, 50)
    assert read.scanned.all()


def test_absent_tiles_are_not_scanned(tmp_path: Path) -> None:
    picture = np.full((512, 768, 3), 90, np.uint8)
    with open_tiff(write_pyramid(tmp_path / "a.tif", picture, missing=[(0, 1)])) as slide:
        read = slide.read_window(200, 0, 400, 400, 100, 100)
    expected = np.ones((100, 100), np.bool_)
    expected[:64, 14:78] = False
    np.testing.assert_array_equal(read.scanned, expected)
    assert (read.pixels[~expected] == 255).all()
    assert (read.pixels[expected] >= 90).all()


def test_overview_of_a_large_level_equals_one_resampling(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "BLOCK_PX", 600)
    picture = smooth(1700, 1500, grain=40)
    with open_tiff(write_pyramid(tmp_path / "a.tif", picture, mpp=0.5)) as slide:
        read = slide.overview(8.0)
    assert read.window == Window(0, 0, 1700, 1500, 106, 94)
    expected = cv2.resize(picture, (106, 94), interpolation=cv2.INTER_AREA)
    assert np.abs(read.pixels.astype(int) - expected).max() <= 6  # blocks begin at whole level pixels
    assert read.scanned.all()
    assert read.unread is None


def test_overview_is_never_finer_than_the_slide(tmp_path: Path) -> None:
    with open_tiff(write_pyramid(tmp_path / "a.tif", smooth(300, 260), mpp=15)) as slide:
        assert slide.overview(8.0).pixels.shape == (260, 300, 3)


def test_a_broken_tile_costs_only_what_touches_it(tmp_path: Path) -> None:
    picture = smooth(2560, 2304)
    path = write_pyramid(tmp_path / "a.tif", picture)
    break_tile(path, 4, 6)
    with open_tiff(path) as slide:
        with pytest.raises(SlideUnreadableError, match=r"a\.tif: level 0 cannot be read at 1536, 1024"):
            slide.read_window(1536, 1024, 256, 256, 256, 256)
        with pytest.raises(SlideUnreadableError):
            slide.read_window(0, 0, 256, 256, 256, 256)
        with slide.reopen() as fresh:
            np.testing.assert_array_equal(
                fresh.read_window(0, 0, 256, 256, 256, 256).pixels, picture[:256, :256]
            )
            read = fresh.overview(4.0)
            fresh.read_window(0, 0, 256, 256, 256, 256)  # the overview's failure is not the caller's
    assert read.unread is not None
    broken = np.zeros(read.unread.shape, np.bool_)
    broken[1024 // 8 : 1280 // 8, 1536 // 8 : 1792 // 8] = True
    assert read.unread[broken].all()
    assert read.unread.sum() <= ((256 + 64) / 8) ** 2  # a piece of 32 px more on each side
    assert not (read.scanned & read.unread).any()
    assert (read.scanned | read.unread).all()


def test_a_stretch_that_the_overviews_level_lost_is_read_from_a_finer_one(tmp_path: Path) -> None:
    picture = smooth(4096, 3072, grain=64)
    whole, torn = (write_pyramid(tmp_path / name, picture, (4, 8)) for name in ("a.tif", "b.tif"))
    break_tile(torn, 0, 1, level=2)
    with open_tiff(whole) as slide, open_tiff(torn) as other:
        expected, read = slide.overview(4.0), other.overview(4.0)
        with pytest.raises(SlideUnreadableError):
            other.read_window(0, 0, 4096, 3072, 512, 384)
    assert read.unread is None
    assert read.scanned.all()
    assert np.abs(read.pixels.astype(int) - expected.pixels).max() <= 2


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 12), st.integers(0, 12), st.integers(0, 2**32))
def test_boxes_of_a_mask_are_the_mask(width: int, height: int, seed: int) -> None:
    mask = np.random.default_rng(seed).random((height, width)) < 0.6
    times = np.zeros(mask.shape, int)
    for x0, y0, x1, y1 in blocks.boxes_of(mask):
        times[y0:y1, x0:x1] += 1
    np.testing.assert_array_equal(times, mask)


def test_nothing_readable_is_an_error(tmp_path: Path) -> None:
    path = write_pyramid(tmp_path / "a.tif", smooth(256, 256))
    break_tile(path, 0, 0)
    with open_tiff(path) as slide, pytest.raises(SlideUnreadableError):
        slide.overview(8.0)


def test_threads_share_a_handle(tmp_path: Path) -> None:
    picture = smooth(1600, 1600, grain=4)
    windows = [(x, y) for y in range(0, 1500, 100) for x in range(0, 1500, 100)]
    with open_tiff(write_pyramid(tmp_path / "a.tif", picture)) as slide, ThreadPoolExecutor(8) as pool:
        reads = pool.map(lambda at: slide.read_window(at[0], at[1], 100, 100, 100, 100), windows)
        for (x, y), read in zip(windows, reads, strict=True):
            np.testing.assert_array_equal(read.pixels, picture[y : y + 100, x : x + 100])


def test_a_vanished_file_says_so(tmp_path: Path) -> None:
    path = write_pyramid(tmp_path / "a.tif", smooth(300, 300))
    with open_tiff(path) as slide:
        path.unlink()
        with pytest.raises(SlideUnreadableError, match=r"a\.tif: "):
            slide.reopen()
    with pytest.raises(SlideUnreadableError, match="is it still there"):
        open_tiff(path)


@pytest.mark.parametrize(
    "content", [b"", b"no slide, only text\n" * 50, b"II*\0\xff\xff\xff\x7f", bytes(range(256)) * 20]
)
def test_what_is_no_slide_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.svs"
    path.write_bytes(content)
    with pytest.raises(SlideUnreadableError, match=r"^a\.svs: "):
        open_tiff(path)


def test_a_truncated_slide_is_refused_or_unreadable(tmp_path: Path) -> None:
    path = write_pyramid(tmp_path / "a.svs", smooth(1200, 1200, grain=2))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(SlideUnreadableError, match=r"^a\.svs: "), open_tiff(path) as slide:
        slide.read_window(900, 900, 300, 300, 300, 300)


def test_a_folder_without_dicom_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SlideUnreadableError, match="without a DICOM slide"):
        open_tiff(tmp_path)


def test_names_of_any_bytes_open(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9 'quoted\" <b>.tif")
    write_pyramid(path, smooth(300, 300))
    with open_slide(path, "name", NOTHING_SAID) as slide:
        assert slide.info.name == "name"


def test_what_the_file_says_of_itself() -> None:
    bounds = {
        f"openslide.bounds-{key}": str(value)
        for key, value in zip(["x", "y", "width", "height"], (7, 8, 90, 80), strict=True)
    }
    assert read_bounds(bounds) == (7, 8, 90, 80)
    assert read_bounds({"openslide.bounds-x": "7"}) is None
    assert read_background({"openslide.background-color": "FFEE01"}) == (255, 238, 1)
    assert read_background({"openslide.background-color": "none"}) == (255, 255, 255)
    assert read_background({}) == (255, 255, 255)
    assert read_mpp({"openslide.mpp-x": "0.25", "openslide.mpp-y": "0.26"}) == (0.25, 0.26)
    assert read_mpp({"openslide.mpp-x": "0.25"}) is None
    assert read_mpp({"openslide.mpp-x": "0.25", "openslide.mpp-y": "fine"}) is None


@pytest.mark.parametrize(
    ("sizes", "level"),
    [
        ((312, 250, 2500, 2000), Level(312, 250, 8, 8)),
        ((313, 250, 2500, 2000), Level(313, 250, 8, 8)),
        ((175, 112, 22400, 14400), Level(175, 112, 128, 128)),
        ((300, 200, 1000, 700), Level(300, 200, 1000 / 300, 3.5)),
    ],
)
def test_downsamples_are_whole_where_blocks_were_averaged(sizes: tuple[int, ...], level: Level) -> None:
    assert make_level(*sizes) == level


@pytest.mark.shared
def test_the_same_region_as_svs_and_dicom(shared_data: Path) -> None:
    reads = []
    for name in ("cmu-1-small-region.svs", "cmu-1-small-region.dicom"):
        with open_slide(shared_data / "slides" / name, name, NOTHING_SAID) as slide:
            assert (slide.info.width, slide.info.height, slide.info.mpp) == (2220, 2967, pytest.approx(0.499))
            reads.append(slide.read_window(500, 700, 800, 800, 400, 400).pixels.astype(int))
    assert np.abs(reads[0] - reads[1]).mean() < 4


@pytest.mark.shared
def test_the_awkward_slides_say_what_to_do(shared_data: Path) -> None:
    awkward = shared_data / "slides" / "awkward"
    with pytest.raises(ResolutionError, match=r"claims 896.*pass --mpp, e\.g\. --mpp 0\.25"):
        open_tiff(awkward / "absurd-mpp.tiff")
    with pytest.raises(SlideUnreadableError, match=r"Unsupported TIFF compression: 50001.*convert"):
        open_tiff(awkward / "refused-webp.tiff")
    kidney = shared_data / "slides" / "kidney-he" / "kidney-he.svs"
    with pytest.raises(ResolutionError, match="no resolution in the file; pass --mpp"):
        open_tiff(kidney)
    with open_slide(kidney, "k", Resolution(0.466667, "option")) as slide:
        assert slide.info.mpp_source == "option"
        assert slide.read_window(0, 0, 500, 500, 250, 250).pixels.std() > 5
