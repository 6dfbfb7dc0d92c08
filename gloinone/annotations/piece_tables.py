"""Rows of pieces.csv and cores.csv, and what summary.csv says of pieces, cores and levels."""

from collections.abc import Sequence
from statistics import fmean

from gloinone.annotations.class_counts import class_counts
from gloinone.annotations.columns import CORES, PIECES
from gloinone.annotations.csv_text import Row, make_row
from gloinone.geometry import sphere_um3
from gloinone.labels import NONGLOMERULAR
from gloinone.records import Glomerulus, SlideResult


def piece_rows(result: SlideResult) -> list[Row]:
    """Rows of pieces.csv, by number."""
    rows = []
    for piece in result.pieces:
        labels = [g.label for g in result.glomeruli if g.piece == piece.number]
        own = {
            "slide": result.info.name,
            "piece": piece.number,
            **vars(result.origin),
            **class_counts(labels),
        }
        for name in ("x", "y", "width", "height", "tissue_mm2", "core", "level"):
            own[name] = getattr(piece, name)
        rows.append(make_row(PIECES, own))
    return rows


def core_rows(result: SlideResult) -> list[Row]:
    """Rows of cores.csv, by number; a glomerulus seen at several levels stands in them once."""
    rows = []
    for core in sorted({piece.core for piece in result.pieces if piece.core is not None}):
        levels = [piece.number for piece in result.pieces if piece.core == core]
        profiles = tracks([g for g in result.glomeruli if g.piece in levels])
        values = {
            "slide": result.info.name,
            **vars(result.origin),
            "core": core,
            "n_levels": len(levels),
            **class_counts([largest(track).label for track in profiles]),
            "volume_um3_profile": mean_profile_um3(profiles),
        }
        rows.append(make_row(CORES, values))
    return rows


def piece_summary(result: SlideResult) -> dict[str, object]:
    """Columns of summary.csv on pieces, cores and levels; those on levels are empty where nobody looked for any."""
    shares = [float(row["percent_sclerosed"]) for row in piece_rows(result) if row["percent_sclerosed"]]
    summary: dict[str, object] = {
        "n_pieces": len(result.pieces),
        "percent_sclerosed_piece_mean": fmean(shares) if shares else None,
    }
    if all(piece.core is not None for piece in result.pieces):
        profiles = tracks(result.glomeruli)
        summary |= {
            "n_cores": len({piece.core for piece in result.pieces}),
            "n_glomeruli_once": len(profiles),
            "volume_um3_profile": mean_profile_um3(profiles),
        }
    return summary


def tracks(glomeruli: Sequence[Glomerulus]) -> list[list[Glomerulus]]:
    """Profiles of each glomerulus, without the non-glomerular; one without a track is alone."""
    by_track: dict[tuple[bool, int], list[Glomerulus]] = {}
    for g in glomeruli:
        if g.label != NONGLOMERULAR:
            key = (True, g.number) if g.track is None else (False, g.track)
            by_track.setdefault(key, []).append(g)
    return list(by_track.values())


def largest(track: Sequence[Glomerulus]) -> Glomerulus:
    """The profile nearest to the glomerulus' middle."""
    return max(track, key=lambda g: g.area_um2)


def mean_profile_um3(profiles: Sequence[Sequence[Glomerulus]]) -> float | None:
    """Of those seen more than once: the mean sphere about the largest profile that is whole; None without any."""
    best = [largest(track) for track in profiles if len(track) > 1]
    volumes = [sphere_um3(g.area_um2) for g in best if not g.at_edge]
    return fmean(volumes) if volumes else None
