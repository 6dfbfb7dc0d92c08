"""Circles of overlapping tiles -> circles of the slide."""

import numpy as np
from numpy.typing import NDArray
from shapely import STRtree, box

from gloinone.geometry import circle_iou

Scored = NDArray[np.float64]
"""(N, 4) cx, cy, radius, score; any one frame."""

PUBLISHED_MAX_IOU = 0.35


def in_core(circles: Scored, core: tuple[float, float, float, float]) -> NDArray[np.bool_]:
    """Which circles are centred in the half-open rectangle x0, y0, x1, y1: each belongs to one tile only."""
    x0, y0, x1, y1 = core
    cx, cy = circles[:, 0], circles[:, 1]
    return (cx >= x0) & (cx < x1) & (cy >= y0) & (cy < y1)


def suppress(circles: Scored, max_iou: float = PUBLISHED_MAX_IOU) -> Scored:
    """Greedy circle NMS: the best stay, those with a larger circle IoU than ``max_iou`` to one of them go.

    Best first; ties are broken by place, so that the order of the tiles does not matter.
    """
    circles = np.asarray(circles, np.float64).reshape(-1, 4)
    order = np.lexsort((circles[:, 0], circles[:, 1], -circles[:, 3]))
    circles = circles[order]
    cx, cy, r = circles[:, 0], circles[:, 1], circles[:, 2]
    boxes = box(cx - r, cy - r, cx + r, cy + r)
    tree = STRtree(boxes)
    alive = np.ones(len(circles), bool)
    for i in range(len(circles)):
        if not alive[i]:
            continue
        near = np.sort(tree.query(boxes[i]))
        near = near[(near > i) & alive[near]]
        if len(near):
            alive[near[circle_iou(circles[i : i + 1], circles[near])[0] > max_iou]] = False
    return circles[alive]
