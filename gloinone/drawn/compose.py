"""What lies in the tissue: glomeruli and decoys where there is room, vessels beside them, tubules around them."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from gloinone.drawn.config import DrawnGlomerulus, SceneConfig
from gloinone.drawn.decoys import ARTERY, DECOYS, RADII_UM, decoy, decoy_ring
from gloinone.drawn.glomeruli import GLOMERULUS_RADII_UM, glomerulus, glomerulus_ring
from gloinone.drawn.layout import Spot, find_room, tissue_rings
from gloinone.drawn.levels import cut_levels
from gloinone.drawn.shapes import inset, scaled
from gloinone.drawn.strokes import Element, Mark, element
from gloinone.drawn.texture import at_points, slow_field
from gloinone.drawn.tubules import gap_elements, pack, tubule_elements
from gloinone.drawn.vessels import artery, vein, vessel_ring
from gloinone.geometry import measure_ring, ring_circle
from gloinone.labels import GLOMERULAR, NONGLOMERULAR
from gloinone.records import Points

Rng = np.random.Generator
_SCAR_SCALE_UM = 300.0
_ARTERIOLE_RADII_UM = (11.0, 26.0)
_VEIN_RADII_UM = (22.0, 75.0)
_VEINS_PER_MM2 = 2.5
Paint = Callable[[Points, int], list[Mark]]


def plant(config: SceneConfig, rng: Rng) -> tuple[list[Points], list[DrawnGlomerulus]]:
    """Outlines of the tissue, and in it glomeruli and decoys, in the order of the counts asked for."""
    if config.is_cut:
        block = cut_levels(config.size_um, config.levels, config.torn, _wanted(config, rng), rng)
        return block.tissue_um, [
            replace(_thing(rng, p.spot), core=p.core, level=p.level, track=p.track) for p in block.profiles
        ]
    tissue = tissue_rings(config.layout, config.size_um, rng)
    spots = find_room(_wanted(config, rng), tissue, config.size_um, rng)
    return tissue, [_thing(rng, spot) for spot in spots]


def _wanted(config: SceneConfig, rng: Rng) -> list[tuple[str, float]]:
    """Kind and radius in microns of all that is asked for."""
    kinds = [label for label, count in config.counts.items() for _ in range(count)]
    kinds += [DECOYS[number % len(DECOYS)] for number in range(config.decoys)]
    radii = GLOMERULUS_RADII_UM | RADII_UM
    return [
        (kind, float(rng.triangular(radii[kind][0], np.mean(radii[kind]) * 0.95, radii[kind][1])))
        for kind in kinds
    ]


def _thing(rng: Rng, spot: Spot) -> DrawnGlomerulus:
    is_glomerulus = spot.kind in GLOMERULAR
    ring = (glomerulus_ring if is_glomerulus else decoy_ring)(rng, *spot)
    cx, cy, _ = ring_circle(ring)
    label, kind = (spot.kind, "") if is_glomerulus else (NONGLOMERULAR, spot.kind)
    return DrawnGlomerulus(cx, cy, ring, label, kind)


def compose(
    config: SceneConfig, tissue: Sequence[Points], planted: Sequence[DrawnGlomerulus], rng: Rng
) -> list[Element]:
    """Every element of the tissue, in the order of painting."""
    vessels = _vessels(config, rng, tissue, planted)
    # Muscle has a sleeve of collagen, so tubules keep further off.
    obstacles = [scaled(ring, 1.1) for ring, _ in vessels]
    obstacles += [
        scaled(thing.ring_um, 1.1 if thing.kind == ARTERY else 1 + 3 / thing.radius_um) for thing in planted
    ]
    field = slow_field(config.seed, config.size_um, _SCAR_SCALE_UM)
    scars = partial(_scarring, config.scarring, field, planted)
    elements: list[Element] = []
    for piece in tissue:
        # Tubules run beyond the edge, where the tissue is cut.
        wide = inset(piece, -70)
        assert wide is not None
        low, high = wide.min(axis=0), wide.max(axis=0)
        near = [ring for ring in obstacles if ((low < ring.mean(axis=0)) & (ring.mean(axis=0) < high)).all()]
        packing = pack(rng, wide, near)
        if packing.rings:
            middles = np.array([ring.mean(axis=0) for ring in packing.rings])
            elements += gap_elements(rng, packing, scars(packing.seams.mean(axis=1)))
            elements += tubule_elements(rng, packing, scars(middles))
    for ring, paint in vessels:
        elements.append(element(ring, partial(paint, ring, int(rng.integers(2**62)))))
    for thing in planted:
        marks = (
            partial(decoy, thing.ring_um, thing.kind)
            if thing.kind
            else partial(glomerulus, thing.ring_um, thing.label)
        )
        elements.append(element(thing.ring_um, partial(marks, int(rng.integers(2**62))), reach_um=60))
    return elements


def _vessels(
    config: SceneConfig, rng: Rng, tissue: Sequence[Points], planted: Sequence[DrawnGlomerulus]
) -> list[tuple[Points, Paint]]:
    """Arterioles close to what is planted, and veins anywhere; none touches another thing."""
    taken = [(thing.cx_um, thing.cy_um, thing.reach_um) for thing in planted]
    tries: list[tuple[float, float, float, Paint]] = []
    for cx, cy, reach in taken:
        radius, angle = rng.uniform(*_ARTERIOLE_RADII_UM), rng.uniform(0, 2 * np.pi)
        away = reach + radius * 1.3 + rng.uniform(2, 30)
        tries.append((cx + away * np.cos(angle), cy + away * np.sin(angle), radius, artery))
    area_mm2 = sum(measure_ring(piece).area for piece in tissue) / 1e6
    for _ in range(rng.poisson(_VEINS_PER_MM2 * area_mm2)):
        x, y = rng.uniform(0, config.width_um), rng.uniform(0, config.height_um)
        tries.append((x, y, rng.uniform(*_VEIN_RADII_UM), vein))
    found: list[tuple[Points, Paint]] = []
    for cx, cy, radius, paint in tries:
        if all(np.hypot(cx - x, cy - y) > reach + 1.3 * radius for x, y, reach in taken):
            taken.append((cx, cy, 1.2 * radius))
            found.append((vessel_ring(rng, cx, cy, radius * 0.85), paint))
    return found


def _scarring(
    share: float, field: NDArray[np.float64], planted: Sequence[DrawnGlomerulus], points: Points
) -> NDArray[np.float64]:
    """(N,) 0..1 at points (N, 2): patches over `share` of the tissue, and around sclerosed glomeruli."""
    cut = np.quantile(field, 1 - share)
    scar = 1 / (1 + np.exp(-3 * (at_points(field, _SCAR_SCALE_UM, points) - cut)))
    for thing in planted:
        if thing.label in GLOMERULAR[1:]:
            beyond = np.hypot(points[:, 0] - thing.cx_um, points[:, 1] - thing.cy_um) - thing.reach_um
            scar = np.maximum(scar, 0.9 * np.exp(-np.maximum(beyond, 0) / 45))
    return np.asarray(np.clip(scar, 0, 1))
