"""What lies in the tissue: glomeruli and decoys where there is room, vessels beside them, tubules around them."""

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from gloinone.drawn.config import DrawnGlomerulus, SceneConfig
from gloinone.drawn.decoys import DECOYS, RADII_UM, decoy, decoy_ring
from gloinone.drawn.glomeruli import GLOMERULUS_RADII_UM, glomerulus, glomerulus_ring
from gloinone.drawn.layout import Spot, find_room
from gloinone.drawn.shapes import inset
from gloinone.drawn.strokes import Element, element
from gloinone.drawn.texture import at_points, slow_field
from gloinone.drawn.tubules import gap_elements, pack, tubule_elements
from gloinone.drawn.vessels import artery, vessel_ring
from gloinone.geometry import ring_circle
from gloinone.labels import GLOMERULAR, NONGLOMERULAR
from gloinone.records import Points

Rng = np.random.Generator
_SCAR_SCALE_UM = 300.0
_ARTERIOLE_RADII_UM = (11.0, 26.0)


def plant(config: SceneConfig, tissue: Sequence[Points], rng: Rng) -> list[DrawnGlomerulus]:
    """Glomeruli and decoys, in the order of the counts asked for."""
    kinds = [label for label, count in config.counts.items() for _ in range(count)]
    kinds += [DECOYS[number % len(DECOYS)] for number in range(config.decoys)]
    radii = GLOMERULUS_RADII_UM | RADII_UM
    wanted = [
        (kind, float(rng.triangular(radii[kind][0], np.mean(radii[kind]) * 0.95, radii[kind][1])))
        for kind in kinds
    ]
    return [_thing(rng, spot) for spot in find_room(wanted, tissue, config.size_um, rng)]


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
    taken = [Spot(thing.cx_um, thing.cy_um, thing.reach_um, thing.kind or thing.label) for thing in planted]
    arterioles = _arterioles(rng, planted, taken)
    field = slow_field(config.seed, config.size_um, _SCAR_SCALE_UM)
    scars = partial(_scarring, config.scarring, field, planted)
    elements: list[Element] = []
    for piece in tissue:
        # Tubules run beyond the edge, where the tissue is cut.
        wide = inset(piece, -70)
        assert wide is not None
        low, high = wide.min(axis=0), wide.max(axis=0)
        near = [s for s in (*taken, *arterioles) if low[0] < s.cx < high[0] and low[1] < s.cy < high[1]]
        packing = pack(rng, wide, [spot[:3] for spot in near])
        if packing.rings:
            middles = np.array([ring.mean(axis=0) for ring in packing.rings])
            elements += gap_elements(rng, packing, scars(packing.seams.mean(axis=1)))
            elements += tubule_elements(rng, packing, scars(middles))
    for spot in arterioles:
        ring = vessel_ring(rng, spot.cx, spot.cy, spot.radius * 0.8)
        elements.append(element(ring, partial(artery, ring, int(rng.integers(2**62)))))
    for thing in planted:
        paint = (
            partial(decoy, thing.ring_um, thing.kind)
            if thing.kind
            else partial(glomerulus, thing.ring_um, thing.label)
        )
        elements.append(element(thing.ring_um, partial(paint, int(rng.integers(2**62))), reach_um=60))
    return elements


def _arterioles(rng: Rng, planted: Sequence[DrawnGlomerulus], taken: Sequence[Spot]) -> list[Spot]:
    """Small vessels close to some of the planted things, where nothing else lies."""
    found: list[Spot] = []
    for thing in planted:
        radius, angle = rng.uniform(*_ARTERIOLE_RADII_UM), rng.uniform(0, 2 * np.pi)
        away = thing.reach_um + radius * 1.3 + rng.uniform(2, 30)
        spot = Spot(
            thing.cx_um + away * np.cos(angle), thing.cy_um + away * np.sin(angle), radius, "arteriole"
        )
        others = (*taken, *found)
        if all(np.hypot(spot.cx - o.cx, spot.cy - o.cy) > o.radius + 1.25 * radius for o in others):
            found.append(spot)
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
