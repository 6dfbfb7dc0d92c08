"""Arteries and arterioles, cross-cut: concentric muscle, a wavy elastic lamina, an open lumen with red cells."""

import numpy as np

from gloinone.drawn.shapes import oval, ovals, scaled, scatter, walk, wobble
from gloinone.drawn.strokes import Cells, Mark, Stroke, nuclei
from gloinone.records import Points


def artery(ring: Points, seed: int) -> list[Mark]:
    """A vessel whose outer border of muscle is `ring`."""
    rng = np.random.default_rng(seed)
    centre = ring.mean(axis=0)
    opening = rng.uniform(0.3, 0.55)
    marks: list[Mark] = [
        Stroke(scaled(ring, 1.09), (0.04, 0.15, 0.5), soft_um=2.5),
        Stroke(ring, (0.08, 0.72, 0.3)),
    ]
    radius = float(np.hypot(*(ring - centre).T).mean())
    layers = max(2, int(radius * (1 - opening) / 4))
    for share in np.linspace(0.97, opening + 0.12, layers):
        wavy = _wavy(rng, ring, share, 0.012)
        light = rng.random() < 0.4
        marks.append(Stroke(wavy, (0.03, 0.3, 0.25) if light else (0.08, 0.9, 0.55), width_um=0.9))
    for share in np.arange(0.93, opening + 0.12, -max(0.07, 6.5 / radius)):
        at, along = walk(scaled(ring, float(share)), rng.uniform(16, 24))
        size = np.column_stack([rng.uniform(4.5, 8, len(at)), rng.uniform(1.2, 1.9, len(at))])
        marks.append(nuclei(rng, at + rng.normal(0, 1.2, at.shape), size, along))
    marks.append(Stroke(_wavy(rng, ring, opening + 0.08, 0.02), (0.03, 0.3, 0.4)))
    marks.append(Stroke(_wavy(rng, ring, opening + 0.08, 0.02), (0.1, 0.5, 1.0), width_um=1.2))
    lumen = _wavy(rng, ring, opening, 0.03)
    marks.append(Stroke(lumen, (0.0, 0.05, 0.02)))
    at, along = walk(lumen, 18)
    marks.append(nuclei(rng, at, np.tile([3.6, 1.3], (len(at), 1)), along))
    if rng.random() < 0.6:
        marks.append(red_cells(rng, scaled(lumen, 0.8), rng.uniform(7, 16)))
    return marks


def vein(ring: Points, seed: int) -> list[Mark]:
    """A thin, slack wall around a wide lumen; at times blood in it."""
    rng = np.random.default_rng(seed)
    slack = _wavy(rng, ring, 1.0, 0.03)
    lumen = _wavy(rng, slack, 1 - 3.5 / float(np.hypot(*(ring - ring.mean(axis=0)).T).mean()), 0.01)
    marks: list[Mark] = [
        Stroke(scaled(slack, 1.05), (0.04, 0.15, 0.42), soft_um=2),
        Stroke(slack, (0.06, 0.4, 0.5)),
        Stroke(lumen, (0.0, 0.04, 0.02)),
    ]
    at, along = walk(lumen, 20)
    marks.append(nuclei(rng, at, np.tile([4.2, 1.2], (len(at), 1)), along))
    if rng.random() < 0.5:
        marks.append(red_cells(rng, scaled(lumen, 0.85), rng.uniform(5.5, 14)))
    return marks


def red_cells(rng: np.random.Generator, ring: Points, spacing: float) -> Cells:
    """Loose red blood cells inside the ring."""
    at = scatter(rng, ring, spacing, jitter=0.9)
    radii = rng.uniform(2.4, 3.3, (len(at), 1)) * rng.uniform(0.8, 1.1, (len(at), 2))
    rings = ovals(at, radii, rng.uniform(0, np.pi, len(at)), 1 + rng.normal(0, 0.05, (len(at), 10)))
    return Cells(rings, np.tile([0.0, 1.1, 0.1], (len(at), 1)) * rng.uniform(0.8, 1.2, (len(at), 1)))


def vessel_ring(rng: np.random.Generator, cx: float, cy: float, radius: float) -> Points:
    """Outer border of a vessel whose circle is given."""
    stretch = rng.uniform(1.0, 1.25)
    profile = wobble(rng, 72, 0.025, 2, 5)
    return oval(
        np.array([cx, cy]), (radius * stretch**0.5, radius / stretch**0.5), rng.uniform(0, 3.2), profile
    )


def _wavy(rng: np.random.Generator, ring: Points, share: float, amount: float) -> Points:
    centre = ring.mean(axis=0)
    wavy: Points = (ring - centre) * share * wobble(rng, len(ring), amount, 6, 16)[:, None] + centre
    return wavy
