"""The tables of the paper on invented crops: whose labels are drawn, that nothing leaks, and the commands' output."""

import csv
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks import paper_labels, paper_outlines
from benchmarks.paper_labels import Plan, Set, draw_labels, label_table, macro_f1, probed
from gloinone.errors import UsageError
from gloinone.training.crop_patches import read_crop_folder


def a_set(count: int, gap: float, name: str) -> Set:
    """Two clouds of points, so far apart; two crops a patient."""
    rng = np.random.default_rng(count)
    is_sclerosed = np.arange(count) % 2 == 1
    features = rng.normal(size=(count, 4)) + gap * is_sclerosed[:, None]
    return Set(features, is_sclerosed, tuple(f"{name}{i // 4}" for i in range(count)))


def test_labels_are_drawn_of_either_class() -> None:
    is_sclerosed = np.arange(100) < 20
    for percent, counts in ((100, (80, 20)), (25, (20, 5)), (1, (1, 1))):
        chosen = draw_labels(is_sclerosed, percent, np.random.default_rng(0))
        assert ((~is_sclerosed[chosen]).sum(), is_sclerosed[chosen].sum()) == counts


def test_macro_f1_by_hand() -> None:
    called, truth = np.array([1, 1, 0, 0, 0]) > 0, np.array([1, 0, 1, 0, 0]) > 0
    assert macro_f1(called, truth) == pytest.approx((2 / 4 + 4 / 6) / 2)
    assert np.isnan(macro_f1(called[:1], truth[:1]))


def test_what_can_be_told_is_told_and_more_labels_tell_more() -> None:
    folds = [frozenset(f"p{i}" for i in range(n, 25, 5)) for n in range(5)]
    inside, outside = a_set(100, 1.5, "p"), a_set(60, 1.5, "q")
    rows = {p: probed(inside, outside, folds, p, Plan()) for p in (100, 5)}
    assert (rows[100][0], rows[5][0]) == (80, 4)
    assert rows[100][1] > 0.9 > rows[5][1] > 0.5
    assert rows[100][2] < rows[100][1] < rows[100][3]
    assert rows[100][7] > 0.97
    nothing = replace(inside, features=np.random.default_rng(1).normal(size=(100, 4)))
    assert 0.3 < probed(nothing, outside, folds, 100, Plan())[1] < 0.7


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
        label_table(patches, "nowhere", {}, ("resnet18", 32), Plan())


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
