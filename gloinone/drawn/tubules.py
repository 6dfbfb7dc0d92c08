"""Tubules and what lies between them: the packing comes from a Voronoi diagram that respects what is in its way."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.spatial import Voronoi

from gloinone.drawn.shapes import inset, ovals, rounded, scaled, scatter, walk, wobble
from gloinone.drawn.stains import Dye
from gloinone.drawn.strokes import Cells, Element, Mark, Stroke, element, nuclei, streaks
from gloinone.geometry import measure_ring
from gloinone.records import Points

Floats = NDArray[np.float64]

BASEMENT = (0.08, 0.35, 0.85)
LUMEN = (0.0, 0.05, 0.02)
SPACING_UM = 54.0
"""Between the middles of neighbouring tubules."""


class Packing(NamedTuple):
    """Where tubules lie: one ring each, touching their neighbours, and the seams between them."""

    rings: list[Points]
    seams: NDArray[np.float64]
    """(S, 2, 2) the two ends of every seam, microns."""
    corners: Points
    """(C, 2) where three tubules meet."""


def pack(rng: np.random.Generator, field: Points, obstacles: Sequence[Points]) -> Packing:
    """Fills the ring `field` around the rings of the obstacles."""
    seeds = scatter(rng, field, SPACING_UM, jitter=0.45)
    taken = shapely.union_all([shapely.Polygon(ring) for ring in obstacles])
    inner, outer = [], []
    for ring in obstacles:
        centre = ring.mean(axis=0)
        within, _ = walk(ring, SPACING_UM * rng.uniform(0.75, 0.9))
        ray = within - centre
        length = np.hypot(*ray.T)[:, None]
        reach = np.minimum(rng.uniform(0.36, 0.55, length.shape) * SPACING_UM, 0.8 * length)
        # A seed on either side of the border makes the seam run along it.
        inner.append(within - ray / length * reach)
        outer.append(within + ray / length * reach)
    if obstacles:
        near = shapely.buffer(taken, 0.85 * SPACING_UM, quad_segs=3)
        around = np.concatenate(outer)
        seeds = np.concatenate([_outside(seeds, near), _outside(around, shapely.buffer(taken, 6))])
    if len(seeds) < 5:
        return Packing([], np.empty((0, 2, 2)), np.empty((0, 2)))
    return _cells(rng, np.concatenate([seeds, *inner]), len(seeds))


def _outside(points: Points, shape: shapely.Geometry) -> Points:
    shapely.prepare(shape)
    return points[~shapely.contains_xy(shape, points[:, 0], points[:, 1])]


def _cells(rng: np.random.Generator, seeds: Points, n_tubules: int) -> Packing:
    """Cells of the first `n_tubules` seeds; some neighbours are joined into long, bent tubules."""
    diagram = Voronoi(seeds)
    cells: dict[int, Points] = {}
    for number in range(n_tubules):
        region = diagram.regions[diagram.point_region[number]]
        if region and -1 not in region:
            ring = diagram.vertices[region]
            if np.ptp(ring, axis=0).max() < 4 * SPACING_UM:
                cells[number] = ring
    pairs, ends = diagram.ridge_points, np.asarray(diagram.ridge_vertices)
    taken: set[int] = set()
    rings = []
    length = np.hypot(*(diagram.vertices[ends[:, 1]] - diagram.vertices[ends[:, 0]]).T)
    # Across a short seam the joined tubule would have a neck.
    wide = np.flatnonzero((ends >= 0).all(axis=1) & (length > 0.55 * SPACING_UM))
    for one, other in pairs[rng.permutation(wide)[: len(pairs) // 16]]:
        if one in cells and other in cells and not {int(one), int(other)} & taken:
            joined = shapely.union(shapely.Polygon(cells[one]), shapely.Polygon(cells[other]))
            if isinstance(joined, shapely.Polygon):
                taken |= {int(one), int(other)}
                rings.append(np.asarray(joined.exterior.coords)[:-1])
    rings += [ring for number, ring in cells.items() if number not in taken]
    real = (pairs < n_tubules).all(axis=1) & (ends >= 0).all(axis=1)
    seams = diagram.vertices[ends[real]]
    corners = np.unique(seams.reshape(-1, 2), axis=0)
    return Packing(rings, seams, corners)


def tubule_elements(rng: np.random.Generator, packing: Packing, scarring: Floats) -> list[Element]:
    """An element per tubule; `scarring` (N,) 0..1 makes them small, with thick membranes and wide gaps."""
    seeds = rng.integers(0, 2**62, len(packing.rings)).tolist()
    return [
        element(ring, partial(_tubule, ring, float(scar), seed))
        for ring, scar, seed in zip(packing.rings, scarring, seeds, strict=True)
    ]


def _tubule(ring: Points, scar: float, seed: int) -> list[Mark]:
    rng = np.random.default_rng(seed)
    gap = rng.uniform(0.8, 2.2) + scar * rng.uniform(2, 9)
    reach = 0.5 * float(np.sqrt(measure_ring(ring).area))
    full = inset(ring, gap, round_um=3)
    body = inset(ring, gap, round_um=rng.uniform(0.35, 0.6) * reach)
    if full is None:
        return []
    if body is None or measure_ring(body).area < 0.7 * measure_ring(full).area:
        # Rounding took too much of a narrow or bent tubule.
        body = rounded(full, 1)
    body = _ragged(rng, rounded(body, 1), 0.012)
    if scar > rng.uniform(0.45, 0.8):
        return _atrophic(rng, body)
    if rng.random() < 0.68:
        return proximal(rng, body)
    return distal(rng, body, wall_um=rng.uniform(6.5, 10))


def proximal(rng: np.random.Generator, body: Points) -> list[Mark]:
    """Thick granular wall, brush border, round basal nuclei, narrow and clouded lumen."""
    tone = rng.uniform(0.85, 1.1)
    wall = rng.uniform(11.5, 17)
    marks: list[Mark] = [Stroke(body, BASEMENT)]
    epithelium = inset(body, rng.uniform(0.7, 1.2))
    if epithelium is None:
        return marks
    marks.append(Stroke(epithelium, (0.06, 0.84 * tone, 0.13)))
    marks += _cell_borders(rng, body, wall, (0.04, 0.66 * tone, 0.12))
    lumen = inset(body, wall, round_um=3)
    if lumen is None:
        lumen = scaled(body, rng.uniform(0.1, 0.28))
    lumen = _ragged(rng, rounded(lumen, 1), 0.09)
    marks += [
        Stroke(scaled(lumen, 1.22), (0.05, 0.8 * tone, 0.25)),
        Stroke(scaled(lumen, 1.12), (0.03, 0.72 * tone, 0.42)),
    ]
    haze = (0.06, 0.18, 0.38)[rng.integers(3)]
    marks.append(Stroke(lumen, (0.0, haze * rng.uniform(0.7, 1.3), 0.05), soft_um=1.0))
    marks.append(_wall_nuclei(rng, body, inset_um=0.36 * wall, spacing=rng.uniform(10.5, 15), radius=3.2))
    return marks


def distal(rng: np.random.Generator, body: Points, wall_um: float) -> list[Mark]:
    """Low pale wall, many nuclei, wide clean lumen."""
    tone = rng.uniform(0.8, 1.15)
    marks: list[Mark] = [Stroke(body, BASEMENT)]
    epithelium = inset(body, rng.uniform(0.7, 1.2))
    if epithelium is None:
        return marks
    marks.append(Stroke(epithelium, (0.05, 0.52 * tone, 0.08)))
    lumen = inset(body, wall_um, round_um=3)
    if lumen is not None:
        pale = (0.0, rng.uniform(0.03, 0.2), 0.02)
        marks.append(Stroke(_ragged(rng, rounded(lumen, 1), 0.03), pale))
    marks.append(_wall_nuclei(rng, body, inset_um=0.5 * wall_um, spacing=rng.uniform(8, 11), radius=2.9))
    return marks


def _cell_borders(rng: np.random.Generator, body: Points, wall: float, dye: Dye) -> list[Mark]:
    """Faint lines across the wall, which part its cells."""
    at, along = walk(body, rng.uniform(13, 20))
    inward = along + np.pi / 2 * (1 if _is_clockwise_on_screen(body) else -1)
    tips = at + np.column_stack([np.cos(inward), np.sin(inward)]) * wall * rng.uniform(
        0.6, 0.95, (len(at), 1)
    )
    return [
        Stroke(np.stack([start, tip]), dye, 0.5, closed=False) for start, tip in zip(at, tips, strict=True)
    ]


def _is_clockwise_on_screen(ring: Points) -> bool:
    """Whether the inside lies to the right of travel, y pointing down."""
    x, y = ring.T
    return bool(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y) > 0)


def _atrophic(rng: np.random.Generator, body: Points) -> list[Mark]:
    """Shrunken: a thick wrinkled membrane around low cells; at times filled with a cast."""
    marks: list[Mark] = [Stroke(_ragged(rng, body, 0.05), (0.08, 0.4, 0.8))]
    epithelium = inset(body, rng.uniform(1.6, 3))
    if epithelium is None:
        return marks
    marks.append(Stroke(epithelium, (0.05, 0.5, 0.12)))
    lumen = inset(body, rng.uniform(6, 8), round_um=2)
    if lumen is not None:
        filled = rng.random() < 0.3
        marks.append(Stroke(rounded(lumen, 1), (0.02, 0.5, 0.6) if filled else LUMEN))
    marks.append(_wall_nuclei(rng, body, inset_um=4.2, spacing=rng.uniform(7, 9), radius=2.7))
    return marks


def _wall_nuclei(
    rng: np.random.Generator, body: Points, inset_um: float, spacing: float, radius: float
) -> Cells:
    line = inset(body, inset_um)
    if line is None:
        return Cells(np.empty((0, 12, 2)), np.empty((0, 3)))
    at, along = walk(line, spacing)
    met = rng.random(len(at)) < 0.82
    at, along = at[met] + rng.normal(0, 1.1, (int(met.sum()), 2)), along[met]
    radii = np.column_stack([rng.uniform(0.92, 1.2, len(at)), rng.uniform(0.82, 1.05, len(at))]) * radius
    return nuclei(rng, at, radii, along)


def _ragged(rng: np.random.Generator, ring: Points, amount: float) -> Points:
    centre = ring.mean(axis=0)
    ragged: Points = (ring - centre) * wobble(rng, len(ring), amount, 3, 9)[:, None] + centre
    return ragged


def gap_elements(rng: np.random.Generator, packing: Packing, scarring: Floats) -> list[Element]:
    """What lies along the seams: fibres, spindle-shaped nuclei, capillaries; lymphocytes where it is scarred."""
    if not len(packing.seams):
        return []
    centres, angles = _along_seams(rng, packing.seams, 0.03 * (0.7 + 2.2 * scarring), 0.8 + 4 * scarring)
    spindle = np.column_stack([rng.uniform(3.5, 6.5, len(centres)), rng.uniform(1.1, 2.0, len(centres))])
    # The patches are narrower than the scars they lie in.
    inflamed = np.clip(scarring * 1.8 - 0.9, 0, 1) ** 2
    guests, turns = _along_seams(rng, packing.seams, 0.16 * inflamed, np.full(len(inflamed), 6.0))
    round_ = rng.uniform(2.2, 3.1, (len(guests), 1)) * rng.uniform(0.9, 1.1, (len(guests), 2))
    found: list[tuple[Points, Cells]] = [
        _fibres(rng, packing.seams, scarring),
        _capillaries(rng, packing.corners),
        (centres, nuclei(rng, centres, spindle, angles)),
        (guests, nuclei(rng, guests, round_, turns)),
    ]
    return [element(where, partial(_as_marks, cells)) for where, cells in found if len(where)]


def _as_marks(cells: Cells) -> list[Mark]:
    return [cells]


def _along_seams(
    rng: np.random.Generator, seams: Floats, per_um: Floats, spread_um: Floats
) -> tuple[Points, Floats]:
    """Random places on the seams, `per_um` (S,) of them, off by `spread_um` (S,); and the seams' directions."""
    step = seams[:, 1] - seams[:, 0]
    at = np.repeat(np.arange(len(seams)), rng.poisson(np.hypot(*step.T) * per_um))
    aside = rng.normal(0, 1, (len(at), 2)) * spread_um[at, None]
    places: Points = seams[at, 0] + step[at] * rng.uniform(0.05, 0.95, (len(at), 1)) + aside
    lean: Floats = np.arctan2(step[at, 1], step[at, 0]) + rng.normal(0, 0.25, len(at))
    return places, lean


