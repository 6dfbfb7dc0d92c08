"""The same glomerulus at several levels of a core: where profiles fall on each other once the levels do."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from gloinone.study.levels import Cores
from gloinone.study.registration import moved_points

AS_GOOD = 0.04
"""Overlap that a placement may fall behind the best, if more glomeruli meet: a plain core fits in four ways."""
LOOSE, STRICT = 1.0, 0.5
"""Distance of two centres, in sums of their radii, up to which they meet: before and after the levels are adjusted."""
MIN_TO_ADJUST = 2

Floats = NDArray[np.float64]
Pairs = NDArray[np.intp]
"""(K, 2) numbers of a profile of the one and of the other."""


def follow(circles_um: Floats, pieces: NDArray[np.intp], cores: Cores) -> NDArray[np.intp]:
    """(N,) number of the glomerulus that each profile belongs to, from 1 in the order of the profiles.

    ``circles_um``: (N, 3) x, y, radius on the slide; ``pieces``: (N,) 0 for none. A profile that meets no other is a
    glomerulus of its own.
    """
    leaders = np.arange(len(circles_um))
    for members in cores.members:
        for profile, leader in _meetings(circles_um, pieces, members, cores):
            leaders[profile] = leaders[leader]
    _, first, inverse = np.unique(leaders, return_index=True, return_inverse=True)
    ranks = np.empty(len(first), np.intp)
    ranks[np.argsort(first)] = np.arange(1, len(first) + 1)
    return np.asarray(ranks[inverse], np.intp)


def _meetings(
    circles_um: Floats, pieces: NDArray[np.intp], members: tuple[int, ...], cores: Cores
) -> Iterator[tuple[int, int]]:
    """Profile and an earlier one of the same glomerulus, level by level."""
    frames = {members[0]: np.eye(2, 3)}
    tracks = np.flatnonzero(pieces == members[0])  # the first profile of each glomerulus
    seen = circles_um[tracks]  # where it was seen last, in the frame of the first level
    for piece in members[1:]:
        own = np.flatnonzero(pieces == piece)
        frames[piece], there, pairs = _lay(circles_um[own], seen, piece, frames, cores)
        yield from ((int(own[i]), int(tracks[j])) for i, j in pairs)
        seen[pairs[:, 1]] = there[pairs[:, 0]]
        new = np.setdiff1d(np.arange(len(own)), pairs[:, 0])
        tracks = np.concatenate([tracks, own[new]])
        seen = np.concatenate([seen, there[new]])


def _lay(
    profiles: Floats, seen: Floats, piece: int, frames: dict[int, Floats], cores: Cores
) -> tuple[Floats, Floats, Pairs]:
    """Frame of a level, its profiles in the frame of the first level, and which of them meet which seen before."""
    tried = {known: cores.placements[known, piece] for known in frames if (known, piece) in cores.placements}
    known = max(tried, key=lambda number: tried[number][0].overlap)
    best = tried[known][0].overlap
    found = []
    for placement in tried[known]:
        if placement.overlap < best - AS_GOOD:
            continue
        frame = _after(frames[known], placement.affine)
        there = _moved(frame, profiles)
        loose = _meet(there, seen, LOOSE)
        if len(loose) >= MIN_TO_ADJUST:
            frame = _after(_rigid(there[loose[:, 0], :2], seen[loose[:, 1], :2]), frame)
            there = _moved(frame, profiles)
        found.append((frame, there, _meet(there, seen, STRICT)))
    return max(found, key=lambda one: len(one[2]))


def _moved(frame: Floats, circles: Floats) -> Floats:
    return np.column_stack([moved_points(frame, circles[:, :2]), circles[:, 2]])


def _after(second: Floats, first: Floats) -> Floats:
    """One affine (2, 3) after another."""
    return np.column_stack([second[:, :2] @ first[:, :2], second[:, :2] @ first[:, 2] + second[:, 2]])


def _meet(a: Floats, b: Floats, reach: float) -> Pairs:
    """Pairs of circles, each in one pair at most, whose centres lie within ``reach`` times the sum of their radii."""
    apart = np.hypot(a[:, None, 0] - b[None, :, 0], a[:, None, 1] - b[None, :, 1])
    cost = np.minimum(apart / (reach * (a[:, None, 2] + b[None, :, 2])), 2.0)
    rows, columns = linear_sum_assignment(cost)
    near = cost[rows, columns] <= 1
    return np.column_stack([rows[near], columns[near]])


def _rigid(a: Floats, b: Floats) -> Floats:
    """(2, 3) turn and shift that brings points (K, 2) nearest to others (Kabsch 1976)."""
    u, _, vt = np.linalg.svd((a - a.mean(axis=0)).T @ (b - b.mean(axis=0)))
    turn = vt.T @ np.diag([1.0, np.sign(np.linalg.det(vt.T @ u.T))]) @ u.T
    return np.column_stack([turn, b.mean(axis=0) - turn @ a.mean(axis=0)])
