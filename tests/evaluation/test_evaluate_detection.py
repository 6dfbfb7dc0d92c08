"""Scores of a run whose right answers are known."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from gloinone.annotations.columns import CIRCLES
from gloinone.annotations.csv_text import csv_bytes, make_row
from gloinone.cli.evaluate_detection import command
from gloinone.errors import UsageError
from gloinone.evaluation.detection import load_slides, scores


def _truth(folder: Path, stem: str, xs: list[float], cut: list[float] = ()) -> None:  # type: ignore[assignment]
    def feature(x: float, is_cut: bool) -> dict[str, object]:
        ring = [[x - 50, 450], [x + 50, 450], [x + 50, 550], [x - 50, 550], [x - 50, 450]]
        properties = {"classification": {"name": "glomerulus"}, "cut": is_cut}
        return {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [ring]},
            "properties": properties,
        }

    features = [feature(x, False) for x in xs] + [feature(x, True) for x in cut]
    folder.mkdir(exist_ok=True)
    (folder / f"{stem}.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))


def _circles(out: Path, name: str, rows: list[tuple[float, float, float, str, str]]) -> None:
    folder = out / "slides" / name
    folder.mkdir(parents=True)
    table = [
        make_row(
            CIRCLES,
            {"slide": name, "x": x, "y": 500.0, "radius": 56.4, "det_score": det, "score": score}
            | {"class": label, "glomerulus": glomerulus},
        )
        for x, det, score, label, glomerulus in rows
    ]
    (folder / "circles.csv").write_bytes(csv_bytes(CIRCLES, table))


@pytest.fixture
def run(tmp_path: Path) -> tuple[Path, Path]:
    out, truth = tmp_path / "out", tmp_path / "truth"
    _truth(truth, "a", [1000, 2000], cut=[3000])
    _truth(truth, "b", [1000])
    # a: one found, one missed, the cut one found, one false circle that the classifier refuses
    _circles(
        out,
        "a.tif",
        [
            (1000, 0.9, 0.8, "normal", "G001"),
            (3000, 0.8, 0.7, "normal", "G002"),
            (5000, 0.95, 0.1, "non-glomerular", ""),
        ],
    )
    _circles(out, "deep/b.tif", [(1000, 0.6, 0.2, "solidified", "")])
    _circles(out, "c.tif", [])
    return out, truth


def test_scores_by_hand(run: tuple[Path, Path]):
    slides, without = load_slides(*run, frozenset())
    assert [s.name for s in slides] == ["a.tif", "deep/b.tif"]
    assert without == ["c.tif"]
    by_name = {s.name: s for s in scores(slides)}
    # detector: false .95, right .9, right .6 of three truths: precision at best 2/3 up to recall 2/3
    assert by_name["detector AP50"].value == pytest.approx(67 * (2 / 3) / 101)
    # with the classifier the false one is gone
    assert by_name["with classifier AP50"].value == pytest.approx(67 / 101)
    assert by_name["recall at the threshold"].value == pytest.approx(1 / 3)
    assert by_name["precision at the threshold"].value == 1
    assert by_name["with classifier AP50"].low <= 67 / 101 <= by_name["with classifier AP50"].high


def test_only_some_slides(run: tuple[Path, Path]):
    slides, _ = load_slides(*run, frozenset({"b"}))
    assert [s.name for s in slides] == ["deep/b.tif"]
    with pytest.raises(UsageError, match="no result of nobody"):
        load_slides(*run, frozenset({"nobody", "b"}))


def test_folders_that_hold_nothing(run: tuple[Path, Path], tmp_path: Path):
    with pytest.raises(UsageError, match="finished gloinone run"):
        load_slides(tmp_path / "truth", run[1], frozenset())
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="holds no truth"):
        load_slides(run[0], tmp_path / "empty", frozenset())


def test_the_command_prints_and_writes_the_tables(run: tuple[Path, Path], tmp_path: Path):
    report = tmp_path / "scores.md"
    result = CliRunner().invoke(command, [str(run[0]), str(run[1]), "--report", str(report)])
    assert result.exit_code == 0, result.output
    assert "1 found, 2 missed, 0 false" in result.stdout
    assert "| a.tif | 2 | 1 | 1 | 1 | 0 |" in result.stdout
    assert "no truth for c.tif" in result.stderr
    assert report.read_text() == result.stdout
