"""Levels and tracks of a slide's pieces and glomeruli."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from gloinone.labels import NONGLOMERULAR
from gloinone.records import Glomerulus, Piece, PieceMap, Window
from gloinone.study.levels import find_cores
from gloinone.study.tracks import follow


def with_levels(
    glomeruli: Sequence[Glomerulus], pieces: Sequence[Piece], piece_map: PieceMap, window: Window, mpp: float
) -> tuple[tuple[Glomerulus, ...], tuple[Piece, ...]]:
    """The same with core, level and track; ``window``: of the map, ``mpp``: of level 0.

    What is no glomerulus has no track. A slide of too many pieces has no cores, and every glomerulus its own track.
    """
    um_per_px = window.downsample * mpp
    cores = find_cores(piece_map, um_per_px)
    real = [g for g in glomeruli if g.label != NONGLOMERULAR]
    circles = [g.candidate.detection for g in real]
    places = window.image_from_l0(np.array([[c.cx, c.cy] for c in circles]).reshape(-1, 2)) * um_per_px
    circles_um = np.column_stack([places, [c.radius * mpp for c in circles]])
    numbers = follow(circles_um, np.array([g.piece or 0 for g in real], np.intp), cores)
    tracks = {g.number: int(track) for g, track in zip(real, numbers, strict=True)}
    levels = {piece.number: cores.place_of(piece.number) or (None, None) for piece in pieces}
    return (
        tuple(replace(g, track=tracks.get(g.number)) for g in glomeruli),
        tuple(replace(p, core=levels[p.number][0], level=levels[p.number][1]) for p in pieces),
    )
