"""Outlines of masks whose area, border and faults are known."""

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gloinone.geometry import measure_ring, ring_circle
from gloinone.records import Detection, Window
from gloinone.segmentation.outline import OutlineConfig, largest_filled, make_outline, trace

CONFIG = OutlineConfig()
WINDOW = Window(1000, 2000, 512, 512, 256, 256)  # two level-0 px per crop px
CIRCLE = Detection(1256, 2256, 180, 0.9)


def disc(cx: float, cy: float, radius: float, sharp: float = 1.0, edge: int = 256) -> NDArray[np.float32]:
    """Probability of a disc in crop px; ``sharp``: steepness of its border per px."""
    y, x = np.mgrid[:edge, :edge] + 0.5
    distance = np.hypot(x - cx, y - cy) - radius
    return (1 / (1 + np.exp(np.clip(sharp * distance, -30, 30)))).astype(np.float32)


@pytest.mark.parametrize("sharp", [0.3, 1.0, 20.0])
@pytest.mark.parametrize("radius", [9.0, 33.3, 90.0])
def test_a_disc_keeps_its_area_and_its_shape(radius: float, sharp: float) -> None:
    probability = disc(128, 128, radius, sharp)
    outline = make_outline(probability, WINDOW, Detection(1256, 2256, 2 * radius, 0.9), CONFIG)
    measures = measure_ring(outline.ring)
    true_area = np.pi * (2 * radius) ** 2
    assert outline.source == "mask"
    assert not outline.flagged
    assert measures.area == pytest.approx(true_area, rel=0.02)
    assert measures.area / 4 == pytest.approx((probability >= 0.5).sum(), rel=0.02 if radius > 20 else 0.05)
    assert measures.circularity > 0.98
    assert measures.perimeter == pytest.approx(2 * np.pi * 2 * radius, rel=0.02)
    assert outline.mask.sum() == pytest.approx(measures.area / 4, rel=0.02, abs=6)
    assert np.allclose(ring_circle(outline.ring)[:2], [1256, 2256], atol=0.2)


def test_ring_and_mask_agree_with_an_ellipse() -> None:
    y, x = np.mgrid[:256, :256] + 0.5
    probability = (((x - 120) / 70) ** 2 + ((y - 140) / 40) ** 2 < 1).astype(np.float32)
    outline = make_outline(probability, WINDOW, CIRCLE, CONFIG)
    truth = shapely.affinity.scale(shapely.Point(1240, 2280).buffer(1, 128), 140, 80)
    ring = shapely.Polygon(outline.ring)
    assert ring.is_valid
    assert ring.intersection(truth).area / ring.union(truth).area > 0.985
    assert (outline.mask ^ (probability > 0.5)).sum() < 0.02 * probability.sum()


def test_largest_piece_filled_and_flagged() -> None:
    probability = disc(128, 128, 60)
    probability[110:150, 110:150] = 0.1  # a hole
    speck = np.maximum(probability, disc(230, 30, 5))
    outline = make_outline(speck, WINDOW, CIRCLE, CONFIG)
    assert outline.source == "mask"
    assert outline.flagged
    assert measure_ring(outline.ring).area / 4 == pytest.approx(np.pi * 60**2, rel=0.02)
    assert not outline.mask[30, 230]
    assert outline.mask[128, 128]


@pytest.mark.parametrize(("extra", "flagged"), [(9, False), (22, True)])
def test_flag_stands_for_five_percent(extra: float, flagged: bool) -> None:
    probability = np.maximum(disc(100, 128, 60, 20), disc(225, 128, extra, 20))  # 2 % or 12 % dropped
    assert make_outline(probability, WINDOW, CIRCLE, CONFIG).flagged is flagged


@pytest.mark.parametrize("probability", [np.zeros((256, 256), np.float32), disc(20, 20, 10)])
def test_nothing_left_is_the_circle(probability: NDArray[np.float32]) -> None:
    outline = make_outline(probability, WINDOW, CIRCLE, CONFIG)
    assert outline.source == "circle"
    assert outline.flagged
    assert measure_ring(outline.ring).area == pytest.approx(np.pi * 180**2, rel=1e-6)
    assert outline.mask.sum() == pytest.approx(np.pi * 90**2, rel=0.01)


def test_ring_is_clipped_to_the_slide() -> None:
    window = Window(-100, -100, 512, 512, 256, 256)
    outline = make_outline(disc(128, 128, 90), window, Detection(156, 156, 180, 1), CONFIG, (200, 1000))
    assert outline.ring.min() >= 0
    assert outline.ring[:, 0].max() <= 200
    assert shapely.Polygon(outline.ring).is_valid
    inside = window.l0_from_image(np.argwhere(outline.mask)[:, ::-1] + 0.5)
    assert inside.min() >= 0
    assert inside[:, 0].max() <= 200
    circle = make_outline(disc(0, 0, 1), window, Detection(10, 10, 50, 1), CONFIG, (200, 1000))
    assert circle.source == "circle"
    assert circle.ring.min() >= 0


def test_a_mask_that_fills_the_crop_ends_at_its_border() -> None:
    outline = make_outline(np.ones((256, 256), np.float32), WINDOW, CIRCLE, CONFIG)
    low, high = outline.ring.min(axis=0), outline.ring.max(axis=0)
    assert np.allclose(low, [1000, 2000], atol=1.5)
    assert np.allclose(high, [1512, 2512], atol=1.5)
    assert outline.mask.mean() > 0.999
    assert outline.flagged


def test_a_mask_that_meets_the_border_of_its_crop_is_flagged_but_not_at_that_of_the_slide() -> None:
    assert make_outline(disc(60, 128, 70), WINDOW, CIRCLE, CONFIG).flagged
    assert not make_outline(disc(128, 128, 90), WINDOW, CIRCLE, CONFIG).flagged
    window = Window(-100, -100, 512, 512, 256, 256)
    cut = make_outline(disc(60, 128, 50), window, Detection(20, 156, 100, 1), CONFIG, (1000, 1000))
    assert cut.ring[:, 0].min() == 0
    assert not cut.flagged


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_any_map_gives_one_valid_ring(seed: int) -> None:
    rng = np.random.default_rng(seed)
    noise = rng.random((64, 64)).astype(np.float32)
    for _ in range(int(rng.integers(0, 4))):
        noise = (noise + np.roll(noise, 1, 0) + np.roll(noise, 1, 1) + np.roll(noise, -1, 0)) / 4
    outline = make_outline(noise, Window(0, 0, 64, 64, 64, 64), Detection(32, 32, 20, 1), CONFIG)
    polygon = shapely.Polygon(outline.ring)
    assert polygon.is_valid
    assert polygon.area > 0
    assert len(outline.ring) >= 3
    assert not np.array_equal(outline.ring[0], outline.ring[-1])
    assert outline.mask.shape == (64, 64)


def test_largest_filled_of_pieces_that_touch_at_a_corner() -> None:
    mask = np.zeros((6, 6), np.bool_)
    mask[:3, :3] = True
    mask[3:5, 3:5] = True
    piece, changed = largest_filled(mask)
    assert piece.sum() == 9
    assert changed == pytest.approx(4 / 13)
    assert largest_filled(np.zeros((3, 3), np.bool_))[0].sum() == 0


def test_one_pixel_is_a_ring() -> None:
    probability = np.zeros((16, 16), np.float32)
    probability[5, 7] = 1
    ring = trace(probability, probability > 0.5, CONFIG)
    assert shapely.Polygon(ring).contains(shapely.Point(7.5, 5.5))
