"""Covers a mask with few rectangles, each small enough for one tile together with the surroundings it needs.

Everything here counts cells of the overview. The mask is cut where it is empty; each piece is cut into rows and the
rows into cores, or into columns first, or at its widest gap, whichever gives the fewest tiles.
"""

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from gloinone.records import Mask


class Rectangle(NamedTuple):
    """Half-open, in cells."""

    x0: int
    y0: int
    x1: int
    y1: int

    @property
    def transposed(self) -> "Rectangle":
        """With x and y exchanged."""
        return Rectangle(self.y0, self.x0, self.y1, self.x1)


class Placed(NamedTuple):
    """A core, and the rectangle that its tile has to show."""

    core: Rectangle
    needed: Rectangle


def lay_cores(wanted: Mask, tissue: Mask, edge: int, margin: int, guard: int) -> list[Placed]:
    """Disjoint cores that hold all of ``wanted``; what each needs is at most ``edge`` wide and high.

    A side needs ``margin`` beyond it if ``tissue``, mirrored at the border, lies that near to it, else ``guard``.
    """
    mirrored = np.pad(tissue, margin, mode="symmetric").view(np.uint8)
    sums = np.asarray(cv2.integral(mirrored, sdepth=cv2.CV_32S), np.int32)
    layout = _Layout(wanted, _Near(sums, margin, guard), edge)
    turned = _Layout(np.ascontiguousarray(wanted.T), _Near(sums.T, margin, guard), edge)
    height, width = wanted.shape
    return _cover(layout, turned, Rectangle(0, 0, width, height))


def _cover(layout: "_Layout", turned: "_Layout", block: Rectangle) -> list[Placed]:
    tight = layout.tighten(block)
    if tight is None:
        return []
    best = layout.rows(tight)
    if len(best) == 1:
        return best
    columns = turned.rows(tight.transposed)
    if len(columns) < len(best):
        best = [Placed(core.transposed, needed.transposed) for core, needed in columns]
    halves = layout.split(tight)
    if halves is not None:
        apart = [placed for half in halves for placed in _cover(layout, turned, half)]
        if len(apart) <= len(best):
            best = apart
    return best


@dataclass(frozen=True)
class _Near:
    """Answers how much a side of a rectangle has to see beyond itself."""

    sums: NDArray[np.int32]
    """Of the tissue left of and above each corner of the cells, the mirrored margin included."""
    margin: int
    guard: int

    def left(self, r: Rectangle) -> int:
        """Cells needed left of the rectangle; so on for the other sides."""
        return self._reach(Rectangle(r.x0 - self.margin, r.y0 - self.margin, r.x0, r.y1 + self.margin))

    def right(self, r: Rectangle) -> int:
        return self._reach(Rectangle(r.x1, r.y0 - self.margin, r.x1 + self.margin, r.y1 + self.margin))

    def above(self, r: Rectangle) -> int:
        return self._reach(Rectangle(r.x0 - self.margin, r.y0 - self.margin, r.x1 + self.margin, r.y0))

    def below(self, r: Rectangle) -> int:
        return self._reach(Rectangle(r.x0 - self.margin, r.y1, r.x1 + self.margin, r.y1 + self.margin))

    def _reach(self, band: Rectangle) -> int:
        m, s = self.margin, self.sums
        y0, y1, x0, x1 = band.y0 + m, band.y1 + m, band.x0 + m, band.x1 + m
        return self.margin if s[y1, x1] - s[y0, x1] - s[y1, x0] + s[y0, x0] else self.guard


@dataclass(frozen=True)
class _Layout:
    wanted: Mask
    near: _Near
    edge: int

    def tighten(self, block: Rectangle) -> Rectangle | None:
        """The bounding box of what is wanted in the block."""
        part = self.wanted[block.y0 : block.y1, block.x0 : block.x1]
        rows, columns = np.flatnonzero(part.any(axis=1)), np.flatnonzero(part.any(axis=0))
        if not rows.size:
            return None
        return Rectangle(
            block.x0 + int(columns[0]),
            block.y0 + int(rows[0]),
            block.x0 + int(columns[-1]) + 1,
            block.y0 + int(rows[-1]) + 1,
        )

    def rows(self, block: Rectangle) -> list[Placed]:
        """Cut the block into strips from the top, each as high as a tile allows, and the strips into cores."""
        placed: list[Placed] = []
        rest = self.tighten(block)
        while rest is not None:
            room = self.edge - self.near.above(rest)
            fits = rest.y1 - rest.y0 + self.near.below(rest) <= room
            strip = rest if fits else rest._replace(y1=rest.y0 + room - self.near.margin)
            placed += self._along(strip)
            rest = None if fits else self.tighten(rest._replace(y0=strip.y1))
        return placed

    def _along(self, strip: Rectangle) -> list[Placed]:
        placed: list[Placed] = []
        top, bottom = strip.y0 - self.near.above(strip), strip.y1 + self.near.below(strip)
        rest = self.tighten(strip)
        while rest is not None:
            rest = Rectangle(rest.x0, strip.y0, rest.x1, strip.y1)
            left = self.near.left(rest)
            fits = rest.x1 - rest.x0 + left + self.near.right(rest) <= self.edge
            x1 = rest.x1 if fits else rest.x0 + self.edge - left - self.near.margin
            right = x1 + (self.near.right(rest) if fits else self.near.margin)
            core = self.tighten(rest._replace(x1=x1))
            assert core is not None, "a strip's rest begins with a wanted column"
            placed.append(Placed(core, self._needed(core, Rectangle(rest.x0 - left, top, right, bottom))))
            rest = None if fits else self.tighten(rest._replace(x0=x1))
        return placed

    def _needed(self, core: Rectangle, most: Rectangle) -> Rectangle:
        """Never more than the margin around a core that shrank to what is wanted in it."""
        m = self.near.margin
        return Rectangle(
            max(most.x0, core.x0 - m),
            max(most.y0, core.y0 - m),
            min(most.x1, core.x1 + m),
            min(most.y1, core.y1 + m),
        )

    def split(self, block: Rectangle) -> tuple[Rectangle, Rectangle] | None:
        """In two at the widest empty stretch of rows or columns of a tight block."""
        part = self.wanted[block.y0 : block.y1, block.x0 : block.x1]
        width_x, at_x = _widest_gap(np.asarray(part.any(axis=0)))
        width_y, at_y = _widest_gap(np.asarray(part.any(axis=1)))
        if max(width_x, width_y) == 0:
            return None
        if width_x >= width_y:
            return block._replace(x1=block.x0 + at_x), block._replace(x0=block.x0 + at_x)
        return block._replace(y1=block.y0 + at_y), block._replace(y0=block.y0 + at_y)


def _widest_gap(filled: NDArray[np.bool_]) -> tuple[int, int]:
    """Length and start of the longest run of False between Trues; (0, 0) without one."""
    at = np.flatnonzero(filled)
    gaps = np.diff(at) - 1
    if not gaps.size or gaps.max() == 0:
        return 0, 0
    widest = int(gaps.argmax())
    return int(gaps[widest]), int(at[widest]) + 1
