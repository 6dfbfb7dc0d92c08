"""Which pieces of tissue are levels of one core: those whose outlines fit on each other. Tried on drawn ones only."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage

from gloinone.records import PieceMap
from gloinone.slide.pieces import Box, pixel_boxes
from gloinone.study.registration import Placement, Shape, register

MIN_OVERLAP = 0.92
"""Of every two levels: area of both over area of either. Drawn levels of one core reach .97, two drawn cores of the
same length and breadth .90. Levels that fit worse stay apart, so that nothing is taken for a repeat that is none."""
MAX_AREA_RATIO = 1.4
"""Pieces that differ more are not tried."""
MAX_PIECES = 24
"""Of a slide with more nothing is said: every pair is tried, and many pieces are fragments or a tissue array."""
MAX_EDGE_PX = 512
"""Larger pieces are thinned out to this, which bounds time and memory."""


@dataclass(frozen=True)
class Cores:
    """Pieces by core."""

    members: tuple[tuple[int, ...], ...] = ()
    """Of each core, from core 1 on: numbers of its pieces, in the order of its levels."""
    placements: Mapping[tuple[int, int], list[Placement]] = field(default_factory=dict)
    """By two pieces, the lower number first: ways to lay the second on the first, the best first."""

    def place_of(self, piece: int) -> tuple[int, int] | None:
        """Core and level of a piece, each from 1."""
        for core, members in enumerate(self.members, start=1):
            if piece in members:
                return core, members.index(piece) + 1
        return None


def find_cores(pieces: PieceMap, um_per_px: float) -> Cores:
    """The cores on a slide, in the order of their first pieces; none if there are too many pieces to say."""
    boxes = pixel_boxes(pieces)
    if len(boxes) > MAX_PIECES:
        return Cores()
    shapes = {number: _shape(pieces, number, box, um_per_px) for number, box in boxes.items()}
    if len(shapes) < 2:
        return Cores(tuple((number,) for number in shapes))
    placements = {
        (a, b): register(shapes[b], shapes[a])
        for a, b in combinations(sorted(shapes), 2)
        if max(shapes[a].area_um2, shapes[b].area_um2)
        <= MAX_AREA_RATIO * min(shapes[a].area_um2, shapes[b].area_um2)
    }
    pairs = combinations(sorted(shapes), 2)
    apart = np.array([1 - placements[pair][0].overlap if pair in placements else 1.0 for pair in pairs])
    groups = fcluster(linkage(apart, "complete"), 1 - MIN_OVERLAP, "distance")
    members: dict[int, list[int]] = {}
    for number, group in zip(sorted(shapes), groups.tolist(), strict=True):
        members.setdefault(group, []).append(number)
    return Cores(tuple(tuple(own) for own in sorted(members.values())), placements)


def _shape(pieces: PieceMap, number: int, box: Box, um_per_px: float) -> Shape:
    left, top, right, bottom = box
    step = -(-max(right - left, bottom - top) // MAX_EDGE_PX)
    mask = pieces[top:bottom:step, left:right:step] == number
    # the first pixel that is taken lies in the middle of those it stands for
    corner = np.array([left, top]) + 0.5 - step / 2
    return Shape(mask, corner * um_per_px, um_per_px * step)
