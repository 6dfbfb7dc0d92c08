"""Tubules and what lies between them: the packing comes from a Voronoi diagram that respects what is in its way."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.spatial import Voronoi

from gloinone.drawn.shapes import inset, ovals, rounded, scaled, scatter, walk, wobble
from gloinone.drawn.strokes import Cells, Element, Mark, Stroke, element, nuclei
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


def pack(rng: np.random.Generator, field: Points, obstacles: Sequence[tuple[float, float, float]]) -> Packing:
    """Fills the ring `field` around the obstacles (cx, cy, radius)."""
    seeds = scatter(rng, field, SPACING_UM, jitter=0.45)
    kept = np.ones(len(seeds), bool)
    inner, outer = [], []
    for cx, cy, radius in obstacles:
        kept &= np.hypot(seeds[:, 0] - cx, seeds[:, 1] - cy) > radius + 0.95 * SPACING_UM
        count = max(5, round(2 * np.pi * (radius + SPACING_UM / 2) / SPACING_UM))
        angle = (np.arange(count) + rng.uniform(-0.25, 0.25, count)) * 2 * np.pi / count + rng.uniform(0, 7)
        reach = np.minimum(rng.uniform(0.42, 0.58, count) * SPACING_UM, 0.9 * radius)
        ray = np.column_stack([np.cos(angle), np.sin(angle)])
        # A seed on either side of the border makes the seam run along it.
        inner.append(ray * (radius - reach)[:, None] + [cx, cy])
        outer.append(ray * (radius + reach)[:, None] + [cx, cy])
    around = np.concatenate(outer) if outer else np.empty((0, 2))
    for cx, cy, radius in obstacles:
        around = around[np.hypot(around[:, 0] - cx, around[:, 1] - cy) > radius]
    tubules = np.concatenate([seeds[kept], around])
    if len(tubules) < 5:
        return Packing([], np.empty((0, 2, 2)), np.empty((0, 2)))
    return _cells(rng, np.concatenate([tubules, *inner]), len(tubules))


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
    for one, other in pairs[rng.permutation(len(pairs))[: len(pairs) // 14]]:
        if one in cells and other in cells and not {int(one), int(other)} & taken:
            joined = shapely.union(shapely.Polygon(cells[one]), shapely.Polygon(cells[other]))
            if joined.geom_type == "Polygon":
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
    body = inset(rounded(ring, 1), gap)
    if body is None:
        return []
    body = rounded(body, 2)
    kind = rng.random()
    if scar > 0.65:
        return _atrophic(rng, body)
    if kind < 0.6:
        return proximal(rng, body)
    return distal(rng, body, wall_um=rng.uniform(6, 9))


def proximal(rng: np.random.Generator, body: Points) -> list[Mark]:
    """Thick granular wall, brush border, round basal nuclei, narrow lumen."""
    tone = rng.uniform(0.8, 1.12)
    wall = rng.uniform(11, 15.5)
    marks: list[Mark] = [Stroke(body, BASEMENT)]
    epithelium = inset(body, rng.uniform(0.8, 1.4))
    if epithelium is None:
        return marks
    marks.append(Stroke(epithelium, (0.06, 0.86 * tone, 0.14)))
    lumen = inset(body, wall)
    if lumen is None:
        lumen = scaled(body, rng.uniform(0.12, 0.25))
    lumen = _ragged(rng, rounded(lumen, 1), 0.12)
    marks.append(Stroke(scaled(lumen, 1.12), (0.03, 0.7 * tone, 0.5), soft_um=0.9))
    marks.append(Stroke(lumen, (0.0, rng.uniform(0.04, 0.3), 0.06), soft_um=0.6))
    marks.append(_wall_nuclei(rng, body, inset_um=0.36 * wall, spacing=rng.uniform(11, 15), radius=3.3))
    return marks


def distal(rng: np.random.Generator, body: Points, wall_um: float) -> list[Mark]:
    """Low pale wall, many nuclei near the lumen, wide clean lumen."""
    tone = rng.uniform(0.8, 1.15)
    marks: list[Mark] = [Stroke(body, BASEMENT)]
    epithelium = inset(body, rng.uniform(0.7, 1.2))
    lumen = inset(body, wall_um)
    if epithelium is None:
        return marks
    marks.append(Stroke(epithelium, (0.05, 0.52 * tone, 0.08)))
    if lumen is not None:
        marks.append(Stroke(_ragged(rng, rounded(lumen, 1), 0.04), (0.0, rng.uniform(0.02, 0.12), 0.02)))
    marks.append(_wall_nuclei(rng, body, inset_um=0.52 * wall_um, spacing=rng.uniform(8, 11), radius=3.0))
    return marks


def _atrophic(rng: np.random.Generator, body: Points) -> list[Mark]:
    """Shrunken: a thick wrinkled membrane around low cells; at times filled with a cast."""
    marks: list[Mark] = [Stroke(_ragged(rng, body, 0.05), (0.08, 0.4, 0.8))]
    epithelium = inset(body, rng.uniform(1.6, 3))
    if epithelium is None:
        return marks
    marks.append(Stroke(epithelium, (0.05, 0.5, 0.12)))
    lumen = inset(body, rng.uniform(6, 8))
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
    return (ring - centre) * wobble(rng, len(ring), amount, 3, 9)[:, None] + centre


def gap_elements(rng: np.random.Generator, packing: Packing, scarring: Floats) -> list[Element]:
    """Spindle-shaped nuclei along the seams and capillaries at the corners; more of both where it is scarred."""
    if not len(packing.seams):
        return []
    step = packing.seams[:, 1] - packing.seams[:, 0]
    length = np.hypot(*step.T)
    count = rng.poisson(length / 34 * (0.7 + 2.2 * scarring))
    at = np.repeat(np.arange(len(length)), count)
    share = rng.uniform(0.05, 0.95, len(at))[:, None]
    side = rng.normal(0, 1, (len(at), 2)) * (0.8 + 4 * scarring[at])[:, None]
    centres = packing.seams[at, 0] + step[at] * share + side
    angles = np.arctan2(step[at, 1], step[at, 0]) + rng.normal(0, 0.25, len(at))
    radii = np.column_stack([rng.uniform(3.5, 6.5, len(at)), rng.uniform(1.1, 2.0, len(at))])
    elements = [_capillaries(rng, packing.corners)]
    if len(centres):
        spindles = nuclei(rng, centres, radii, angles)
        elements.append(element(centres, lambda: [spindles]))
    return elements


def _capillaries(rng: np.random.Generator, corners: Points) -> Element:
    chosen = corners[rng.random(len(corners)) < 0.5]
    if not len(chosen):
        chosen = corners[:1]
    count = len(chosen)
    radii = rng.uniform(2.6, 5.5, (count, 1)) * rng.uniform(0.75, 1.25, (count, 2))
    angles, rough = rng.uniform(0, np.pi, count), 1 + rng.normal(0, 0.08, (count, 12))
    walls, holes = ovals(chosen, radii + 0.7, angles, rough), ovals(chosen, radii - 0.2, angles, rough)
    dyes = np.tile([[0.06, 0.35, 0.55], [0.0, 0.08, 0.03]], (count, 1))
    capillaries = Cells(np.stack([walls, holes], axis=1).reshape(-1, 12, 2), dyes)
    return element(chosen, lambda: [capillaries])
