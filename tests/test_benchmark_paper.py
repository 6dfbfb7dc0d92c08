"""The tables of the paper on invented crops: whose labels are drawn, that nothing leaks, and the commands' output."""

import csv
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks import paper_labels, paper_outlines
from benchmarks.paper_labels import Plan, Set, confusion_table, draw_labels, label_tables, probe, probed
from gloinone.errors import UsageError
from gloinone.evaluation.levels import STATE, Level
from gloinone.training.crop_patches import read_crop_folder

THREE = Level("three", {"a": ("a",), "b": ("b",), "c": ("c",)}, (), "a, b or c")


def a_set(count: int, gap: float, name: str) -> Set:
    """Two clouds of points, so far apart; two crops a patient."""
    rng = np.random.default_rng(count)
    truth = np.arange(count) % 2
    features = rng.normal(size=(count, 4)) + gap * truth[:, None]
    return Set(STATE, features, truth, tuple(f"{name}{i // 4}" for i in range(count)))


def test_labels_are_drawn_of_every_class() -> None:
    truth = np.repeat([0, 1, 2], [80, 20, 2])
    for percent, counts in ((100, (80, 20, 2)), (25, (20, 5, 1)), (1, (1, 1, 1))):
        chosen = draw_labels(truth, percent, np.random.default_rng(0))
        assert tuple(np.bincount(truth[chosen])) == counts


def test_a_class_without_labels_is_called_by_nobody_and_counts_as_missed() -> None:
    features = np.repeat(np.eye(3), 10, axis=0)
    everything = Set(THREE, features, np.repeat([0, 1, 2], 10), tuple("ab" * 15))
    (found,) = probe(everything.take(np.arange(10, 30)), [everything])
    assert found.shape == (30, 3)
    assert (found[:, 0] == 0).all()
    calls = everything.called(found)
    assert calls.balanced_accuracy() == pytest.approx(2 / 3)
    assert calls.confusion()[1:, 1:].tolist() == [[10, 0], [0, 10]]
    table = confusion_table("x", calls.take(np.arange(10, 30)))
    assert table.rows == (("b", 0, 10, 0), ("c", 0, 0, 10))  # no row for what does not occur


def test_what_can_be_told_is_told_and_more_labels_tell_more() -> None:
    folds = [frozenset(f"p{i}" for i in range(n, 25, 5)) for n in range(5)]
    inside, outside = a_set(100, 1.5, "p"), a_set(60, 1.5, "q")
    results = {p: probed(inside, outside, folds, p, Plan()) for p in (100, 5)}
    rows = {p: result.cells() for p, result in results.items()}
    assert (rows[100][0], rows[5][0]) == (80, 4)
    assert rows[100][1] > 0.9 > rows[5][1] > 0.5
    assert rows[100][2] < rows[100][1] < rows[100][3]
    assert rows[100][7] > 0.97
    assert (results[100].inside.confusion().sum(), results[5].inside.confusion().sum()) == (100, 500)
    nothing = replace(inside, features=np.random.default_rng(1).normal(size=(100, 4)))
    assert 0.3 < float(probed(nothing, outside, folds, 100, Plan()).cells()[1]) < 0.7


@pytest.fixture(scope="module")
def crops(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Dark ones are sclerosed; two crops of each of six slides of two centres."""
    folder = tmp_path_factory.mktemp("crops")
    (folder / "masks").mkdir()
    rng = np.random.default_rng(0)
    lines = ["name,slide,centre,label"]
    for i in range(12):
        picture = rng.integers(0, 100, (64, 64, 3), np.uint8) + np.uint8(100 * (i % 2))
        cv2.imwrite(str(folder / f"{i}.png"), picture)
        mask = cv2.circle(np.zeros((64, 64), np.uint8), (32, 32), 28, 255, -1)
        cv2.imwrite(str(folder / "masks" / f"{i}.png"), mask)
        lines.append(f"{i},slide{i // 2},centre{i // 8},{'normal' if i % 2 else 'sclerosed'}")
    (folder / "labels.csv").write_text("\n".join(lines), "utf-8")
    return folder


def test_the_label_table(crops: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = [
        "--crops",
        crops,
        "--labels",
        crops / "labels.csv",
        "--outside",
        "centre1",
        "--out",
        tmp_path,
    ]
    arguments += ["--start", "scratch=none", "--backbone", "resnet18", "--edge", 32]
    arguments += ["--fractions", 100, 25, "--folds", 2, "--draws", 2, "--threads", 1]
    monkeypatch.setattr(sys, "argv", ["paper_labels", *map(str, arguments)])
    paper_labels.main()
    with (tmp_path / "labels.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["start"], row["labels %"], row["labels"]) for row in rows] == [
        ("scratch", "100", "4"),
        ("scratch", "25", "2"),
    ]
    assert float(rows[0]["left-out AUC"]) == 1  # black from white
    assert "| scratch | 100 | 4 |" in (tmp_path / "scores.md").read_text("utf-8")
    patches = read_crop_folder(crops, crops / "labels.csv", None)
    with pytest.raises(UsageError, match="the centres are centre0, centre1"):
        label_tables(patches, STATE, "nowhere", {}, ("resnet18", 32), Plan())


def test_the_outline_table(crops: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    more = ["--crops", crops, "--masks", crops / "masks", "--folds", 2, "--init", "none", "--val", "none"]
    more += ["--steps", 1, "--batch-size", 2, "--encoder", "resnet18", "--device", "cpu", "--threads", 1]
    arguments = ["--arch", "unet", "--edge", 32, "--out", tmp_path, "--", *more]
    monkeypatch.setattr(sys, "argv", ["paper_outlines", *map(str, arguments)])
    paper_outlines.main()
    with (tmp_path / "outlines.csv").open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["network"], row["input px"], row["outlines"]) == ("unet", "32", "12")
    assert 0 <= float(row["mean Dice"]) <= 1
