"""Circles and rings as plain arithmetic on arrays; no frame of its own: the unit put in comes out."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def lens_area(distance: ArrayLike, radius_a: ArrayLike, radius_b: ArrayLike) -> Floats:
    """Area that two circles share, broadcast over the inputs."""
    d, a, b = np.broadcast_arrays(
        np.asarray(distance, np.float64), np.asarray(radius_a, np.float64), np.asarray(radius_b, np.float64)
    )
    small, large = np.minimum(a, b), np.maximum(a, b)
    inside = d <= large - small
    apart = d >= a + b
    crossing = ~(inside | apart)
    area = np.where(inside, np.pi * small**2, 0.0)
    dc, ac, bc = d[crossing], a[crossing], b[crossing]
    cos_a = np.clip((dc**2 + ac**2 - bc**2) / (2 * dc * ac), -1, 1)
    cos_b = np.clip((dc**2 + bc**2 - ac**2) / (2 * dc * bc), -1, 1)
    kite = np.sqrt(np.maximum(0, (-dc + ac + bc) * (dc + ac - bc) * (dc - ac + bc) * (dc + ac + bc)))
    area[crossing] = ac**2 * np.arccos(cos_a) + bc**2 * np.arccos(cos_b) - kite / 2
    return area


def share_inside(circles: Floats, width: float, height: float) -> Floats:
    """(N, 3+) cx, cy, radius -> (N,) share of each circle's area in the rectangle 0, 0, width, height.

    Of the four sides each is taken by itself: exact for a circle that crosses one or two opposite ones, and
    about right at a corner.

    >>> share_inside(np.array([[50., 50., 9.], [0., 50., 9.], [0., 0., 9.], [-9., 50., 9.]]), 100, 100).tolist()
    [1.0, 0.5, 0.25, 0.0]
    """
    cx, cy, radius = circles[:, 0], circles[:, 1], circles[:, 2]
    share = np.ones(len(circles))
    for gap in (cx, width - cx, cy, height - cy):
        t = np.clip(gap / radius, -1, 1)
        share *= 1 - (np.arccos(t) - t * np.sqrt(1 - t**2)) / np.pi
    return np.asarray(share, np.float64)


def share_of_smaller(a: Floats, b: Floats) -> Floats:
    """(N, 3+) and (M, 3+) cx, cy, radius -> (N, M) share of the smaller circle's area that lies in the larger.

    >>> share_of_smaller(np.array([[0., 0., 1.]]), np.array([[0., 0., 1.], [2., 0., 1.], [0., 0., .5]])).round(3)
    array([[1., 0., 1.]])
    """
    a, b = np.atleast_2d(a), np.atleast_2d(b)
    distance = np.hypot(a[:, None, 0] - b[None, :, 0], a[:, None, 1] - b[None, :, 1])
    smaller = np.minimum(a[:, None, 2], b[None, :, 2])
    return lens_area(distance, a[:, None, 2], b[None, :, 2]) / (np.pi * smaller**2)


def circle_iou(a: Floats, b: Floats) -> Floats:
    """(N, 3+) and (M, 3+) cx, cy, radius -> (N, M) circle IoU (Yang et al. 2020, CircleNet, eq. 6).

    >>> circle_iou(np.array([[0., 0., 1.]]), np.array([[0., 0., 1.], [2., 0., 1.], [0., 0., .5]])).round(3)
    array([[1.  , 0.  , 0.25]])
    """
    a, b = np.atleast_2d(a), np.atleast_2d(b)
    distance = np.hypot(a[:, None, 0] - b[None, :, 0], a[:, None, 1] - b[None, :, 1])
    lens = lens_area(distance, a[:, None, 2], b[None, :, 2])
    union = np.pi * (a[:, None, 2] ** 2 + b[None, :, 2] ** 2) - lens
    return lens / union


class RingMeasures(NamedTuple):
    """Of a simple closed ring, in the unit of its vertices."""

    area: float
    perimeter: float
    diameter: float
    """Of the circle of the same area."""
    circularity: float


def measure_ring(ring: Floats) -> RingMeasures:
    """Measures of a ring (N, 2) whose first vertex is not repeated.

    >>> measure_ring(np.array([[0., 0.], [2., 0.], [2., 2.], [0., 2.]])).area
    4.0
    """
    x, y = np.asarray(ring, np.float64).T
    x_next, y_next = np.roll(x, -1), np.roll(y, -1)
    area = float(abs(np.sum(x * y_next - x_next * y)) / 2)
    perimeter = float(np.hypot(x_next - x, y_next - y).sum())
    circularity = 4 * np.pi * area / perimeter**2 if perimeter > 0 else 0.0
    return RingMeasures(area, perimeter, 2 * float(np.sqrt(area / np.pi)), float(circularity))


def circle_ring(cx: float, cy: float, radius: float, vertices: int = 64) -> Floats:
    """(vertices, 2) polygon of the same area as the circle."""
    angle = np.arange(vertices) * 2 * np.pi / vertices
    same_area = radius * np.sqrt(2 * np.pi / (vertices * np.sin(2 * np.pi / vertices)))
    return np.column_stack([cx + same_area * np.cos(angle), cy + same_area * np.sin(angle)])


def ring_mask(ring: Floats, width: int, height: int) -> NDArray[np.bool_]:
    """(height, width) of the pixels whose centre (0.5, 1.5, ...) lies inside the ring, by the even-odd rule.

    Unbiased, unlike cv2.fillPoly, which also fills every pixel that the border touches.

    >>> ring_mask(np.array([[.9, 0.], [3., 0.], [3., 1.], [.9, 1.]]), 4, 2).astype(int)
    array([[0, 1, 1, 0],
           [0, 0, 0, 0]])
    """
    x, y = np.asarray(ring, np.float64).T
    x_next, y_next = np.roll(x, -1), np.roll(y, -1)
    row = np.arange(height)[:, None] + 0.5  # (H, 1) against N edges
    crosses = (y <= row) != (y_next <= row)
    rows, edges = np.nonzero(crosses)
    share = (rows + 0.5 - y[edges]) / (y_next[edges] - y[edges])
    x_cross = x[edges] + share * (x_next[edges] - x[edges])
    first = np.clip(np.ceil(x_cross - 0.5), 0, width).astype(np.intp)  # first pixel right of the crossing
    flips = np.zeros((height, width + 1), np.int32)
    np.add.at(flips, (rows, first), 1)
    inside: NDArray[np.bool_] = np.cumsum(flips[:, :width], axis=1) % 2 == 1
    return inside


def ring_contains(ring: Floats, points: Floats) -> NDArray[np.bool_]:
    """(N,) whether (N, 2) points lie inside a ring, by the even-odd rule.

    >>> ring_contains(np.array([[0., 0.], [2., 0.], [2., 2.], [0., 2.]]), np.array([[1., 1.], [3., 1.]]))
    array([ True, False])
    """
    x, y = np.asarray(ring, np.float64).T
    x_next, y_next = np.roll(x, -1), np.roll(y, -1)
    px, py = np.asarray(points, np.float64)[:, :2].T[:, :, None]  # (N, 1) against V edges
    crosses = (y <= py) != (y_next <= py)
    rise = np.where(crosses, y_next - y, 1.0)
    right_of = px < x + (py - y) / rise * (x_next - x)
    inside: NDArray[np.bool_] = (crosses & right_of).sum(axis=1) % 2 == 1
    return inside


def area_contains(rings: Sequence[Floats], holes: Sequence[Floats], points: Floats) -> NDArray[np.bool_]:
    """(N,) whether (N, 2+) points lie inside an area, whose rings may overlap, and in none of its holes.

    >>> square = np.array([[0., 0.], [4., 0.], [4., 4.], [0., 4.]])
    >>> area_contains([square], [square / 2], np.array([[1., 1.], [3., 3.], [5., 5.]]))
    array([False,  True, False])
    """
    depth = np.zeros(len(points), np.intp)
    for sign, shapes in ((1, rings), (-1, holes)):
        for ring in shapes:  # by number, since another ring may fill a hole
            depth += sign * ring_contains(ring, points)
    return np.asarray(depth > 0)


def area_mask(rings: Sequence[Floats], holes: Sequence[Floats], width: int, height: int) -> NDArray[np.bool_]:
    """(height, width) of the pixels whose centre lies inside an area, as ``area_contains`` says."""
    depth = np.zeros((height, width), np.intp)
    for sign, shapes in ((1, rings), (-1, holes)):
        for ring in shapes:
            depth += sign * ring_mask(ring, width, height)
    return np.asarray(depth > 0)


def ring_circle(ring: Floats) -> tuple[float, float, float]:
    """Centre of gravity and radius of the circle of the same area: how a truth outline becomes a circle."""
    points = np.asarray(ring, np.float64)
    origin = points.mean(axis=0)
    x, y = (points - origin).T
    x_next, y_next = np.roll(x, -1), np.roll(y, -1)
    cross = x * y_next - x_next * y
    twice_area = cross.sum()
    if abs(twice_area) < 1e-9:
        raise ValueError("a ring without area has no circle")
    cx = float(((x + x_next) * cross).sum() / (3 * twice_area) + origin[0])
    cy = float(((y + y_next) * cross).sum() / (3 * twice_area) + origin[1])
    return cx, cy, float(np.sqrt(abs(twice_area) / 2 / np.pi))


def wilson_interval(hits: int, total: int, z: float = 1.959963984540054) -> tuple[float, float]:
    """Wilson 95 % interval of a share; (nan, nan) for nothing out of nothing.

    >>> [round(v, 3) for v in wilson_interval(1, 10)]
    [0.018, 0.404]
    """
    if total == 0:
        return float("nan"), float("nan")
    share, z2 = hits / total, z * z
    centre = (share + z2 / (2 * total)) / (1 + z2 / total)
    half = z / (1 + z2 / total) * np.sqrt(share * (1 - share) / total + z2 / (4 * total * total))
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))


def weibel_gomez_um3(area_um2: float) -> float:
    """Mean volume of glomeruli that random sections cut to this area, um2: 1.38 for spheres, 1.1 for their spread.

    Weibel and Gomez 1962, with the coefficients usual for glomeruli.

    >>> round(weibel_gomez_um3(20_000) / 1e6, 2)
    3.55
    """
    return float(1.38 / 1.1 * area_um2**1.5)


def sphere_um3(area_um2: float) -> float:
    """Volume of a sphere that was cut through its middle, by the area of the cut, um2.

    >>> round(sphere_um3(np.pi * 100**2) / (4 / 3 * np.pi * 100**3), 6)
    1.0
    """
    return float(4 / (3 * np.sqrt(np.pi)) * area_um2**1.5)
