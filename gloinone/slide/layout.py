"""Covers a mask with rectangles, each small enough for one tile together with the surroundings it needs.

Everything here counts cells of the overview. A tile is as wide and as high as the smallest of a few sides that will
do, and what is made small is the area of all tiles. The mask is cut into rows and the rows into cores, or into columns
first, or at its widest gap, whichever costs least; then each core is cut in two where two tiles cost less than one.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
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


CUTS = 8
"""A core is tried to be cut at this many parts of its width and of its height, and at its widest gap."""
CHARGE = 8
"""Each tile costs this part of the smallest one's area more, so that nothing is cut up for next to nothing."""


def smallest_side(sides: Sequence[int], length: int) -> int:
    """Index of the smallest of ascending ``sides`` that is as long; the last where none is."""
    return min(bisect_left(sides, length), len(sides) - 1)


def lay_cores(wanted: Mask, tissue: Mask, sides: Sequence[int], margin: int, guard: int) -> list[Placed]:
    """Disjoint cores that hold all of ``wanted``; what each needs is at most as wide and high as the last side.

    ``sides``: what tiles may measure, ascending. A side of a core needs ``margin`` beyond it if ``tissue``, mirrored
    at the border, lies that near to it, else ``guard``.
    """
    mirrored = np.pad(tissue, margin, mode="symmetric").view(np.uint8)
    sums = np.asarray(cv2.integral(mirrored, sdepth=cv2.CV_32S), np.int32)
    layout = _Layout(wanted, _Near(sums, margin, guard), sides)
    turned = _Layout(np.ascontiguousarray(wanted.T), _Near(sums.T, margin, guard), sides)
    height, width = wanted.shape
    return _cover(layout, turned, Rectangle(0, 0, width, height))


def _cover(layout: "_Layout", turned: "_Layout", block: Rectangle) -> list[Placed]:
    tight = layout.tighten(block)
    if tight is None:
        return []
    best = layout.refined(layout.rows(tight))
    columns = [Placed(core.transposed, needed.transposed) for core, needed in turned.rows(tight.transposed)]
    ways = [layout.refined(columns)]
    halves = layout.split(tight)
    if halves is not None and len(best) > 1:
        ways.append([placed for half in halves for placed in _cover(layout, turned, half)])
    return min([best, *ways], key=layout.cost)


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
    sides: Sequence[int]

    @property
    def edge(self) -> int:
        """The most that a tile can show."""
        return self.sides[-1]

    def cost(self, placed: Sequence[Placed]) -> int:
        """Area of the tiles, and a charge for each."""
        area = sum(
            self.sides[smallest_side(self.sides, needed.x1 - needed.x0)]
            * self.sides[smallest_side(self.sides, needed.y1 - needed.y0)]
            for _, needed in placed
        )
        return area + len(placed) * self.sides[0] ** 2 // CHARGE

    def refined(self, placed: Sequence[Placed]) -> list[Placed]:
        """Each core cut in two, and the parts again, as long as that costs less."""
        done: list[Placed] = []
        todo = list(reversed(placed))
        while todo:
            whole = todo.pop()
            parts = min(self._halved(whole.core), key=self.cost, default=[whole])
            if self.cost(parts) < self.cost([whole]):
                todo += reversed(parts)
            else:
                done.append(whole)
        return done

    def _halved(self, core: Rectangle) -> Iterator[list[Placed]]:
        """The ways to cut a core in two whose parts each fit a tile."""
        ways = [self.split(core)]
        for part in range(1, CUTS):
            x = core.x0 + (core.x1 - core.x0) * part // CUTS
            y = core.y0 + (core.y1 - core.y0) * part // CUTS
            ways += [
                (core._replace(x1=x), core._replace(x0=x)),
                (core._replace(y1=y), core._replace(y0=y)),
            ]
        for halves in ways:
            parts = [self._alone(tight) for half in halves or () if (tight := self.tighten(half))]
            if len(parts) == 2 and all(max(n.x1 - n.x0, n.y1 - n.y0) <= self.edge for _, n in parts):
                yield parts

    def _alone(self, core: Rectangle) -> Placed:
        near = self.near
        needed = Rectangle(
            core.x0 - near.left(core),
            core.y0 - near.above(core),
            core.x1 + near.right(core),
            core.y1 + near.below(core),
        )
        return Placed(core, needed)

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
