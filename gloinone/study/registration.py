"""One outline laid on another: turned, moved and, if that fits better, mirrored, so that they overlap most."""

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product

import cv2
import numpy as np
from numpy.typing import NDArray

from gloinone.records import Mask, Points

COARSE_PX, FINE_PX = 96, 192
"""Edge of the squares in which shapes are compared: all turns in the first, the best of them in the second."""
ELONGATED = 2.0
"""Length to width from which the long axis says how two shapes lie, but for a half turn."""
TURN_STEP = np.radians(10)
AXIS_TURNS = np.radians([-5.0, 0.0, 5.0])
HOPELESS = 0.6
"""Where no coarse placement overlaps more, none is made finer."""
REFINED = 4
"""Of the best coarse placements."""
FIRST_STEP, LAST_STEP = 4.0, 0.5
"""Px of the fine square, and degrees."""
CLOSED_UM = 100.0
"""Gaps up to twice this are closed: tears differ from level to level."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Shape:
    """A piece of tissue to be laid on another."""

    mask: Mask
    """(H, W) of its box."""
    corner_um: Points
    """(2,) where the box's left top lies on the slide."""
    um_per_px: float

    @cached_property
    def points_um(self) -> Points:
        """(N, 2) middles of its pixels, about their mean."""
        points = self._points_px * self.um_per_px
        return np.asarray(points - points.mean(axis=0), np.float64)

    @cached_property
    def _points_px(self) -> Points:
        rows, columns = np.nonzero(self.mask)
        return np.column_stack([columns, rows]).astype(np.float64) + 0.5

    @property
    def middle_um(self) -> Points:
        """(2,) mean of its pixels, on the slide."""
        middle: Points = self.corner_um + self._points_px.mean(axis=0) * self.um_per_px
        return middle

    @property
    def area_um2(self) -> float:
        """Of its pixels."""
        return len(self._points_px) * self.um_per_px**2

    @cached_property
    def reach_um(self) -> float:
        """From its middle to its farthest pixel."""
        return float(np.hypot(*self.points_um.T).max())

    @cached_property
    def axes_um(self) -> Floats:
        """(2,) standard deviations along and across."""
        widths: Floats = np.sqrt(np.maximum(np.linalg.eigvalsh(np.cov(self.points_um.T))[::-1], 1e-9))
        return widths

    def angle(self, mirror: bool) -> float:
        """Of its long axis, radians; as in a mirror (x turned round) if so."""
        points = self.points_um * [-1.0, 1.0] if mirror else self.points_um
        _, axes = np.linalg.eigh(np.cov(points.T))
        return float(np.arctan2(axes[1, 1], axes[0, 1]))

    def drawn(self, um_per_px: float, edge_px: int) -> Mask:
        """(edge_px, edge_px) with its middle in the middle, gaps closed."""
        scale = um_per_px / self.um_per_px
        middle = self._points_px.mean(axis=0) - 0.5
        inverse = np.column_stack([np.eye(2) * scale, middle - scale * edge_px / 2])
        drawn = _warped(self.mask.astype(np.uint8), inverse, edge_px)
        reach = max(1, round(CLOSED_UM / um_per_px))
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
        return np.asarray(cv2.morphologyEx(drawn, cv2.MORPH_CLOSE, disc), np.bool_)


@dataclass(frozen=True)
class Placement:
    """How one shape lies on another."""

    overlap: float
    """Area of both over area of either, 0..1."""
    angle: float
    """Radians."""
    mirror: bool
    shift_um: Points
    """(2,) between their middles."""
    from_um: Points
    """(2,) middle of the one that is moved, on the slide."""
    onto_um: Points
    """(2,) middle of the other."""

    @property
    def matrix(self) -> Floats:
        """(2, 2) turn after mirror."""
        return turn_matrix(self.angle, self.mirror)

    @property
    def affine(self) -> Floats:
        """(2, 3) from the slide's microns in the one that is moved to those in the other."""
        return np.column_stack([self.matrix, self.onto_um + self.shift_um - self.matrix @ self.from_um])


def moved_points(affine: Floats, points: Points) -> Points:
    """(N, 2) by an affine (2, 3)."""
    moved: Points = points @ affine[:, :2].T + affine[:, 2]
    return moved


