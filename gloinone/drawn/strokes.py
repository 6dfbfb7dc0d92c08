"""What is drawn, in microns, and the painter that puts it on a canvas of dye at any magnification."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from gloinone.drawn.shapes import ovals
from gloinone.drawn.stains import DYE_FULL, Dye
from gloinone.records import Points

_SHIFT = 4
"""Fractional bits of the coordinates that OpenCV draws with."""
_REACH_UM = 12.0
"""Lines and soft edges stick out of their points by at most this."""


class Stroke(NamedTuple):
    """A filled ring, or a line where `width_um` is given."""

    points: Points
    dye: Dye
    width_um: float = 0.0
    soft_um: float = 0.0
    """Over how many microns a filled ring fades out; 0 is a sharp edge."""
    closed: bool = True
    strength: float = 1.0
    """How much of what lies under a soft ring it covers, 0..1."""


class Cells(NamedTuple):
    """Many small convex filled rings at once."""

    rings: NDArray[np.float64]
    """(K, M, 2)."""
    dyes: NDArray[np.float64]
    """(K, 3)."""


Mark = Stroke | Cells


class Element(NamedTuple):
    """A thing in the tissue; its marks are made when it is painted, so that a large scene stays small."""

    bounds: tuple[float, float, float, float]
    """x0, y0, x1, y1 in microns."""
    marks: Callable[[], Sequence[Mark]]


def element(points: Points, marks: Callable[[], Sequence[Mark]], reach_um: float = _REACH_UM) -> Element:
    """An element whose bounds enclose `points` and `reach_um` around them."""
    low, high = points.min(axis=0) - reach_um, points.max(axis=0) + reach_um
    return Element((float(low[0]), float(low[1]), float(high[0]), float(high[1])), marks)


def nuclei(rng: np.random.Generator, centres: Points, radii: Points, angles: NDArray[np.float64]) -> Cells:
    """Nuclei with a dark rim and paler, uneven chromatin; each has its own tone."""
    count = len(centres)
    tone = rng.uniform(0.65, 1.15, count)
    rough = 1 + rng.normal(0, 0.06, (count, 12))
    rims = ovals(centres, radii, angles, rough)
    shift = rng.normal(0, 0.12, (count, 2)) * radii
    hearts = ovals(centres + shift, radii * rng.uniform(0.5, 0.75, (count, 1)), angles, rough)
    rim_dyes = np.column_stack([tone, np.full(count, 0.25), np.full(count, 0.1)])
    heart_dyes = np.column_stack(
        [tone * rng.uniform(0.72, 1.0, count), np.full(count, 0.25), np.full(count, 0.1)]
    )
    rings = np.stack([rims, hearts], axis=1).reshape(-1, 12, 2)
    return Cells(rings, np.stack([rim_dyes, heart_dyes], axis=1).reshape(-1, 3))


def streaks(
    rng: np.random.Generator,
    centres: Points,
    angles: NDArray[np.float64],
    length_um: float,
    tones: tuple[Dye, Dye],
) -> Cells:
    """Slender fibres about `length_um` long, each of a dye between the two `tones`."""
    count = len(centres)
    radii = np.column_stack([rng.uniform(0.25, 0.75, count) * length_um, rng.uniform(0.35, 0.9, count)])
    share = rng.random((count, 1))
    dyes = np.array([tones[0]]) * (1 - share) + np.array([tones[1]]) * share
    return Cells(ovals(centres, radii, angles, np.ones((count, 10))), dyes)


class Painter:
    """Paints marks on `canvas` (H, W, 3 dye bytes), whose top left corner lies at `origin_um`."""

    def __init__(self, canvas: NDArray[np.uint8], origin_um: tuple[float, float], mpp: float) -> None:
        self.canvas = canvas
        self.mpp = mpp
        self.origin = np.array(origin_um)
        height, width = canvas.shape[:2]
        self.window = (*origin_um, origin_um[0] + width * mpp, origin_um[1] + height * mpp)

    def paint(self, elements: Iterable[Element]) -> None:
        """Paints those that touch the canvas, in order."""
        x0, y0, x1, y1 = self.window
        for left, top, right, bottom, marks in ((*e.bounds, e.marks) for e in elements):
            if left < x1 and right > x0 and top < y1 and bottom > y0:
                for mark in marks():
                    self.mark(mark)

    def mark(self, mark: Mark) -> None:
        """Paints one mark."""
        if isinstance(mark, Cells):
            self._cells(mark)
        elif mark.soft_um > 0 or mark.strength < 1:
            self._soft(mark)
        else:
            _draw(self.canvas, self._fixed(mark.points), mark, self.mpp, _bytes(mark.dye))

    def _fixed(self, points: NDArray[np.float64]) -> NDArray[np.int32]:
        px = (points - self.origin) / self.mpp - 0.5
        return np.asarray(np.rint(px * (1 << _SHIFT)), np.int32)

    def _cells(self, cells: Cells) -> None:
        x0, y0, x1, y1 = self.window
        low, high = cells.rings.min(axis=1), cells.rings.max(axis=1)
        seen = (low < [x1 + self.mpp, y1 + self.mpp]).all(axis=1) & (
            high > [x0 - self.mpp, y0 - self.mpp]
        ).all(axis=1)
        rings = self._fixed(cells.rings[seen])
        dyes = np.clip(cells.dyes[seen] * DYE_FULL, 0, 255).tolist()
        for ring, dye in zip(rings, dyes, strict=True):
            cv2.fillConvexPoly(self.canvas, ring, dye, cv2.LINE_AA, _SHIFT)

    def _soft(self, mark: Stroke) -> None:
        """Blends the mark in through a blurred mask; only its own box is touched."""
        height, width = self.canvas.shape[:2]
        reach = 3 * mark.soft_um + mark.width_um + 2 * self.mpp
        low = np.floor((mark.points.min(axis=0) - reach - self.origin) / self.mpp).astype(int)
        high = np.ceil((mark.points.max(axis=0) + reach - self.origin) / self.mpp).astype(int)
        # The blur must see what lies outside the canvas, or pieces of a scene would differ at their seams.
        mask = np.zeros((high[1] - low[1], high[0] - low[0]), np.uint8)
        _draw(
            mask, self._fixed(mark.points) - (low * (1 << _SHIFT)).astype(np.int32), mark, self.mpp, [255.0]
        )
        if mark.soft_um > 0:
            mask = cv2.GaussianBlur(mask, (0, 0), mark.soft_um / self.mpp)
        x0, y0, x1, y1 = max(low[0], 0), max(low[1], 0), min(high[0], width), min(high[1], height)
        if x0 >= x1 or y0 >= y1:
            return
        part = mask[y0 - low[1] : y1 - low[1], x0 - low[0] : x1 - low[0], None].astype(np.float32)
        part *= mark.strength / 255
        under = self.canvas[y0:y1, x0:x1]
        under[:] = np.rint(under + (np.array(_bytes(mark.dye), np.float32) - under) * part)


def _draw(
    image: NDArray[np.uint8], ring: NDArray[np.int32], mark: Stroke, mpp: float, value: list[float]
) -> None:
    if mark.width_um > 0:
        thick = max(1, round(mark.width_um / mpp))
        cv2.polylines(image, [ring], mark.closed, value, thick, cv2.LINE_AA, _SHIFT)
    else:
        cv2.fillPoly(image, [ring], value, cv2.LINE_AA, _SHIFT)


def _bytes(dye: Dye) -> list[float]:
    return [min(255.0, max(0.0, amount * DYE_FULL)) for amount in dye]
