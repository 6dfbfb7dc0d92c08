"""The four kinds of glomeruli, each drawn inside its outline: what a pathologist names them by."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from gloinone.drawn.shapes import oval, ovals, rounded, scaled, scatter, walk, wobble
from gloinone.drawn.strokes import Cells, Mark, Stroke, nuclei, streaks
from gloinone.labels import DISAPPEARING, NORMAL, OBSOLESCENT, SOLIDIFIED
from gloinone.records import Points

Floats = NDArray[np.float64]
GLOMERULUS_RADII_UM = {
    NORMAL: (62.0, 130.0),
    OBSOLESCENT: (50.0, 92.0),
    SOLIDIFIED: (52.0, 105.0),
    DISAPPEARING: (50.0, 88.0),
}
_TURN = np.arange(16) * np.pi / 8
_SPACE = (0.0, 0.03, 0.01)


def glomerulus_ring(rng: np.random.Generator, cx: float, cy: float, radius: float, label: str) -> Points:
    """Outline whose circle of the same area has about `radius`."""
    stretch = rng.uniform(1.0, 1.35)
    amount = 0.06 if label == DISAPPEARING else 0.028
    profile = wobble(rng, 96, amount, 2, 7 if label == DISAPPEARING else 4)
    profile /= np.sqrt(np.mean(profile**2))
    return oval(
        np.array([cx, cy]), (radius * stretch**0.5, radius / stretch**0.5), rng.uniform(0, 3.2), profile
    )


def glomerulus(ring: Points, label: str, seed: int) -> list[Mark]:
    """Marks of one glomerulus of the kind `label`."""
    return _KINDS[label](np.random.default_rng(seed), ring)


def _normal(rng: np.random.Generator, ring: Points) -> list[Mark]:
    """Open lobed tuft, Bowman's space, thin capsule with flat cells."""
    radius = _radius(ring)
    capsule = rng.uniform(1.2, 2.8)
    marks = _surround(ring, 0.25)
    marks += [Stroke(ring, (0.08, 0.35, 0.85)), Stroke(scaled(ring, 1 - capsule / radius), _SPACE)]
    at, along = walk(scaled(ring, 1 - (capsule + 1.2) / radius), rng.uniform(14, 24))
    flat = np.column_stack([rng.uniform(3.2, 5.0, len(at)), rng.uniform(1.0, 1.7, len(at))])
    marks.append(nuclei(rng, at, flat, along))
    tuft = _lobed(rng, ring, rng.uniform(0.82, 0.94))
    marks.append(Stroke(tuft, (0.08, 0.58, 0.36), soft_um=0.6))
    marks += _tuft(rng, tuft, openness=rng.uniform(0.4, 0.72))
    return marks + _clefts(rng, tuft, radius)


