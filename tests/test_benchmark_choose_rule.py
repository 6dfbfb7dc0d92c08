"""The threshold for the card is one that slides agree on, and the same each time."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.choose_rule import Ranked, main, ranked, steady_threshold, truth_of
from gloinone.annotations.columns import CIRCLES
from gloinone.annotations.tables import PROBABILITY_COLUMNS
from gloinone.levelling import log_odds, raised
from gloinone.metrics import CircleImage, at_threshold, best_f1
from gloinone.weights.card import read_card

NOTHING = np.empty((0, 3))


def a_slide(right: list[float], wrong: list[float]) -> CircleImage:
    truth = np.array([[100.0 * i, 0, 10] for i in range(len(right))])
    found = [[*circle, score] for circle, score in zip(truth, right, strict=True)]
    found += [[100.0 * i, 500, 10, score] for i, score in enumerate(wrong)]
    return CircleImage(np.array(found), truth, NOTHING)


def test_one_slide_says_its_own_best() -> None:
    slide = a_slide([0.9, 0.5], [0.3])
    assert steady_threshold([slide]) == best_f1([slide])[0] == pytest.approx(0.5)


def test_slides_agree_on_one_between_theirs() -> None:
    rng = np.random.default_rng(0)
    slides = [a_slide(list(rng.uniform(0.2, 0.9, 12)), list(rng.uniform(0.1, 0.5, 12))) for _ in range(9)]
    own = [best_f1([slide])[0] for slide in slides]
    agreed = steady_threshold(slides)
    assert min(own) < agreed < max(own)
    assert agreed == steady_threshold(slides)


def test_a_slide_is_scored_as_a_run_would_score_it() -> None:
    low, high = a_slide([0.3, 0.3, 0.2], [0.1]), a_slide([0.9, 0.9, 0.8], [0.1])
    by_detector = np.array([0.4, 0.4, 0.9, 0.9])  # of those that reach the threshold the first two count
    shift = 2 / (2 + 5) * (0.5 - float(log_odds(0.4)))
    raised_scores = Ranked(low, by_detector).levelled(0.25, 0.5).predicted[:, 3].tolist()
    assert raised_scores == pytest.approx([raised(score, shift) for score in low.predicted[:, 3].tolist()])
    unchanged = Ranked(high, high.predicted[:, 3]).levelled(0.25, 0.5)
    assert np.array_equal(unchanged.predicted, high.predicted)
    assert low.predicted[0, 3] == 0.3


def test_what_nobody_outlined_is_ignored_where_it_is_listed(tmp_path: Path) -> None:
    row = {f"p_{name}": 0.0 for name in ("obsolescent", "solidified", "disappearing", "nonglomerular")}
    row |= {"p_normal": 1.0, "x": 300.0, "y": 300.0, "radius": 40.0, "det_score": 0.8}
    ring = [[100.0, 60.0], [140.0, 100.0], [100.0, 140.0], [60.0, 100.0], [100.0, 60.0]]
    one = {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring]}, "properties": {}}
    one["properties"] = {"classification": {"name": "glomerulus"}}
    (tmp_path / "a.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [one]}))
    listed = {"a.tif": np.array([[300.0, 300.0, 42.0]]), "b.tif": np.array([[100.0, 100.0, 40.0]])}
    precisions = [
        at_threshold([ranked([row], truth_of(name, tmp_path, known), "product", 0.98).image], 0.5).precision
        for name, known in (("a.tif", {}), ("a.tif", listed), ("folder/a.tif", listed))
    ]
    assert precisions[0] == 0.0
    assert np.isnan(precisions[1:]).all()
    assert len(truth_of("a.tif", tmp_path, listed).truth) == 1


def test_what_both_choose_goes_on_the_detectors_card(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    right, wrong = (100.0, 0.7, 0.02), (400.0, 0.3, 0.9)  # x, det_score, p_nonglomerular
    rows = []
    for x, det_score, none in (right, wrong):
        row = {column.name: "" for column in CIRCLES} | {"slide": "a.tif", "x": x, "y": 100.0, "radius": 40.0}
        row |= dict.fromkeys(PROBABILITY_COLUMNS, 0.0)
        row |= {"det_score": det_score, "score": det_score, "class": "normal", "p_sclerosed": 0.0, "votes": 1}
        row |= {"p_normal": 1 - none, "p_nonglomerular": none}
        rows.append(row | {name: 1.0 for name in row if name.startswith("crop_")})
    table = tmp_path / "out" / "slides" / "a.tif" / "circles.csv"
    table.parent.mkdir(parents=True)
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    ring = [[100.0, 60.0], [140.0, 100.0], [100.0, 140.0], [60.0, 100.0], [100.0, 60.0]]
    one = {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring]}}
    one["properties"] = {"classification": {"name": "glomerulus"}}
    (tmp_path / "a.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [one]}))
    models = repository / "models"
    shutil.copytree(
        models / "detector", tmp_path / "detector", ignore=shutil.ignore_patterns("*.safetensors")
    )
    given = ["choose_rule", str(tmp_path / "out"), str(tmp_path), "--detector", str(tmp_path / "detector")]
    monkeypatch.setattr("sys.argv", given)
    with pytest.raises(SystemExit):
        main()
    assert "name the classifier with --classifier" in capsys.readouterr().err
    monkeypatch.setattr("sys.argv", [*given, "--classifier", str(models / "classifier")])
    main()
    assert len(capsys.readouterr().out.splitlines()) == 3, "the classifier's own rule alone"
    before, after = (read_card(folder / "detector" / "card.json") for folder in (models, tmp_path))
    assert after.threshold == pytest.approx(0.7)
    assert after.kept_log_odds == pytest.approx(float(log_odds(0.7)))
    assert replace(after, threshold=before.threshold, kept_log_odds=before.kept_log_odds) == before
