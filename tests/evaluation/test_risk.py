"""Risk against coverage by hand, and of a run whose wrong glomeruli are known."""

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from made_run import Found, write_run, write_truth

from gloinone.errors import UsageError
from gloinone.evaluation.risk import area_under_risk, doubted_of_run, evaluate_risk, risk_curve
from gloinone.evaluation.run_output import ScoredRun, load_run
from gloinone.evaluation.whole_job import evaluate_run


def test_the_curve_by_hand() -> None:
    wrong, rank = np.array([True, False, True, False]), np.array([0.4, 0.1, 0.3, 0.2])
    assert risk_curve(wrong, rank) == pytest.approx([0, 0, 1 / 3, 1 / 2])
    assert area_under_risk(wrong, rank) == pytest.approx((1 / 3 + 1 / 2) / 4)


def test_equals_are_in_random_order() -> None:
    """The mean of many shuffles, each broken by chance."""
    rng = np.random.default_rng(1)
    wrong, rank = rng.random(30) < 0.3, rng.integers(0, 4, 30).astype(float)
    shuffles = []
    for _ in range(4000):
        order = np.lexsort((rng.random(30), rank))
        shuffles.append(np.cumsum(wrong[order]) / np.arange(1, 31))
    assert risk_curve(wrong, rank) == pytest.approx(np.mean(shuffles, axis=0), abs=0.02)
    nothing_known = np.zeros(30)
    assert area_under_risk(wrong, nothing_known) == pytest.approx(wrong.mean())


@pytest.fixture
def run(tmp_path: Path) -> ScoredRun:
    truth = tmp_path / "truth"
    write_truth(truth, "a", [500, 1000, 1500], [2500], ["normal", "sclerosed", "sclerosed"])
    write_truth(truth, "b", [500, 1000], label="glomerulus")
    slides = {
        "a.png": [
            Found(500, 0.9, 0.9, id="G001", doubt=0.2),
            Found(1000, 0.9, 0.9, "solidified", "G002", doubt=1.1, flags="near the cut"),
            Found(1500, 0.9, 0.9, id="G003", doubt=1.3, flags="blur"),  # of another state
            Found(2500, 0.9, 0.9, id="G004", doubt=9, flags="blur"),  # cut: neither right nor wrong
            Found(3000, 0.9, 0.9, id="G005", doubt=1.2, flags="pen"),  # false
            Found(3500, 0.2, 0.2),  # not kept
        ],
        "b.png": [
            Found(500, 0.9, 0.9, "solidified", "G001", doubt=0.3),  # of no known state
            Found(2000, 0.9, 0.9, id="G002", doubt=0.5),  # false, and nobody doubts it
        ],
    }
    write_run(tmp_path / "out", slides)
    return load_run(tmp_path / "out", truth)


def test_what_is_wrong_and_flagged(run: ScoredRun) -> None:
    doubted = doubted_of_run(run)
    by_doubt = sorted(zip(doubted.rank("doubt"), doubted.wrong, doubted.flagged(), strict=True))
    assert [(float(d), bool(w), bool(f)) for d, w, f in by_doubt] == [
        (0.2, False, False),
        (0.3, False, False),
        (0.5, True, False),
        (1.1, False, True),
        (1.2, True, True),
        (1.3, True, True),
    ]
    assert any("1 of 6 glomeruli have no state" in note for note in doubted.notes)


def test_the_tables(run: ScoredRun) -> None:
    evaluation = evaluate_risk(run)
    scores, sources, flags, curve = evaluation.tables
    values = {str(row[0]): row[1] for row in scores.rows}
    assert values["wrong, of all"] == 0.5
    assert values["wrong, of the flagged"] == pytest.approx(2 / 3)
    assert values["wrong, of the others"] == pytest.approx(1 / 3)
    assert values["wrong, flagged less others"] == pytest.approx(1 / 3)
    by_doubt = np.mean([0, 0, 1 / 3, 1 / 4, 2 / 5, 3 / 6])
    assert values["area under risk and coverage, by doubt"] == pytest.approx(by_doubt)
    assert values["area under risk and coverage, random order"] == 0.5
    # none of the other numbers is known of any
    assert values["area under risk and coverage, by blur_um"] == pytest.approx(0.5)
    assert sources.rows[0][1:4] == (6, 0.5, 3)
    assert flags.rows == (("blur", 1, 1.0), ("pen", 1, 1.0), ("near the cut", 1, 0.0))
    rows = list(csv.reader(io.StringIO(curve.csv_bytes().decode())))
    assert rows[0] == ["share kept", "by doubt", "by near_cut", "random order"]
    assert [row[1] for row in rows[1:]] == ["0", "0", "0.333333", "0.25", "0.4", "0.5"]
    assert curve.long
    assert evaluation.plots["risk_coverage"]().startswith(b"\x89PNG")


def test_it_is_part_of_the_whole_job(run: ScoredRun) -> None:
    assert {"risk", "risk_sources", "risk_coverage"} <= {table.name for table in evaluate_run(run).tables}


def test_nothing_kept_is_said(tmp_path: Path) -> None:
    write_truth(tmp_path / "truth", "a", [500])
    write_run(tmp_path / "out", {"a.png": [Found(500, 0.2, 0.2)]})
    run = load_run(tmp_path / "out", tmp_path / "truth")
    with pytest.raises(UsageError, match="no glomerulus that is right or wrong"):
        evaluate_risk(run)
    assert any(note.startswith("doubts are not scored") for note in evaluate_run(run).notes)
