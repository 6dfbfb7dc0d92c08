"""Rings and dots as nature makes them: never quite round. All in microns unless the caller scales them."""

import numpy as np
import shapely
from numpy.typing import NDArray

from gloinone.records import Points

Floats = NDArray[np.float64]


def wobble(rng: np.random.Generator, vertices: int, amount: float, first: int = 2, last: int = 6) -> Floats:
    """(vertices,) radius factors around 1: waves of `first` to `last` per turn, the faster the smaller."""
    angle = np.arange(vertices) * 2 * np.pi / vertices
    factors = np.ones(vertices)
    for waves in range(first, last + 1):
        factors += amount / waves**0.7 * rng.normal() * np.cos(waves * angle + rng.uniform(0, 2 * np.pi))
    return np.clip(factors, 0.4, 1.6)


def oval(centre: Floats, radii: tuple[float, float], angle: float, profile: Floats) -> Points:
    """(N, 2) ring: an ellipse turned by `angle`, its radius times `profile` (N,)."""
    turn = np.arange(len(profile)) * 2 * np.pi / len(profile)
    x, y = radii[0] * np.cos(turn) * profile, radii[1] * np.sin(turn) * profile
    cos, sin = np.cos(angle), np.sin(angle)
    return np.column_stack([x * cos - y * sin, x * sin + y * cos]) + centre


def rounded(ring: Points, times: int = 2) -> Points:
    """Corners cut `times` times (Chaikin), closed ring."""
    for _ in range(times):
        after = np.roll(ring, -1, axis=0)
        ring = np.stack([0.75 * ring + 0.25 * after, 0.25 * ring + 0.75 * after], axis=1).reshape(-1, 2)
    return ring


def scaled(ring: Points, factor: float) -> Points:
    """The ring made larger or smaller about its mean."""
    centre = ring.mean(axis=0)
    resized: Points = (ring - centre) * factor + centre
    return resized


def inset(ring: Points, microns: float, round_um: float = 0.0) -> Points | None:
    """The ring moved inwards (outwards if negative), corners rounded to `round_um`.

    Its largest piece, or None when nothing is left.
    """
    shape = shapely.buffer(shapely.Polygon(ring), -microns - round_um, quad_segs=2)
    if round_um > 0:
        shape = shapely.buffer(shape, round_um, quad_segs=3)
    pieces = [
        piece for piece in shapely.get_parts(shape) if isinstance(piece, shapely.Polygon) and piece.area > 1
    ]
    if not pieces:
        return None
    largest = max(pieces, key=lambda piece: piece.area)
    return shapely.get_coordinates(largest.exterior)[:-1]


def walk(ring: Points, spacing: float) -> tuple[Points, Floats]:
    """Points about every `spacing` along the closed ring, and the direction of travel at each (radians)."""
    steps = np.roll(ring, -1, axis=0) - ring
    lengths = np.hypot(*steps.T)
    ends = np.cumsum(lengths)
    count = max(3, round(ends[-1] / spacing))
    at = (np.arange(count) + 0.5) * ends[-1] / count
    index = np.minimum(np.searchsorted(ends, at), len(ring) - 1)
    share = 1 - (ends[index] - at) / np.maximum(lengths[index], 1e-9)
    return ring[index] + steps[index] * share[:, None], np.arctan2(steps[index, 1], steps[index, 0])


def scatter(rng: np.random.Generator, ring: Points, spacing: float, jitter: float = 0.35) -> Points:
    """Points inside the ring on a shaken hexagonal grid, `spacing` apart."""
    low, high = ring.min(axis=0), ring.max(axis=0)
    rows = np.arange(low[1], high[1] + spacing, spacing * np.sqrt(3) / 2)
    columns = np.arange(low[0], high[0] + spacing, spacing)
    x, y = np.meshgrid(columns, rows)
    x[1::2] += spacing / 2
    points = np.column_stack([x.ravel(), y.ravel()]) + rng.uniform(0, spacing, 2) - spacing / 2
    points = points + rng.normal(0, jitter * spacing / 2, points.shape)
    inside = shapely.contains_xy(shapely.Polygon(ring), points[:, 0], points[:, 1])
    return np.asarray(points[inside])


def ovals(centres: Points, radii: Points, angles: Floats, rough: Floats) -> Floats:
    """(K, M, 2) rings at centres (K, 2) with radii (K, 2); `rough` (K, M) are radius factors."""
    turn = np.arange(rough.shape[1]) * 2 * np.pi / rough.shape[1]
    x = radii[:, :1] * np.cos(turn) * rough
    y = radii[:, 1:] * np.sin(turn) * rough
    cos, sin = np.cos(angles)[:, None], np.sin(angles)[:, None]
    return np.stack([x * cos - y * sin, x * sin + y * cos], axis=-1) + centres[:, None]
