"""Pieces of tissue: sections, cores and their levels, which lie apart on the glass; numbered in reading order.

All of it follows from the tissue mask of the overview: no further read, and the same every time.
"""

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from gloinone.records import Glomerulus, Mask, Piece, PieceMap, Points, SlideInfo, Window
from gloinone.slide.tissue import dilate_um

MAX_GAP_UM = 200.0
"""Tissue nearer than this belongs to one piece: a core that tore on its way to the glass."""
MIN_PIECE_MM2 = 0.1
"""Less is a crumb, not two glomeruli wide."""
BORDER_PX = 1.0
"""Of the overview: an outline within this of where the tissue ends touches it; the mask is no finer."""

Box = tuple[int, int, int, int]
"""Left, top, right, bottom, px."""


def find_pieces(tissue: Mask, um_per_px: float) -> PieceMap:
    """(H, W) number of the piece that a pixel of tissue belongs to; 0 beside tissue and in crumbs."""
    grown = dilate_um(tissue, MAX_GAP_UM / 2, um_per_px)
    count, found = cv2.connectedComponents(grown.view(np.uint8), connectivity=8)
    labels = np.where(tissue, found, 0).astype(np.int32)
    areas_mm2 = np.bincount(labels.ravel(), minlength=count) * (um_per_px / 1000) ** 2
    areas_mm2[0] = 0
    large = np.flatnonzero(areas_mm2 >= MIN_PIECE_MM2)
    boxes = pixel_boxes(labels)
    order = reading_order([boxes[label] for label in large.tolist()])
    numbers = np.zeros(count, np.uint16)
    numbers[large[order]] = np.arange(1, len(large) + 1)
    return np.asarray(numbers[labels], np.uint16)


def pixel_boxes(labels: NDArray[np.integer]) -> dict[int, Box]:
    """Of each label from 1 on that occurs in (H, W)."""
    found = enumerate(ndimage.find_objects(labels), start=1)
    return {k: (at[1].start, at[0].start, at[1].stop, at[0].stop) for k, at in found if at is not None}


def reading_order(boxes: Sequence[Box]) -> NDArray[np.intp]:
    """(N,) places of the boxes, row by row. A row is what lies, by its middle, beside the highest box left.

    Cores stand side by side or lie one below the other, and their ends are never level.

    >>> reading_order([(60, 0, 90, 100), (0, 5, 30, 95), (0, 120, 90, 150)]).tolist()
    [1, 0, 2]
    """
    left = sorted(range(len(boxes)), key=lambda i: (boxes[i][1], boxes[i][0]))
    order: list[int] = []
    while left:
        bottom = boxes[left[0]][3]
        row = [i for i in left if (boxes[i][1] + boxes[i][3]) / 2 < bottom]
        order += sorted(row, key=lambda i: (boxes[i][0], boxes[i][1]))
        left = [i for i in left if i not in set(row)]
    return np.array(order, np.intp)


def measure_pieces(pieces: PieceMap, window: Window, info: SlideInfo) -> tuple[Piece, ...]:
    """Box and area of each piece, by number; ``window``: of the map."""
    areas = np.bincount(pieces.ravel())
    px_mm2 = (window.downsample * info.mpp / 1000) ** 2
    found = []
    for number, (left, top, right, bottom) in pixel_boxes(pieces).items():
        corners = window.l0_from_image(np.array([[left, top], [right, bottom]], np.float64))
        (x0, y0), (x1, y1) = corners.tolist()
        found.append(Piece(number, x0, y0, x1 - x0, y1 - y0, float(areas[number]) * px_mm2))
    return tuple(found)


def place_on_pieces(
    glomeruli: Sequence[Glomerulus], pieces: PieceMap, window: Window
) -> tuple[Glomerulus, ...]:
    """The glomeruli with the piece that each lies on; where they touch its border they are at the edge, too."""
    if not glomeruli:
        return ()
    depth = depth_px(pieces)
    placed = []
    for g in glomeruli:
        circle = g.candidate.detection
        number = piece_under(circle.cx, circle.cy, circle.radius, pieces, window)
        cut = number is not None and touches_glass(g.outline.ring, depth, window)
        placed.append(replace(g, piece=number, at_edge=g.at_edge or cut))
    return tuple(placed)


def piece_under(cx: float, cy: float, radius: float, pieces: PieceMap, window: Window) -> int | None:
    """The piece that most of the circle (level-0 px) lies on; None for one in a crumb or on glass."""
    (x, y), reach = window.image_from_l0(np.array([[cx, cy]]))[0], radius / window.downsample
    left, top = np.maximum(np.floor([x - reach, y - reach]), 0).astype(int)
    right, bottom = np.ceil([x + reach, y + reach]).astype(int)
    patch = pieces[top:bottom, left:right]
    rows, columns = np.indices(patch.shape)
    inside = np.hypot(columns + left + 0.5 - x, rows + top + 0.5 - y) <= max(reach, 1.0)
    areas = np.bincount(patch[inside], minlength=1)
    areas[0] = 0
    return int(areas.argmax()) if areas.any() else None


def depth_px(pieces: PieceMap) -> NDArray[np.float32]:
    """(H, W) distance to the nearest pixel of glass, px; 0 on it. What tissue encloses is a lumen, not glass."""
    apart, labels = cv2.connectedComponents((pieces == 0).view(np.uint8), connectivity=4)
    rim = (labels[0], labels[-1], labels[:, 0], labels[:, -1])
    is_glass = np.zeros(apart, np.bool_)
    is_glass[np.concatenate(rim)] = True
    is_glass[0] = False  # pieces
    inside = ~is_glass[labels]
    if inside.all():
        return np.full(pieces.shape, np.inf, np.float32)
    depth = cv2.distanceTransform(inside.view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(depth, np.float32)


def touches_glass(ring: Points, depth: NDArray[np.float32], window: Window) -> bool:
    """Does the ring (level-0 px) come to where the tissue ends? The slide's own border does not count here."""
    height, width = depth.shape
    columns, rows = np.floor(window.image_from_l0(ring)).astype(int).T
    at = depth[np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)]
    return bool((at <= BORDER_PX).any())