def _fibres(rng: np.random.Generator, seams: Floats, scarring: Floats) -> tuple[Points, Cells]:
    """Slender streaks of collagen, darker and paler than what they lie in."""
    at, angles = _along_seams(rng, seams, 0.05 + 0.3 * scarring, 1 + 6 * scarring)
    return at, streaks(rng, at, angles, 22, ((0.03, 0.1, 0.1), (0.04, 0.25, 0.5)))


def _capillaries(rng: np.random.Generator, corners: Points) -> tuple[Points, Cells]:
    chosen = corners[rng.random(len(corners)) < 0.4]
    count = len(chosen)
    radii = rng.uniform(2.0, 4.0, (count, 1)) * np.column_stack(
        [rng.uniform(1, 1.9, count), rng.uniform(0.7, 1, count)]
    )
    angles, rough = rng.uniform(0, np.pi, count), 1 + rng.normal(0, 0.1, (count, 12))
    walls, holes = ovals(chosen, radii + 0.6, angles, rough), ovals(chosen, radii - 0.2, angles, rough)
    wall = np.tile([0.06, 0.3, 0.42], (count, 1))
    hole = np.column_stack([np.zeros(count), rng.uniform(0.03, 0.3, count), np.full(count, 0.04)])
    return chosen, Cells(
        np.stack([walls, holes], 1).reshape(-1, 12, 2), np.stack([wall, hole], 1).reshape(-1, 3)
    )
