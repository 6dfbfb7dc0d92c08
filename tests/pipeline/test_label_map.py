"""masks.tif against a brute-force rasterisation, and as OpenSlide and tifffile see it."""

import dataclasses
from pathlib import Path

import numpy as np
import openslide
import pytest
import shapely
import tifffile

from gloinone.errors import OutputError
from gloinone.geometry import circle_ring, ring_mask
from gloinone.pipeline.label_map import TILE_PX, pyramid, write_label_map
from gloinone.records import Candidate, Detection, Glomerulus, Outline, Points, SlideInfo, Window

INFO = SlideInfo("a.svs", 5000, 3001, 0.5, "file", "aperio")


def glomerulus(number: int, ring: Points, score: float = 0.9) -> Glomerulus:
    window = Window(0, 0, 256, 256, 256, 256)
    candidate = Candidate(Detection(10, 10, 5, 0.5), (1, 0, 0, 0, 0), score, "normal", window)
    outline = Outline(ring, "mask", False, np.zeros((256, 256), bool), window)
    return Glomerulus(number, candidate, outline, np.zeros((256, 256, 3), np.uint8), 1, 1, 1, 1, False)


def brute_force(rings: list[Points], width: int, height: int, mpp: float) -> np.ndarray:
    """Later rings win; every pixel centre asked of shapely."""
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    labels = np.zeros((height, width), np.uint16)
    for number, ring in enumerate(rings, 1):
        labels[shapely.contains_xy(shapely.Polygon(ring * mpp), x, y)] = number
    return labels


def test_pixels_match_brute_force(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    rings = [circle_ring(*random.uniform(200, 2900, 2), random.uniform(60, 300), 17) for _ in range(12)]
    rings.append(circle_ring(4990.3, 700.1, 111, 23))  # sticks out of the slide
    rings.append(circle_ring(1024.0, 1024.0, 150.2, 33))  # crosses four tiles
    path = tmp_path / "masks.tif"
    write_label_map(path, [glomerulus(i, r) for i, r in enumerate(rings, 1)][::-1], INFO)
    with tifffile.TiffFile(path) as tiff:
        full = tiff.pages[0].asarray()
    expected = brute_force(rings[::-1], 2500, 1501, 0.5)
    expected = np.where(
        expected > 0, len(rings) + 1 - expected.astype(int), 0
    )  # lower numbers win equal scores
    assert full.shape == (1501, 2500)
    assert full.dtype == np.uint16
    assert np.array_equal(full, expected)


def test_levels_are_nearest_samples_of_the_first(tmp_path: Path) -> None:
    rings = [circle_ring(1000.3, 1500.8, 400), circle_ring(3900, 800, 333.3)]
    path = tmp_path / "masks.tif"
    write_label_map(path, [glomerulus(i, r) for i, r in enumerate(rings, 1)], INFO)
    with tifffile.TiffFile(path) as tiff:
        full, *smaller = [page.asarray() for page in tiff.pages]
        assert [page.subfiletype for page in tiff.pages] == [0, 1, 1, 1]
    for power, level in enumerate(smaller, 1):
        step = 2**power
        sampled = full[step // 2 :: step, step // 2 :: step]
        assert np.array_equal(level[: sampled.shape[0], : sampled.shape[1]], sampled)
        assert level.shape == (-(-1501 // step), -(-2500 // step))
    assert max(smaller[-1].shape) <= TILE_PX


def test_the_higher_score_wins_an_overlap(tmp_path: Path) -> None:
    left, right = circle_ring(1000, 1000, 200), circle_ring(1100, 1000, 200)
    path = tmp_path / "masks.tif"
    write_label_map(path, [glomerulus(1, left, 0.8), glomerulus(2, right, 0.7)], INFO)
    labels = tifffile.imread(path, key=0)
    assert labels[500, 525] == 1
    write_label_map(path, [glomerulus(1, left, 0.7), glomerulus(2, right, 0.8)], INFO)
    assert tifffile.imread(path, key=0)[500, 525] == 2


def test_openslide_reads_one_micron_per_pixel(tmp_path: Path) -> None:
    path = tmp_path / "masks.tif"
    write_label_map(path, [glomerulus(1, circle_ring(1000, 1000, 300))], INFO)
    with openslide.OpenSlide(path) as slide:
        assert slide.dimensions == (2500, 1501)
        assert slide.level_count == 4
        assert float(slide.properties["openslide.mpp-x"]) == pytest.approx(1.0)
        assert float(slide.properties["openslide.mpp-y"]) == pytest.approx(1.0)


def test_same_bytes_twice_and_empty_is_cheap(tmp_path: Path) -> None:
    large = dataclasses.replace(INFO, width=40_000, height=30_000)
    write_label_map(tmp_path / "a.tif", [], large)
    write_label_map(tmp_path / "b.tif", [], large)
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()
    assert (tmp_path / "a.tif").stat().st_size < 2_000_000
    assert not tifffile.imread(tmp_path / "a.tif", key=3).any()


def test_a_tiny_slide_has_one_level() -> None:
    assert len(pyramid(dataclasses.replace(INFO, width=3, height=1))) == 1


def test_more_than_16_bits_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="--no-masks"):
        write_label_map(tmp_path / "masks.tif", [glomerulus(65536, circle_ring(100, 100, 20))], INFO)
    assert not list(tmp_path.iterdir())


def test_ring_mask_against_shapely() -> None:
    random = np.random.default_rng(3)
    for _ in range(20):
        angle = np.sort(random.uniform(0, 2 * np.pi, 25))
        radius = random.uniform(5, 30, 25)
        ring = np.column_stack([20 + radius * np.cos(angle), 18 + radius * np.sin(angle)])
        x, y = np.meshgrid(np.arange(40) + 0.5, np.arange(32) + 0.5)
        assert np.array_equal(ring_mask(ring, 40, 32), shapely.contains_xy(shapely.Polygon(ring), x, y))


def test_ring_mask_outside_the_frame_is_empty() -> None:
    assert not ring_mask(circle_ring(-50, 10, 20), 30, 30).any()
    assert ring_mask(circle_ring(15, 15, 100), 30, 30).all()
