"""Round things that are no glomeruli: what a detector must learn to leave alone."""

from collections.abc import Callable

import numpy as np

from gloinone.drawn.shapes import oval, scaled, scatter, wobble
from gloinone.drawn.strokes import Mark, Stroke, nuclei
from gloinone.drawn.vessels import artery, vessel_ring
from gloinone.records import Points

ARTERY = "artery"
LYMPHOCYTES = "lymphocytes"
CAST = "cast"
TANGENTIAL = "tangential tubule"

RADII_UM = {ARTERY: (45.0, 95.0), LYMPHOCYTES: (40.0, 90.0), CAST: (32.0, 60.0), TANGENTIAL: (30.0, 48.0)}
DECOYS = tuple(RADII_UM)


def decoy_ring(rng: np.random.Generator, cx: float, cy: float, radius: float, kind: str) -> Points:
    """Outline of a decoy."""
    if kind == ARTERY:
        return vessel_ring(rng, cx, cy, radius)
    stretch = rng.uniform(1.0, 1.4)
    profile = wobble(rng, 64, 0.07 if kind == LYMPHOCYTES else 0.03, 2, 5)
    return oval(
        np.array([cx, cy]), (radius * stretch**0.5, radius / stretch**0.5), rng.uniform(0, 3.2), profile
    )


def decoy(ring: Points, kind: str, seed: int) -> list[Mark]:
    """Marks of one decoy."""
    return _KINDS[kind](ring, seed)


def _lymphocytes(ring: Points, seed: int) -> list[Mark]:
    rng = np.random.default_rng(seed)
    at = np.concatenate(
        [scatter(rng, ring, 8.0, jitter=0.5), scatter(rng, scaled(ring, 1.25), 15.0, jitter=0.9)]
    )
    size = rng.uniform(2.3, 3.1, (len(at), 1)) * rng.uniform(0.9, 1.1, (len(at), 2))
    return [
        Stroke(scaled(ring, 1.05), (0.08, 0.15, 0.2), soft_um=5),
        nuclei(rng, at, size, rng.uniform(0, np.pi, len(at))),
    ]


def _cast(ring: Points, seed: int) -> list[Mark]:
    rng = np.random.default_rng(seed)
    marks: list[Mark] = [Stroke(ring, (0.08, 0.35, 0.85)), Stroke(scaled(ring, 0.97), (0.06, 0.5, 0.1))]
    body = scaled(ring, 0.84)
    marks.append(Stroke(body, (0.0, 0.05, 0.02)))
    marks.append(Stroke(scaled(body, 0.94), (0.0, rng.uniform(0.3, 0.6), rng.uniform(0.45, 0.8)), soft_um=1))
    return marks


def _tangential(ring: Points, seed: int) -> list[Mark]:
    rng = np.random.default_rng(seed)
    at = scatter(rng, scaled(ring, 0.86), 12.5, jitter=0.5)
    size = rng.uniform(2.8, 3.5, (len(at), 1)) * rng.uniform(0.9, 1.1, (len(at), 2))
    return [
        Stroke(ring, (0.08, 0.35, 0.8)),
        Stroke(scaled(ring, 0.965), (0.06, 0.85, 0.16)),
        nuclei(rng, at, size, rng.uniform(0, np.pi, len(at))),
    ]


_KINDS: dict[str, Callable[[Points, int], list[Mark]]] = {
    ARTERY: artery,
    LYMPHOCYTES: _lymphocytes,
    CAST: _cast,
    TANGENTIAL: _tangential,
}