def turn_matrix(angle: float, mirror: bool) -> Floats:
    """(2, 2) that turns by an angle, after x was turned round if ``mirror``."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, -sin], [sin, cos]]) @ np.diag([-1.0 if mirror else 1.0, 1.0])


def register(moved: Shape, fixed: Shape) -> list[Placement]:
    """Ways to lay one shape on the other, the best first; several, since a plain core fits in four ways."""
    reach_um = 1.1 * max(moved.reach_um, fixed.reach_um)
    start = Placement(0.0, 0.0, False, np.zeros(2), moved.middle_um, fixed.middle_um)
    coarse = _Canvas(moved, fixed, 2 * reach_um / COARSE_PX, COARSE_PX)
    tries = [coarse.shifted(replace(start, angle=a, mirror=m)) for a, m in _turns(moved, fixed)]
    if max(one.overlap for one in tries) < HOPELESS:
        return sorted(tries, key=lambda placement: -placement.overlap)
    fine = _Canvas(moved, fixed, 2 * reach_um / FINE_PX, FINE_PX)
    chosen: list[Placement] = []
    for one in sorted(tries, key=lambda placement: -placement.overlap):
        if len(chosen) < REFINED and not any(_alike(one, other) for other in chosen):
            chosen.append(one)
    return sorted((fine.refined(one) for one in chosen), key=lambda placement: -placement.overlap)


def _turns(moved: Shape, fixed: Shape) -> list[tuple[float, bool]]:
    """Angles and mirror images to try."""
    along = all(shape.axes_um[0] >= ELONGATED * shape.axes_um[1] for shape in (moved, fixed))
    if not along:
        return list(product(np.arange(0, 2 * np.pi, TURN_STEP).tolist(), (False, True)))
    return [
        (fixed.angle(False) - moved.angle(mirror) + half + more, mirror)
        for mirror in (False, True)
        for half in (0.0, np.pi)
        for more in AXIS_TURNS.tolist()
    ]


def _alike(a: Placement, b: Placement) -> bool:
    """Nearly the same turn, so that one of them will do."""
    apart = (a.angle - b.angle + np.pi) % (2 * np.pi) - np.pi
    return a.mirror == b.mirror and bool(abs(apart) < 2 * TURN_STEP)


class _Canvas:
    """Two shapes in squares of one size."""

    def __init__(self, moved: Shape, fixed: Shape, um_per_px: float, edge_px: int) -> None:
        self.um_per_px = um_per_px
        self.edge_px = edge_px
        self.moved = moved.drawn(um_per_px, edge_px).view(np.uint8)
        self.fixed = fixed.drawn(um_per_px, edge_px)
        self._spectrum = np.fft.rfft2(self.fixed)

    def overlap(self, placement: Placement) -> float:
        laid = self._laid(placement).view(np.bool_)
        return int(np.count_nonzero(laid & self.fixed)) / max(1, int(np.count_nonzero(laid | self.fixed)))

    def shifted(self, placement: Placement) -> Placement:
        """Moved to where the two share most, for its turn."""
        shared = np.fft.irfft2(
            self._spectrum * np.conj(np.fft.rfft2(self._laid(placement))), self.fixed.shape
        )
        row, column = np.unravel_index(int(np.argmax(shared)), shared.shape)
        half = self.edge_px // 2
        shift_px = (np.array([column, row]) + half) % self.edge_px - half
        found = replace(placement, shift_um=shift_px * self.um_per_px)
        return replace(found, overlap=self.overlap(found))

    def refined(self, placement: Placement) -> Placement:
        """Moved and turned by ever smaller steps, as long as that helps."""
        best = replace(placement, overlap=self.overlap(placement))
        step = FIRST_STEP
        while step >= LAST_STEP:
            moves = np.vstack([step * np.eye(3), -step * np.eye(3)])
            tries = [
                replace(
                    best,
                    angle=best.angle + np.radians(degrees),
                    shift_um=best.shift_um + np.array([x, y]) * self.um_per_px,
                )
                for degrees, x, y in moves.tolist()
            ]
            scored = [replace(one, overlap=self.overlap(one)) for one in tries]
            better = max(scored, key=lambda one: one.overlap)
            if better.overlap > best.overlap:
                best = better
            else:
                step /= 2
        return best

    def _laid(self, placement: Placement) -> NDArray[np.uint8]:
        half = np.full(2, self.edge_px / 2)
        back = placement.matrix.T
        inverse = np.column_stack([back, half - back @ (half + placement.shift_um / self.um_per_px)])
        return _warped(self.moved, inverse, self.edge_px)


def _warped(mask: NDArray[np.uint8], inverse: Floats, edge_px: int) -> NDArray[np.uint8]:
    """``inverse``: (2, 3) from the result's pixels to those of the mask."""
    flags = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(mask, inverse, (edge_px, edge_px), flags=flags), np.uint8)