def _tuft(rng: np.random.Generator, tuft: Points, openness: float) -> list[Mark]:
    """Capillary loops (pale, walled), mesangium between them, and nuclei in all places."""
    spacing = rng.uniform(9.5, 12)
    sites = scatter(rng, tuft, spacing, jitter=0.55)
    is_loop = rng.random(len(sites)) < openness
    loops, rest = sites[is_loop], sites[~is_loop]
    count = len(loops)
    radii = rng.uniform(0.22, 0.48, (count, 1)) * spacing
    radii = np.column_stack(
        [radii * rng.uniform(0.95, 1.6, (count, 1)), radii * rng.uniform(0.7, 1, (count, 1))]
    )
    angles = rng.uniform(0, np.pi, count)
    rough = 1 + 0.13 * rng.normal(size=(count, 1)) * np.cos(2 * _TURN + 7 * rng.random((count, 1)))
    rough = rough + 0.1 * rng.normal(size=(count, 1)) * np.cos(3 * _TURN + 7 * rng.random((count, 1)))
    walls, holes = (
        ovals(loops, radii + 0.8, angles, rough),
        ovals(loops, np.maximum(radii - 0.1, 0.7), angles, rough),
    )
    clouded = rng.uniform(0.02, 0.4, count) * (rng.random(count) < 0.6)
    hole_dye = np.column_stack([np.full(count, 0.02), clouded + 0.03, 0.05 + 0.3 * clouded])
    wall_dye = np.array([[0.08, 0.4, 0.72]]) * rng.uniform(0.6, 1.15, (count, 1))
    blobs = rng.uniform(2.5, 6, (len(rest), 2))
    mesangium = ovals(rest, blobs, rng.uniform(0, np.pi, len(rest)), 1 + rng.normal(0, 0.08, (len(rest), 12)))
    matrix = np.array([[0.08, 0.5, 0.7]]) * rng.uniform(0.6, 1.15, (len(rest), 1))
    seats = np.concatenate([rest, scatter(rng, scaled(tuft, 0.98), spacing * 0.98, jitter=0.6)])
    seats = seats + rng.normal(0, 1.5, seats.shape)
    size = rng.uniform(2.4, 3.5, (len(seats), 1)) * rng.uniform(0.85, 1.2, (len(seats), 2))
    return [
        Cells(mesangium, matrix),
        Cells(
            np.stack([walls, holes], 1).reshape(-1, 16, 2), np.stack([wall_dye, hole_dye], 1).reshape(-1, 3)
        ),
        nuclei(rng, seats, size, rng.uniform(0, np.pi, len(seats))),
    ]


