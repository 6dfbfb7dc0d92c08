"""Rows of pieces.csv and cores.csv, and what summary.csv says of both."""

from dataclasses import replace

import numpy as np
import pytest

from gloinone.annotations.piece_tables import core_rows, piece_rows
from gloinone.annotations.tables import MadeWith, glomerulus_rows, summary_row
from gloinone.geometry import sphere_um3, weibel_gomez_um3
from gloinone.records import Origin, Piece, SlideResult


@pytest.fixture
def levels(make_result) -> SlideResult:
    """Two levels of a core and a piece without glomeruli; G001 (at the edge) and G003 are one, G005 is on a crumb."""
    made = make_result(["normal", "normal", "solidified", "non-glomerular", "normal"])
    pieces, tracks = (1, 1, 2, 2, None), (1, 2, 1, None, 3)
    glomeruli = [
        replace(g, piece=piece, track=track, area_um2=20_000.0 + g.number)
        for g, piece, track in zip(made.glomeruli, pieces, tracks, strict=True)
    ]
    return replace(
        made,
        glomeruli=tuple(glomeruli),
        origin=Origin("p 1", "PAS"),
        pieces=(
            Piece(1, 0, 0, 900, 300, 1.25, core=1, level=1),
            Piece(2, 0, 400, 900, 300, 1.5, core=1, level=2),
            Piece(3, 0, 800, 90, 30, 0.25, core=2, level=1),
        ),
    )


def test_a_piece_counts_its_own(levels: SlideResult) -> None:
    rows = piece_rows(levels)
    assert [row["n_glomeruli"] for row in rows] == ["2", "1", "0"]
    assert [row["percent_sclerosed"] for row in rows] == ["0.00", "100.00", ""]
    assert [(row["core"], row["level"]) for row in rows] == [("1", "1"), ("1", "2"), ("2", "1")]
    assert (rows[1]["y"], rows[1]["tissue_mm2"], rows[1]["patient"], rows[1]["stain"]) == (
        "400.0",
        "1.5000",
        "p 1",
        "PAS",
    )


def test_a_core_counts_a_glomerulus_once_as_its_largest_profile_is(levels: SlideResult) -> None:
    first, second = core_rows(levels)
    assert (first["n_levels"], first["n_glomeruli"], first["n_normal"], first["n_solidified"]) == (
        "2",
        "2",
        "1",
        "1",
    )
    assert float(first["volume_um3_profile"]) == pytest.approx(sphere_um3(20_003), abs=0.5)
    assert (second["n_levels"], second["n_glomeruli"], second["volume_um3_profile"]) == ("1", "0", "")
    cut = replace(levels, glomeruli=tuple(replace(g, at_edge=True) for g in levels.glomeruli))
    assert core_rows(cut)[0]["volume_um3_profile"] == "", "a cut profile has no volume"


def test_the_summary_says_pieces_cores_and_volumes(levels: SlideResult) -> None:
    row = summary_row(levels, MadeWith())
    names = ("n_glomeruli", "n_pieces", "n_cores", "n_glomeruli_once", "percent_sclerosed_piece_mean")
    assert [row[name] for name in names] == ["4", "3", "2", "3", "50.00"]
    areas = [g.area_um2 for g in levels.glomeruli[1:] if g.label != "non-glomerular"]
    assert float(row["volume_um3_weibel_gomez"]) == pytest.approx(weibel_gomez_um3(np.median(areas)), abs=0.5)
    unknown = replace(levels, pieces=tuple(replace(p, core=None, level=None) for p in levels.pieces))
    row = summary_row(unknown, MadeWith())
    assert (row["n_pieces"], row["n_cores"], row["n_glomeruli_once"]) == ("3", "", "")
    assert core_rows(unknown) == []


def test_a_glomerulus_says_piece_core_level_and_track(levels: SlideResult) -> None:
    said = [
        [row[n] for n in ("piece", "core", "level", "glomerulus_track")] for row in glomerulus_rows(levels)
    ]
    assert said == [
        ["1", "1", "1", "1"],
        ["1", "1", "1", "2"],
        ["2", "1", "2", "1"],
        ["2", "1", "2", ""],
        ["", "", "", "3"],
    ]
