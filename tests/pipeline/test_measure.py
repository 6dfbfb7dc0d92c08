"""Sizes against shapely, and what counts as touching the edge."""

from dataclasses import replace

import numpy as np
import pytest
import shapely
from made_result import INFO, blob, made_glomerulus

from gloinone.pipeline.measure import measure_glomerulus
from gloinone.records import Crop, SlideInfo


def test_sizes_agree_with_shapely() -> None:
    ring = blob(1000, 1000, 180)
    glomerulus = made_glomerulus(1, ring)
    polygon = shapely.Polygon(ring * INFO.mpp)
    assert glomerulus.area_um2 == pytest.approx(polygon.area)
    assert glomerulus.perimeter_um == pytest.approx(polygon.length)
    assert glomerulus.diameter_um == pytest.approx(2 * np.sqrt(polygon.area / np.pi))
    assert glomerulus.circularity == pytest.approx(4 * np.pi * polygon.area / polygon.length**2)
    assert not glomerulus.at_edge


@pytest.mark.parametrize(
    ("cx", "cy", "cut"),
    [(160, 1000, False), (149, 1000, True), (1000, 149, True), (5851, 1000, True), (1000, 3851, True)],
)
def test_the_border_of_the_slide(cx: float, cy: float, cut: bool) -> None:
    square = np.array(
        [[cx - 149, cy - 149], [cx + 149, cy - 149], [cx + 149, cy + 149], [cx - 149, cy + 149]]
    )
    assert made_glomerulus(1, square).at_edge is cut


def test_the_border_of_what_was_scanned() -> None:
    bounded = SlideInfo("a.mrxs", 6000, 4000, 0.5, "file", "mirax", bounds=(820, 0, 4000, 4000))
    ring = blob(1000, 1000, 180)
    assert made_glomerulus(1, ring, info=bounded).at_edge
    assert not made_glomerulus(1, ring + np.array([400, 0]), info=bounded).at_edge
    g = made_glomerulus(1, ring)
    bounds = (0.0, 0.0, 1170.0, 4000.0)
    crop = Crop(g.candidate.window, g.crop)
    assert measure_glomerulus(1, g.candidate, g.outline, crop, INFO, bounds).at_edge


def test_pixels_that_were_not_scanned() -> None:
    g = made_glomerulus(1, blob(1000, 1000, 180))
    scanned = np.ones((256, 256), bool)
    columns = np.flatnonzero(g.outline.mask.any(axis=0))
    scanned[:, columns[-1] + 1 :] = False  # right beside the outline
    crop = Crop(g.candidate.window, g.crop, scanned)
    assert measure_glomerulus(1, g.candidate, g.outline, crop, INFO).at_edge
    scanned[:, columns[-1] + 1 : columns[-1] + 4] = True
    assert not measure_glomerulus(1, g.candidate, g.outline, replace(crop, scanned=scanned), INFO).at_edge
