"""Circles and rings against shapely and brute force."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely import Point, Polygon

from gloinone.geometry import (
    circle_iou,
    circle_ring,
    measure_ring,
    ring_circle,
    share_inside,
    wilson_interval,
)

coordinate = st.floats(-50, 50)
radius = st.floats(0.5, 40)


@given(coordinate, coordinate, radius, radius)
def test_circle_iou_agrees_with_polygons(dx: float, dy: float, r1: float, r2: float):
    iou = circle_iou(np.array([[3.0, 4.0, r1]]), np.array([[3.0 + dx, 4.0 + dy, r2]]))[0, 0]
    a, b = Point(3, 4).buffer(r1, 256), Point(3 + dx, 4 + dy).buffer(r2, 256)
    assert iou == pytest.approx(a.intersection(b).area / a.union(b).area, abs=2e-3)
    assert 0 <= iou <= 1 + 1e-12


def test_ring_measures_agree_with_shapely():
    ring = np.array([[0, 0], [9, 1], [12, 8], [4, 11], [-3, 6]], float)
    measures, polygon = measure_ring(ring), Polygon(ring)
    assert measures.area == pytest.approx(polygon.area)
    assert measures.perimeter == pytest.approx(polygon.length)
    assert measures.circularity == pytest.approx(4 * np.pi * polygon.area / polygon.length**2)


@given(coordinate, coordinate, radius)
def test_a_circle_survives_its_ring(cx: float, cy: float, r: float):
    ring = circle_ring(cx, cy, r)
    assert measure_ring(ring).area == pytest.approx(np.pi * r * r, rel=1e-6, abs=1e-9)
    assert ring_circle(ring) == pytest.approx((cx, cy, r), abs=1e-6)


def test_centre_is_that_of_gravity_not_of_the_vertices():
    square = np.array([[0, 0], [1, 0], [2, 0], [4, 0], [4, 4], [0, 4]], float)
    assert ring_circle(square)[:2] == pytest.approx((2, 2))


def test_a_line_has_no_circle():
    with pytest.raises(ValueError, match="without area"):
        ring_circle(np.array([[0, 0], [1, 1], [2, 2]], float))


def test_wilson_interval_of_nothing_and_of_everything():
    assert np.isnan(wilson_interval(0, 0)).all()
    low, high = wilson_interval(10, 10)
    assert low == pytest.approx(0.722, abs=1e-3)
    assert high == pytest.approx(1)


@pytest.mark.parametrize("centre", [(3.0, 50.0), (97.0, 50.0), (50.0, -4.0), (50.0, 93.0), (50.0, 50.0)])
def test_share_inside_is_that_of_points(centre: tuple[float, float]):
    rng = np.random.default_rng(0)
    points = rng.uniform(-10, 10, (40000, 2))
    points = points[np.hypot(*points.T) <= 10] + centre
    expected = ((points >= 0) & (points <= 100)).all(axis=1).mean()
    assert share_inside(np.array([[*centre, 10.0]]), 100, 100)[0] == pytest.approx(expected, abs=0.01)
