"""Where the tissue lies on the glass, and where in it there is room for glomeruli and other round things."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from gloinone.drawn.shapes import wobble
from gloinone.errors import UsageError
from gloinone.geometry import ring_mask
from gloinone.records import Mask, Points

Layout = Literal["core", "section", "full"]
LAYOUTS = ("core", "section", "full")
_TRIES = 600
_GAP_UM = 14.0
"""Least tissue between two round things, and between one and the tissue's edge."""


class Spot(NamedTuple):
    """Room for one round thing, microns."""

    cx: float
    cy: float
    radius: float
    kind: str


def tissue_rings(layout: Layout, size_um: tuple[float, float], rng: np.random.Generator) -> list[Points]:
    """Outlines of the pieces of tissue, microns. `full` sticks out of the slide on every side."""
    width, height = size_um
    if layout == "full":
        reach = 200.0
        return [
            np.array(
                [
                    [-reach, -reach],
                    [width + reach, -reach],
                    [width + reach, height + reach],
                    [-reach, height + reach],
                ]
            )
        ]
    if layout == "section":
        return [_section(width, height, rng)]
    return _cores(width, height, rng)


def _section(width: float, height: float, rng: np.random.Generator) -> Points:
    count = 1440
    angle = np.arange(count) * 2 * np.pi / count
    power = rng.uniform(2.4, 4.0)
    radius = (np.abs(np.cos(angle)) ** power + np.abs(np.sin(angle)) ** power) ** (-1 / power)
    shape = radius * np.clip(wobble(rng, count, 0.03, 2, 9), 0.85, 1.06)
    shape *= 1 + _rough(rng, count, 0.006)
    half = np.array([0.43 * width, 0.43 * height])
    unit = np.column_stack([np.cos(angle), np.sin(angle)])
    ring: Points = unit * shape[:, None] * half + np.array([width, height]) / 2
    return ring


def _cores(width: float, height: float, rng: np.random.Generator) -> list[Points]:
    """Needle biopsies along the longer side, one below the other."""
    long, short = max(width, height), min(width, height)
    count = max(1, int(short // 1700))
    lane = short / count
    rings = []
    for number in range(count):
        half = min(rng.uniform(400, 560), 0.36 * lane)
        start, end = rng.uniform(0.03, 0.08) * long, long * (1 - rng.uniform(0.03, 0.08))
        x = np.linspace(start, end, max(60, int((end - start) / 12)))
        share = np.linspace(0, 1, len(x))
        bend = (
            min(0.4 * lane - half, 0.25 * half + 0.03 * long)
            * 0.8
            * np.sin(share * rng.uniform(2, 6) + rng.uniform(0, 6))
        )
        taper = np.clip(np.minimum(x - start, end - x) / (0.8 * half), 0, 1) ** 0.5
        sides = []
        for side in (-1, 1):
            swell = (
                1
                + 0.09 * np.sin(share * rng.uniform(10, 25) + rng.uniform(0, 6))
                + _rough(rng, len(x), 0.025)
            )
            sides.append((number + 0.5) * lane + bend + side * half * taper * swell)
        ring = np.concatenate([np.column_stack([x, sides[0]]), np.column_stack([x, sides[1]])[::-1]])
        rings.append(ring if width >= height else ring[:, ::-1])
    return rings


def _rough(rng: np.random.Generator, count: int, amount: float) -> NDArray[np.float64]:
    """(count,) noise of a torn edge, of two widths."""
    noise = rng.normal(0, 1, count + 60)
    fine = np.convolve(noise, np.hanning(9) / 2, "same")
    coarse = np.convolve(noise[::-1], np.hanning(41) / 4.5, "same")
    return np.asarray(amount * (0.4 * fine + coarse)[30 : 30 + count])


def tissue_mask(rings: Sequence[Points], size_um: tuple[float, float], mpp: float) -> Mask:
    """(H, W) whether the centre of each pixel of `mpp` lies in tissue."""
    width, height = (int(np.ceil(side / mpp)) for side in size_um)
    mask = np.zeros((height, width), bool)
    for ring in rings:
        mask |= ring_mask(ring / mpp, width, height)
    return mask


def find_room(
    wanted: Sequence[tuple[str, float]],
    rings: Sequence[Points],
    size_um: tuple[float, float],
    rng: np.random.Generator,
    taken: Sequence[Spot] = (),
) -> list[Spot]:
    """A spot per wanted (kind, radius in microns), in the order asked, none touching another or the edge."""
    step = 8.0
    mask = np.pad(tissue_mask(rings, size_um, step), 1).astype(np.uint8)
    depth = cv2.distanceTransform(mask, cv2.DIST_L2, 5)[1:-1, 1:-1] * step
    spots = {}
    placed = [(s.cx, s.cy, s.radius) for s in taken]
    for number in sorted(range(len(wanted)), key=lambda n: -wanted[n][1]):
        kind, radius = wanted[number]
        rows, columns = np.nonzero(depth > radius * 1.2 + _GAP_UM)
        at = np.column_stack([columns, rows])
        found = None
        if len(at):
            picks = at[rng.integers(0, len(at), _TRIES)] * step + rng.uniform(0, step, (_TRIES, 2))
            others = np.array(placed).reshape(-1, 3)
            apart = np.hypot(picks[:, None, 0] - others[:, 0], picks[:, None, 1] - others[:, 1])
            free = (apart > 1.2 * (others[:, 2] + radius) + _GAP_UM).all(axis=1)
            found = picks[np.argmax(free)] if free.any() else None
        if found is None:
            raise UsageError(
                f"a slide of {size_um[0]:g} x {size_um[1]:g} um has no room for {len(wanted)} glomeruli and decoys; "
                "ask for fewer or a larger slide"
            )
        spots[number] = Spot(float(found[0]), float(found[1]), radius, kind)
        placed.append((spots[number].cx, spots[number].cy, radius))
    return [spots[number] for number in range(len(wanted))]
