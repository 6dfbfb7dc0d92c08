"""From a probability for every pixel of a crop to one smooth ring in level-0 pixels."""

from dataclasses import dataclass

import cv2
import numpy as np
import shapely
from numpy.typing import NDArray

from gloinone.geometry import circle_ring, ring_mask
from gloinone.records import Detection, Mask, Outline, Points, Window

FINENESS = 4
"""The border is traced on probabilities interpolated to this many pixels per crop pixel."""

SMOOTH_PX = 2.0
"""Crop px along the border over which it is averaged; a crop pixel is the network's own uncertainty."""


@dataclass(frozen=True)
class OutlineConfig:
    """What counts as one glomerulus."""

    threshold: float = 0.5
    max_changed: float = 0.05
    """Share of the mask that may be dropped, or filled, before the outline is flagged."""
    min_of_circle: float = 0.05
    """Share of the circle that the mask must cover; less is nothing."""
    tolerance_px: float = 0.15
    """Of a vertex, crop px, when the ring is thinned out."""


def make_outline(
    probability: NDArray[np.float32],
    window: Window,
    detection: Detection,
    config: OutlineConfig,
    slide_size: tuple[int, int] | None = None,
) -> Outline:
    """Outer border of the largest piece, filled; the circle where nothing is left.

    probability: (H, W) in the frame of ``window``. ``slide_size``: width, height in level-0 px, to which the
    ring is clipped: a crop at the slide's border shows mirrored tissue.
    """
    mask = probability >= config.threshold
    piece, changed = largest_filled(mask)
    if covered_share(piece, window, detection) < config.min_of_circle:
        return circle_outline(window, detection, slide_size)
    ring = clip_ring(window.l0_from_image(trace(probability, piece, config)), slide_size)
    if ring is None:
        return circle_outline(window, detection, slide_size)
    inside = ring_mask(window.image_from_l0(ring), window.width_px, window.height_px)
    return Outline(ring, "mask", changed > config.max_changed or reaches_border(inside), inside, window)


def reaches_border(mask: Mask) -> bool:
    """Whether a mask meets its crop's border, beyond which the glomerulus may go on unseen."""
    return bool(mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any())


def circle_outline(window: Window, detection: Detection, slide_size: tuple[int, int] | None) -> Outline:
    """The detector's circle, flagged."""
    whole = circle_ring(detection.cx, detection.cy, detection.radius)
    clipped = clip_ring(whole, slide_size)
    ring = whole if clipped is None else clipped
    inside = ring_mask(window.image_from_l0(ring), window.width_px, window.height_px)
    return Outline(ring, "circle", True, inside, window)


def largest_filled(mask: Mask) -> tuple[Mask, float]:
    """Largest piece (4-connected) without holes, and the greater of the shares dropped and filled.

    >>> largest_filled(np.array([[1, 1, 1, 0, 1], [1, 0, 1, 0, 0], [1, 1, 1, 0, 0]], bool))[0].astype(int)
    array([[1, 1, 1, 0, 0],
           [1, 1, 1, 0, 0],
           [1, 1, 1, 0, 0]])
    """
    total = int(mask.sum())
    if total == 0:
        return np.zeros_like(mask, dtype=np.bool_), 0.0
    _, numbers, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    largest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    piece = numbers == largest
    outside = cv2.copyMakeBorder((~piece).astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=(1,))
    cv2.floodFill(outside, None, (0, 0), 2)  # 4-connected from beyond the border
    filled = np.asarray(outside[1:-1, 1:-1] != 2, np.bool_)
    size, grown = int(piece.sum()), int(filled.sum())
    return filled, max((total - size) / total, (grown - size) / grown)


def covered_share(piece: Mask, window: Window, detection: Detection) -> float:
    """Share of the circle's pixels in the crop that the piece covers."""
    ring = window.image_from_l0(circle_ring(detection.cx, detection.cy, detection.radius))
    circle = ring_mask(ring, piece.shape[1], piece.shape[0])
    return float((piece & circle).sum() / max(1, int(circle.sum())))


def trace(probability: NDArray[np.float32], piece: Mask, config: OutlineConfig) -> Points:
    """(N, 2) crop px: where the interpolated probability crosses the threshold around the piece.

    The area agrees with the piece's number of pixels: the contour runs through the centres of fine border
    pixels and is moved out by half of one.
    """
    height, width = piece.shape
    inside_value = np.where(probability >= config.threshold, probability, 1.0)  # filled holes
    kept = np.where(piece, inside_value, np.minimum(probability, config.threshold - 1e-3))
    fine = cv2.resize(
        kept.astype(np.float32), (width * FINENESS, height * FINENESS), interpolation=cv2.INTER_LINEAR
    )
    inside = (fine >= config.threshold).astype(np.uint8)
    contours, _ = cv2.findContours(inside, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    points = max(contours, key=len)[:, 0, :].astype(np.float64)
    ring = (points + 0.5) / FINENESS
    if len(ring) < 3:
        ring = np.repeat(ring, 3, axis=0)[:3]
    grown = shapely.LinearRing(ring).buffer(0.5 / FINENESS, join_style="mitre", mitre_limit=1.5)
    outer = shapely.Polygon(_smooth(_largest(grown).exterior))
    return shapely.get_coordinates(outer.simplify(config.tolerance_px, preserve_topology=True))[:-1]


def clip_ring(ring: Points, slide_size: tuple[int, int] | None) -> Points | None:
    """The largest part within the slide as a valid ring, or None where nothing is within."""
    polygon = shapely.make_valid(shapely.Polygon(ring))
    if slide_size is not None:
        polygon = polygon.intersection(shapely.box(0, 0, *slide_size))
    largest = _largest(polygon)
    if largest.area <= 0:
        return None
    coordinates = np.asarray(largest.exterior.coords, np.float64)[:-1]
    return coordinates if len(coordinates) >= 3 else None


def _smooth(ring: shapely.LinearRing) -> Points:
    """Without the staircase of the fine grid: a point every fine pixel, the mean of SMOOTH_PX around it."""
    corners = shapely.get_coordinates(ring)  # the first is repeated at the end
    walked = np.concatenate([[0.0], np.hypot(*np.diff(corners, axis=0).T).cumsum()])
    count = max(4, round(walked[-1] * FINENESS))
    along = np.arange(count) * walked[-1] / count
    points = np.column_stack([np.interp(along, walked, corners[:, axis]) for axis in (0, 1)])
    half = min(round(SMOOTH_PX * FINENESS / 2), count // 16)
    wrapped = np.concatenate([points[count - half :], points, points[:half]])
    kernel = np.full(2 * half + 1, 1 / (2 * half + 1))
    return np.column_stack([np.convolve(wrapped[:, axis], kernel, "valid") for axis in (0, 1)])


def _largest(shape: shapely.Geometry) -> shapely.Polygon:
    """The polygon of the largest area in whatever shapely made of it."""
    polygons = [part for part in shapely.get_parts(shape) if isinstance(part, shapely.Polygon)]
    for part in shapely.get_parts(shape):
        if isinstance(part, shapely.MultiPolygon):
            polygons += list(part.geoms)
    return max(polygons, key=lambda part: part.area, default=shapely.Polygon())
