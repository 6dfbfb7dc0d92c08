"""The four kinds of glomeruli, each drawn inside its outline: what a pathologist names them by."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from gloinone.drawn.shapes import oval, ovals, rounded, scaled, scatter, walk, wobble
from gloinone.drawn.strokes import Cells, Mark, Stroke, nuclei
from gloinone.labels import DISAPPEARING, NORMAL, OBSOLESCENT, SOLIDIFIED
from gloinone.records import Points

Floats = NDArray[np.float64]
GLOMERULUS_RADII_UM = {
    NORMAL: (62.0, 130.0),
    OBSOLESCENT: (50.0, 92.0),
    SOLIDIFIED: (52.0, 105.0),
    DISAPPEARING: (50.0, 88.0),
}
_CAPSULE = (0.08, 0.35, 0.95)
_SPACE = (0.0, 0.03, 0.01)


def glomerulus_ring(rng: np.random.Generator, cx: float, cy: float, radius: float, label: str) -> Points:
    """Outline whose circle of the same area has about `radius`."""
    stretch = rng.uniform(1.0, 1.35)
    amount = 0.06 if label == DISAPPEARING else 0.022
    profile = wobble(rng, 96, amount, 2, 7 if label == DISAPPEARING else 4)
    profile /= np.sqrt(np.mean(profile**2))
    return oval(
        np.array([cx, cy]), (radius * stretch**0.5, radius / stretch**0.5), rng.uniform(0, 3.2), profile
    )


def glomerulus(ring: Points, label: str, seed: int) -> list[Mark]:
    """Marks of one glomerulus of the kind `label`."""
    return _KINDS[label](np.random.default_rng(seed), ring)


def _normal(rng: np.random.Generator, ring: Points) -> list[Mark]:
    radius = _radius(ring)
    capsule = rng.uniform(1.4, 3.0)
    marks: list[Mark] = [
        Stroke(scaled(ring, 1 + 4 / radius), (0.04, 0.15, 0.3)),
        Stroke(ring, _CAPSULE),
        Stroke(scaled(ring, 1 - capsule / radius), _SPACE),
    ]
    at, along = walk(scaled(ring, 1 - (capsule + 1.5) / radius), rng.uniform(14, 22))
    flat = np.column_stack([rng.uniform(3.2, 5.0, len(at)), rng.uniform(1.2, 1.9, len(at))])
    marks.append(nuclei(rng, at, flat, along))
    tuft = _lobed(rng, ring, rng.uniform(0.8, 0.92))
    marks.append(Stroke(tuft, (0.08, 0.55, 0.35)))
    marks += _tuft(rng, tuft, openness=rng.uniform(0.45, 0.75))
    marks += _clefts(rng, tuft, radius)
    return marks


def _tuft(rng: np.random.Generator, tuft: Points, openness: float) -> list[Mark]:
    """Capillary loops (pale, walled), mesangium between them, and nuclei in all places."""
    spacing = rng.uniform(10.5, 13)
    sites = scatter(rng, tuft, spacing, jitter=0.5)
    is_loop = rng.random(len(sites)) < openness
    loops, rest = sites[is_loop], sites[~is_loop]
    radii = rng.uniform(0.32, 0.62, (len(loops), 1)) * spacing * rng.uniform(0.7, 1.25, (len(loops), 2))
    angles = rng.uniform(0, np.pi, len(loops))
    rough = (
        np.stack([wobble(rng, 16, 0.12, 2, 4) for _ in range(len(loops))])
        if len(loops)
        else np.empty((0, 16))
    )
    walls, holes = (
        ovals(loops, radii + 0.9, angles, rough),
        ovals(loops, np.maximum(radii - 0.2, 0.6), angles, rough),
    )
    hole_dye = np.column_stack(
        [np.zeros(len(loops)), rng.uniform(0.02, 0.3, len(loops)), np.full(len(loops), 0.03)]
    )
    wall_dye = np.tile([0.08, 0.4, 0.85], (len(loops), 1)) * rng.uniform(0.7, 1.15, (len(loops), 1))
    mesangium = ovals(
        rest,
        rng.uniform(2.5, 5.5, (len(rest), 2)),
        rng.uniform(0, np.pi, len(rest)),
        np.ones((len(rest), 12)),
    )
    matrix = np.tile([0.08, 0.45, 0.8], (len(rest), 1)) * rng.uniform(0.7, 1.15, (len(rest), 1))
    seats = np.concatenate([rest, scatter(rng, tuft, spacing * 1.15, jitter=0.6)])
    seats = seats + rng.normal(0, 1.5, seats.shape)
    size = rng.uniform(2.5, 3.7, (len(seats), 1)) * rng.uniform(0.85, 1.15, (len(seats), 2))
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
    for _ in range(rng.integers(3, 7)):
        start = tuft[rng.integers(len(tuft))]
        depth, bend = rng.uniform(0.25, 0.6), rng.normal(0, 0.12) * radius
        share = np.linspace(-0.05, depth, 9)[:, None]
        inward = centre - start
        aside = np.array([-inward[1], inward[0]]) / max(float(np.hypot(*inward)), 1e-9)
        path = start + inward * share + aside * bend * np.sin(share / depth * np.pi)
        path = path + rng.normal(0, 0.8, path.shape)
        marks.append(Stroke(path, _SPACE, width_um=rng.uniform(1.5, 3.5), closed=False))
    return marks


def _obsolescent(rng: np.random.Generator, ring: Points) -> list[Mark]:
    radius = _radius(ring)
    wrinkled = _wrinkled(rng, ring, 0.012)
    marks: list[Mark] = [
        Stroke(scaled(ring, 1 + 4 / radius), (0.04, 0.15, 0.35)),
        Stroke(wrinkled, _CAPSULE),
        Stroke(scaled(wrinkled, 1 - rng.uniform(2.5, 4.5) / radius), (0.03, 0.22, rng.uniform(0.26, 0.4))),
    ]
    for share in rng.uniform(0.62, 0.92, 9):
        marks.append(Stroke(_wrinkled(rng, scaled(ring, share), 0.02), (0.04, 0.3, 0.5), width_um=0.7))
    tuft = _wrinkled(rng, scaled(ring, rng.uniform(0.42, 0.6)), 0.05) + rng.normal(0, 0.07 * radius, 2)
    marks.append(Stroke(tuft, (0.1, 0.55, 0.95), soft_um=0.8))
    marks += _folds(rng, tuft, 14, (0.1, 0.6, 1.3), 1.6)
    marks += _folds(rng, tuft, 6, (0.05, 0.3, 0.5), 1.2)
    marks.append(_few_nuclei(rng, tuft, 20, (1.6, 2.6)))
    marks.append(_few_nuclei(rng, scaled(ring, 0.9), 42, (1.4, 3.4)))
    return marks


def _solidified(rng: np.random.Generator, ring: Points) -> list[Mark]:
    radius = _radius(ring)
    marks: list[Mark] = [
        Stroke(scaled(ring, 1 + 4 / radius), (0.04, 0.15, 0.35)),
        Stroke(ring, _CAPSULE),
        Stroke(scaled(ring, 1 - 2 / radius), (0.06, 0.5, rng.uniform(0.75, 1.0))),
    ]
    for site in scatter(rng, scaled(ring, 0.85), radius * 0.55):
        knot = oval(site, (radius * 0.3, radius * 0.22), rng.uniform(0, 3), wobble(rng, 24, 0.08, 2, 4))
        marks.append(Stroke(knot, (0.06, 0.55, rng.uniform(0.8, 1.15)), soft_um=3, strength=0.7))
    marks += _folds(rng, scaled(ring, 0.9), 16, (0.04, 0.4, 0.55), 1.0)
    for site in scatter(rng, scaled(ring, 0.9), radius * 0.75)[: rng.integers(0, 4)]:
        slit = oval(site, (rng.uniform(4, 9), rng.uniform(1.5, 3)), rng.uniform(0, 3), wobble(rng, 20, 0.1))
        marks.append(Stroke(slit, (0.0, 0.08, 0.05)))
    marks.append(_few_nuclei(rng, scaled(ring, 0.93), rng.uniform(24, 34), (1.8, 3.2)))
    return marks


def _disappearing(rng: np.random.Generator, ring: Points) -> list[Mark]:
    radius = _radius(ring)
    marks: list[Mark] = [
        Stroke(scaled(ring, 1.22), (0.05, 0.2, 0.4), soft_um=7),
        Stroke(scaled(ring, 0.93), (0.06, 0.36, 0.62), soft_um=0.07 * radius),
    ]
    for site in scatter(rng, scaled(ring, 0.8), radius * 0.5):
        knot = oval(site, (radius * 0.28, radius * 0.16), rng.uniform(0, 3), wobble(rng, 24, 0.12, 2, 5))
        marks.append(Stroke(knot, (0.08, 0.45, rng.uniform(0.7, 0.95)), soft_um=4, strength=0.6))
    lean = rng.uniform(0, np.pi)
    for site in scatter(rng, scaled(ring, 1.2), 13):
        pale = rng.random() < 0.5
        fibre = _fibre(rng, site, lean + rng.normal(0, 0.5), rng.uniform(18, 45))
        marks.append(
            Stroke(fibre, (0.02, 0.18, 0.25) if pale else (0.06, 0.4, 0.75), width_um=0.8, closed=False)
        )
    marks.append(_few_nuclei(rng, scaled(ring, 1.15), 17, (1.3, 4.2), lean))
    marks.append(_few_nuclei(rng, scaled(ring, 1.15), 34, (2.6, 3.0)))
    return marks


def _few_nuclei(
    rng: np.random.Generator,
    ring: Points,
    spacing: float,
    radii: tuple[float, float],
    lean: float | None = None,
) -> Cells:
    at = scatter(rng, ring, spacing, jitter=0.9)
    size = np.column_stack([np.full(len(at), radii[1]), np.full(len(at), radii[0])])
    angle = rng.uniform(0, np.pi, len(at)) if lean is None else lean + rng.normal(0, 0.4, len(at))
    return nuclei(rng, at, size * rng.uniform(0.85, 1.15, size.shape), angle)


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
    return path - path.mean(axis=0) + site


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
    return (ring - centre) * np.minimum(wobble(rng, len(ring), amount, 5, 18), 1.0 + amount)[:, None] + centre


def _radius(ring: Points) -> float:
    return float(np.hypot(*(ring - ring.mean(axis=0)).T).mean())


_KINDS: dict[str, Callable[[np.random.Generator, Points], list[Mark]]] = {
    NORMAL: _normal,
    OBSOLESCENT: _obsolescent,
    SOLIDIFIED: _solidified,
    DISAPPEARING: _disappearing,
}