def _clefts(rng: np.random.Generator, tuft: Points, radius: float) -> list[Mark]:
    """Narrow grooves of Bowman's space that part the lobes."""
    marks: list[Mark] = []
    centre = tuft.mean(axis=0)
    for _ in range(rng.integers(3, 8)):
        start = tuft[rng.integers(len(tuft))]
        depth, bend = rng.uniform(0.2, 0.6), rng.normal(0, 0.15) * radius
        share = np.linspace(-0.05, depth, 11)[:, None]
        inward = centre - start
        aside = np.array([-inward[1], inward[0]]) / max(float(np.hypot(*inward)), 1e-9)
        path = start + inward * share + aside * bend * np.sin(share / depth * np.pi)
        path = path + rng.normal(0, 1.0, path.shape)
        width = rng.uniform(0.8, 2.4)
        marks.append(Stroke(path, (0.0, 0.08, 0.03), width_um=width, closed=False))
        marks.append(Stroke(path[: len(path) // 2], _SPACE, width_um=width * 1.7, closed=False))
    return marks


def _obsolescent(rng: np.random.Generator, ring: Points) -> list[Mark]:
    """Shrunken, wrinkled, dense tuft; the space is full of pale collagen; the capsule still stands."""
    radius = _radius(ring)
    wrinkled = _wrinkled(rng, ring, 0.012)
    marks = _surround(ring, 0.35)
    marks += [
        Stroke(wrinkled, (0.08, 0.35, rng.uniform(0.8, 1.05))),
        Stroke(scaled(wrinkled, 1 - rng.uniform(2.0, 4.5) / radius), (0.03, 0.2, rng.uniform(0.22, 0.36))),
    ]
    sites, lean = _around(rng, scaled(ring, 0.9), 8.0)
    marks.append(streaks(rng, sites, lean, 26, ((0.02, 0.14, 0.16), (0.04, 0.3, 0.5))))
    tuft = _wrinkled(rng, scaled(ring, rng.uniform(0.4, 0.6)), 0.06) + rng.normal(0, 0.08 * radius, 2)
    marks.append(Stroke(scaled(tuft, 1.06), (0.06, 0.3, 0.55), soft_um=2.5))
    marks.append(Stroke(tuft, (0.1, 0.5, rng.uniform(0.8, 1.0)), soft_um=0.8))
    marks += _knots(rng, tuft, (0.75, 1.25))
    marks += _folds(rng, tuft, 12, (0.1, 0.55, 1.25), 1.5)
    marks += _folds(rng, tuft, 5, (0.05, 0.3, 0.5), 1.0)
    marks.append(_few_nuclei(rng, tuft, rng.uniform(15, 22), (1.6, 2.6)))
    sites, lean = _around(rng, scaled(ring, 0.88), rng.uniform(26, 40))
    flat = np.column_stack([rng.uniform(3, 5, len(sites)), rng.uniform(1.0, 1.6, len(sites))])
    marks.append(nuclei(rng, sites, flat, lean))
    return marks


def _solidified(rng: np.random.Generator, ring: Points) -> list[Mark]:
    """A dense tuft that fills the capsule, hardly any loop left open, few nuclei."""
    radius = _radius(ring)
    strength = rng.uniform(0.68, 0.98)
    marks = _surround(ring, 0.35)
    marks += [
        Stroke(ring, (0.08, 0.38, min(1.1, strength + 0.2))),
        Stroke(scaled(ring, 1 - rng.uniform(1.2, 2.4) / radius), (0.03, 0.25, 0.4)),
    ]
    solid = scaled(ring, 0.965) + rng.normal(0, 0.012 * radius, 2)
    marks.append(Stroke(_wrinkled(rng, solid, 0.008), (0.07, 0.48, strength), soft_um=0.8))
    marks += _knots(rng, solid, (0.5 * strength, 1.4 * strength))
    marks += _knots(rng, solid, (0.7 * strength, 1.15 * strength))
    sites = scatter(rng, scaled(ring, 0.9), 13)
    lean = rng.uniform(0, np.pi, len(sites))
    marks.append(streaks(rng, sites, lean, 13, ((0.05, 0.42, 0.75 * strength), (0.08, 0.5, 1.2 * strength))))
    for site in scatter(rng, scaled(ring, 0.9), radius * 0.7)[: rng.integers(0, 5)]:
        slit = oval(site, (rng.uniform(3, 8), rng.uniform(1.2, 3)), rng.uniform(0, 3), wobble(rng, 20, 0.1))
        marks.append(Stroke(slit, (0.0, 0.12, 0.06), soft_um=0.6))
    marks.append(_few_nuclei(rng, scaled(ring, 0.93), rng.uniform(20, 30), (1.9, 3.1)))
    return marks


def _disappearing(rng: np.random.Generator, ring: Points) -> list[Mark]:
    """No capsule: what is left of the tuft melts into scarred interstitium."""
    radius = _radius(ring)
    marks: list[Mark] = [
        Stroke(scaled(ring, 1.2), (0.05, 0.2, 0.4), soft_um=8),
        Stroke(scaled(ring, 0.92), (0.06, 0.34, rng.uniform(0.5, 0.66)), soft_um=0.09 * radius),
    ]
    marks += _knots(rng, scaled(ring, 0.85), (0.45, 0.95))
    sites, lean = _around(rng, scaled(ring, 1.18), 7.0)
    lean = np.where(rng.random(len(lean)) < 0.5, lean, rng.uniform(0, np.pi)) + rng.normal(0, 0.35, len(lean))
    marks.append(streaks(rng, sites, lean, 15, ((0.03, 0.2, 0.3), (0.06, 0.34, 0.64))))
    sites, lean = _around(rng, scaled(ring, 1.15), rng.uniform(13, 17))
    slender = np.column_stack([rng.uniform(3, 5.5, len(sites)), rng.uniform(1.1, 1.9, len(sites))])
    marks.append(nuclei(rng, sites, slender, lean + rng.normal(0, 0.4, len(lean))))
    marks.append(_few_nuclei(rng, scaled(ring, 1.2), rng.uniform(20, 32), (2.4, 2.9)))
    return marks


def _surround(ring: Points, matrix: float) -> list[Mark]:
    """A sleeve of interstitium, over whatever tubule came too close."""
    return [Stroke(scaled(ring, 1 + 3.5 / _radius(ring)), (0.04, 0.15, matrix), soft_um=1.2)]


def _knots(rng: np.random.Generator, ring: Points, matrix: tuple[float, float]) -> list[Mark]:
    """Soft lumps of matrix of different density."""
    radius = _radius(ring)
    marks: list[Mark] = []
    for site in scatter(rng, scaled(ring, 0.85), max(8.0, radius * 0.42)):
        size = radius * rng.uniform(0.14, 0.34)
        knot = oval(site, (size * 1.3, size), rng.uniform(0, 3), wobble(rng, 24, 0.12, 2, 5))
        dye = (0.06, rng.uniform(0.38, 0.55), rng.uniform(*matrix))
        marks.append(Stroke(knot, dye, soft_um=rng.uniform(1.5, 4), strength=rng.uniform(0.4, 0.75)))
    return marks


def _around(rng: np.random.Generator, ring: Points, spacing: float) -> tuple[Points, Floats]:
    """Places in the ring, and at each the direction around its middle."""
    sites = scatter(rng, ring, spacing, jitter=0.9)
    out = sites - ring.mean(axis=0)
    return sites, np.arctan2(out[:, 1], out[:, 0]) + np.pi / 2 + rng.normal(0, 0.2, len(sites))


def _few_nuclei(rng: np.random.Generator, ring: Points, spacing: float, radii: tuple[float, float]) -> Cells:
    at = scatter(rng, ring, spacing, jitter=0.9)
    size = np.tile([radii[1], radii[0]], (len(at), 1)) * rng.uniform(0.85, 1.15, (len(at), 2))
    return nuclei(rng, at, size, rng.uniform(0, np.pi, len(at)))


def _folds(
    rng: np.random.Generator, ring: Points, count: int, dye: tuple[float, float, float], width: float
) -> list[Mark]:
    """Wavy lines inside the ring: folded membranes."""
    radius = _radius(ring)
    sites = scatter(rng, scaled(ring, 0.82), max(5.0, radius / 3))
    chosen = sites[rng.permutation(len(sites))[:count]]
    return [
        Stroke(
            _fibre(rng, site, rng.uniform(0, 7), rng.uniform(0.3, 0.7) * radius),
            dye,
            width * rng.uniform(0.7, 1.3),
            closed=False,
        )
        for site in chosen
    ]


def _fibre(rng: np.random.Generator, site: Floats, lean: float, length: float) -> Points:
    turns = lean + np.cumsum(rng.normal(0, 0.25, 9))
    steps = np.column_stack([np.cos(turns), np.sin(turns)]) * length / 9
    path = np.cumsum(steps, axis=0)
    fibre: Points = path - path.mean(axis=0) + site
    return fibre


def _lobed(rng: np.random.Generator, ring: Points, share: float) -> Points:
    tuft = scaled(ring, share)
    centre = tuft.mean(axis=0)
    lobes = int(rng.integers(4, 9))
    angle = np.arange(len(tuft)) * 2 * np.pi / len(tuft)
    dents = np.abs(np.sin(lobes / 2 * angle + rng.uniform(0, 6) + 0.4 * np.sin(angle + rng.uniform(0, 6))))
    factors = (0.9 + 0.1 * dents**0.5) * np.minimum(wobble(rng, len(tuft), 0.02, 2, 8), 1.05)
    # The tuft hangs on the capsule at its vascular pole.
    pole = rng.uniform(0, 2 * np.pi)
    factors += 0.09 * np.exp(-(((angle - pole + np.pi) % (2 * np.pi) - np.pi) ** 2) / 0.08)
    return rounded((tuft - centre) * np.minimum(factors, 1 / share)[:, None] + centre, 1)


def _wrinkled(rng: np.random.Generator, ring: Points, amount: float) -> Points:
    centre = ring.mean(axis=0)
    wrinkled: Points = (ring - centre) * np.minimum(wobble(rng, len(ring), amount, 5, 18), 1.0 + amount)[
        :, None
    ] + centre
    return wrinkled


def _radius(ring: Points) -> float:
    return float(np.hypot(*(ring - ring.mean(axis=0)).T).mean())


_KINDS: dict[str, Callable[[np.random.Generator, Points], list[Mark]]] = {
    NORMAL: _normal,
    OBSOLESCENT: _obsolescent,
    SOLIDIFIED: _solidified,
    DISAPPEARING: _disappearing,
}
