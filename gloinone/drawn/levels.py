"""Cores cut at several levels that lie on one slide: the same glomeruli again, turned or mirrored, of other sizes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from gloinone.drawn.layout import Spot, find_room, tissue_rings
from gloinone.records import Points

LEVEL_STEP_UM = 40.0
"""From one level to the next, into the depth of the block."""
SMALLEST_PROFILE = 0.45
"""Of the radius: a glomerulus that a level cuts smaller than this is not drawn there."""
TEAR_UM = 120.0
"""Width of the gap in a torn core."""
MAX_TURN = np.radians(1.5)


@dataclass(frozen=True)
class Cut:
    """One core at one level: how it came to lie on the slide."""

    core: int
    """From 1."""
    level: int
    """From 1."""
    centre_um: Points
    """(2,) of the core in the block."""
    matrix: NDArray[np.float64]
    """(2, 2) turn, and mirror image or not."""
    shift_um: Points
    """(2,)."""

    def place(self, points_um: Points) -> Points:
        """(N, 2) in the block -> on the slide."""
        moved: Points = (points_um - self.centre_um) @ self.matrix.T + self.centre_um + self.shift_um
        return moved


@dataclass(frozen=True)
class Profile:
    """A round thing where a level cuts it."""

    spot: Spot
    """On the slide."""
    core: int
    level: int
    track: int
    """The same number at every level; from 1."""


@dataclass(frozen=True)
class Block:
    """What a slide with levels shows."""

    tissue_um: list[Points]
    profiles: list[Profile]


def cut_levels(
    size_um: tuple[float, float],
    levels: int,
    torn: bool,
    wanted: Sequence[tuple[str, float]],
    rng: np.random.Generator,
) -> Block:
    """Cores one below the other, all of them again for each level; a spot per level for every (kind, radius, um).

    UsageError if there is no room.
    """
    width, height = size_um[0], size_um[1] / levels
    cores = tissue_rings("core", (width, height), rng)
    parts = [_torn(ring, rng) if torn and number == 0 else [ring] for number, ring in enumerate(cores)]
    whole = [ring for core in parts for ring in core]
    spots = find_room(wanted, whole, (width, height), rng)
    cuts = [
        _cut(ring, core, level, height, rng)
        for level in range(1, levels + 1)
        for core, ring in enumerate(cores, start=1)
    ]
    tissue = [_frayed(cut.place(ring), rng) for cut in cuts for ring in parts[cut.core - 1]]
    profiles: list[Profile] = []
    for track, spot in enumerate(spots, start=1):
        own = [
            core
            for core, ring in enumerate(cores, start=1)
            if shapely.Polygon(ring).contains(shapely.Point(spot.cx, spot.cy))
        ]
        middle = rng.uniform(0.6, levels + 0.4)
        for cut in cuts:
            share = 1 - ((cut.level - middle) * LEVEL_STEP_UM / spot.radius) ** 2
            if cut.core in own and share > SMALLEST_PROFILE**2:
                ((x, y),) = cut.place(np.array([[spot.cx, spot.cy]]))
                there = Spot(float(x), float(y), spot.radius * float(share) ** 0.5, spot.kind)
                profiles.append(Profile(there, cut.core, cut.level, track))
    return Block(tissue, profiles)


def _cut(ring: Points, core: int, level: int, height: float, rng: np.random.Generator) -> Cut:
    """Each level but the first may lie the other way round."""
    turn = rng.uniform(-MAX_TURN, MAX_TURN) + (np.pi * rng.integers(2) if level > 1 else 0.0)
    mirror = -1.0 if level > 1 and rng.integers(2) else 1.0
    cos, sin = np.cos(turn), np.sin(turn)
    matrix = np.array([[cos, -sin], [sin, cos]]) @ np.diag([1.0, mirror])
    centre = (ring.min(axis=0) + ring.max(axis=0)) / 2
    return Cut(core, level, centre, matrix, np.array([0.0, (level - 1) * height]))


def _frayed(ring: Points, rng: np.random.Generator) -> Points:
    """The edge of another level: a little wider here and narrower there."""
    centre = ring.mean(axis=0)
    along = np.arange(len(ring)) * 2 * np.pi / len(ring)
    swell = 1 + 0.02 * np.sin(rng.integers(3, 9) * along + rng.uniform(0, 6))
    frayed: Points = (ring - centre) * np.column_stack([np.ones(len(ring)), swell]) + centre
    return frayed


def _torn(ring: Points, rng: np.random.Generator) -> list[Points]:
    """Two parts of a core that runs along x, a gap apart."""
    (left, top), (right, bottom) = ring.min(axis=0), ring.max(axis=0)
    middle = left + rng.uniform(0.35, 0.65) * (right - left)
    y = np.linspace(top - 10, bottom + 10, 40)
    edge = middle + np.cumsum(rng.normal(0, 6, len(y)))
    gap = np.vstack([np.column_stack([edge, y]), np.column_stack([edge + TEAR_UM, y])[::-1]])
    rest = shapely.difference(shapely.Polygon(ring).buffer(0), shapely.Polygon(gap).buffer(0))
    parts = [part for part in shapely.get_parts(rest) if part.area > 1e4]
    return [shapely.get_coordinates(part.exterior)[:-1] for part in parts]
