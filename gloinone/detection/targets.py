"""What the network should say: circles in a tile -> heatmap, offset, radius and where the loss counts.

Offset and radius are asked for around a centre too, weighted as its peak (Liu et al. 2020, Training-Time-Friendly
Network, section 3.3): a peak beside the true cell then still says where the circle is.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gloinone.detection.circlenet import STRIDE

Circles = NDArray[np.float64]
"""(N, 3) cx, cy, radius, tile px, continuous (the first pixel's centre is 0.5)."""

MIN_IOU = 0.7
"""A circle moved by up to three sigma of its peak still has about this IoU with the truth."""


class Targets(NamedTuple):
    """Of one tile; H and W are the output's."""

    heat: NDArray[np.float32]
    """(H, W) 0..1, exactly 1 at centres."""
    counts: NDArray[np.float32]
    """(H, W) 1 where the heatmap loss counts, 0 in ignored circles."""
    cells: NDArray[np.int64]
    """(N,) flat index of a cell at or near a centre."""
    offset: NDArray[np.float32]
    """(N, 2) x, y of that centre from the cell's corner, output px."""
    radius: NDArray[np.float32]
    """(N,) of that circle, output px."""
    weight: NDArray[np.float32]
    """(N,) how much offset and radius of the cell count; those of a circle sum to 1."""


def sigma_of(radius: float) -> float:
    """Sigma of a centre's peak, in the unit of the radius (CornerNet's rule, on circles).

    Two equal circles a distance d apart have IoU of about 1 - 4 d / (pi r + 2 d) for small d; three sigma
    away the IoU is MIN_IOU.
    """
    lost = 1 - MIN_IOU
    distance = np.pi * radius * lost / (4 - 2 * lost)
    return float(distance / 3)


def make_targets(circles: Circles, ignored: Circles, edge_px: int) -> Targets:
    """Targets of a square tile; circles centred outside it are none of its business."""
    size = edge_px // STRIDE
    heat = np.zeros((size, size), np.float32)
    counts = np.ones((size, size), np.float32)
    yy, xx = np.mgrid[:size, :size].astype(np.float32) + 0.5
    for cx, cy, radius in np.atleast_2d(ignored) / STRIDE if len(ignored) else ():
        counts[np.hypot(xx - cx, yy - cy) <= radius] = 0
    parts = [(np.zeros(0, np.int64), np.zeros((0, 2)), np.zeros(0), np.zeros(0))]
    for cx, cy, radius in (
        c for c in np.asarray(circles, np.float64).reshape(-1, 3) / STRIDE if _inside(c, size)
    ):
        sigma = max(sigma_of(radius), 0.7)
        distance2 = (xx - (int(cx) + 0.5)) ** 2 + (yy - (int(cy) + 0.5)) ** 2
        peak = np.exp(-distance2 / (2 * sigma**2))
        np.maximum(heat, peak, out=heat)
        near = distance2 <= (2 * sigma) ** 2
        # a truth inside an ignored circle is still a truth
        counts[near] = 1
        rows, columns = np.nonzero(near)
        offset = np.column_stack([cx - columns, cy - rows])
        parts.append(
            (rows * size + columns, offset, np.full(len(rows), radius), peak[near] / peak[near].sum())
        )
    cells, offsets, radii, weights = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Targets(
        heat,
        counts,
        cells.astype(np.int64),
        offsets.astype(np.float32),
        radii.astype(np.float32),
        weights.astype(np.float32),
    )


def _inside(circle: NDArray[np.float64], size: int) -> bool:
    return bool(0 <= circle[0] < size and 0 <= circle[1] < size)
