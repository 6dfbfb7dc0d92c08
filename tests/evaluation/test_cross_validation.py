"""Folds that are done once, and the table of their scores; then all three trainings through the command line."""

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

from gloinone.cli.main import program
from gloinone.detection.answers import measures_of
from gloinone.errors import UsageError
from gloinone.evaluation.folds import CrossValidation, cross_validate
from gloinone.learning.answers import Answers, Measure
from gloinone.weights.card import read_card

VALUES = {"p": [1.0, 1.0], "q": [0.0], "r": [0.5], "s": [0.5, np.nan]}
FOLDS = {"fold-1": frozenset({"p", "q"}), "fold-2": frozenset({"r", "s"})}


def mean_of(answers: Answers) -> list[Measure]:
    values = np.concatenate(answers.tables["v"])[:, 0]
    known = np.flatnonzero(np.isfinite(values))
    return [
        Measure("mean", known, lambda i: float(values[i].mean())),
        Measure("never known", known[:0], lambda i: float(values[i].mean())),
    ]


def learner(done: list[str]) -> Callable[[frozenset[str], Path], Answers]:
    def learn(patients: frozenset[str], folder: Path) -> Answers:
        if done and done[-1] == "stop":
            raise KeyboardInterrupt
        done.append(folder.name)
        items = [(p, v) for p in sorted(patients) for v in VALUES[p]]
        tables = {"v": tuple(np.array([[v]]) for _, v in items)}
        return Answers(tuple(p for p, _ in items), ("",) * len(items), tables)

    return learn


def test_a_finished_fold_is_not_done_again(tmp_path: Path) -> None:
    done: list[str] = []
    work = CrossValidation(FOLDS, learner(done), mean_of, "settings")

    def stop(line: str) -> None:
        if line.startswith("fold-2"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cross_validate(work, tmp_path, stop)
    said: list[str] = []
    first = cross_validate(work, tmp_path, said.append)
    assert done == ["fold-1", "fold-2"]
    assert said == ["fold-1: 2 patients left out; was done before", "fold-2: 2 patients left out"]
    assert cross_validate(work, tmp_path, said.append).markdown() == first.markdown()
    assert done == ["fold-1", "fold-2"]
    with pytest.raises(UsageError, match="of other data or settings"):
        cross_validate(replace(work, identity="other"), tmp_path, said.append)


def test_the_table_by_hand(tmp_path: Path) -> None:
    (table,) = cross_validate(CrossValidation(FOLDS, learner([]), mean_of, ""), tmp_path, print).tables
    assert table.columns == ("fold", "patients", "items", "mean", "low", "high")
    rows = {row[0]: row[1:] for row in table.rows}
    assert rows["fold-1"][:3] == (2, 3, pytest.approx(2 / 3))
    assert rows["fold-2"][:3] == (2, 3, pytest.approx(0.5))
    assert rows["mean of the folds"][2] == pytest.approx((2 / 3 + 0.5) / 2)
    assert rows["all folds pooled"][:3] == (4, 6, pytest.approx(3 / 5))
    assert 0 < rows["all folds pooled"][3] < 3 / 5 < rows["all folds pooled"][4] < 1


def test_each_fold_of_a_detector_is_cut_at_its_own_threshold() -> None:
    true = np.array([[50.0, 50, 20]])
    found = np.array([[50.0, 50, 20, 0.4], [200, 200, 20, 0.3]])
    tables = {"found": (found,) * 3, "true": (true,) * 3, "ignored": (np.zeros((0, 3)),) * 3}
    facts = (np.array([[0.35, 1.0]]), np.array([[0.5, 1.0]]), np.array([[0.2, 0.0]]))  # the last is partial
    answers = Answers(("p", "q", "r"), ("",) * 3, {**tables, "facts": facts})
    scores = {m.what: (len(m.items), m.score(m.items)) for m in measures_of(answers)}
    assert scores["AP50"] == (2, 1.0)
    assert scores["recall at its threshold"] == (3, pytest.approx(2 / 3))
    assert scores["precision at its threshold"] == (2, 1.0)


def train(kind: str, out: Path, *more: str) -> Result:
    small = ["--steps", "1", "--batch-size", "2", "--edge", "32", "--threads", "1", "--device", "cpu"]
    return CliRunner().invoke(program, ["train", kind, "--init", "none", "--out", str(out), *small, *more])


@pytest.fixture(scope="module")
def crops(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two crops of each of six slides of two centres, with masks and names."""
    folder = tmp_path_factory.mktemp("crops")
    (folder / "masks").mkdir()
    rng = np.random.default_rng(0)
    lines = ["name,slide,centre,label"]
    for i in range(12):
        cv2.imwrite(str(folder / f"{i}.png"), rng.integers(0, 255, (64, 64, 3), np.uint8))
        mask = cv2.circle(np.zeros((64, 64), np.uint8), (32, 32), 28, 255, -1)
        cv2.imwrite(str(folder / "masks" / f"{i}.png"), mask)
        label = "normal" if i % 2 else "sclerosed"
        lines.append(f"{i},slide{i // 2},centre{i // 6},{label}")
    (folder / "labels.csv").write_text("\n".join(lines), "utf-8")
    return folder


def rows_of(out: Path) -> list[dict[str, str]]:
    with (out / "folds.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_folds_of_a_classifier(crops: Path, tmp_path: Path) -> None:
    given = ("--crops", str(crops), "--labels", str(crops / "labels.csv"), "--backbone", "resnet18")
    result = train("classifier", tmp_path, *given, "--folds", "source")
    assert result.exit_code == 0, result.output
    rows = rows_of(tmp_path)
    names = ["without-centre0", "without-centre1", "mean of the folds", "all folds pooled"]
    assert [row["fold"] for row in rows] == names
    assert rows[3]["patients"] == "6"
    assert rows[3]["items"] == "12"
    assert rows[3]["AUC sclerosed vs normal"]
    assert "AUC glomerulus vs none" not in rows[0]  # nothing here is none
    assert "| all folds pooled | 6 | 12 |" in (tmp_path / "scores.md").read_text("utf-8")
    card = read_card(tmp_path / "without-centre0" / "card.json")
    assert card.split.endswith("test, never trained on: slide0, slide1, slide2; left out: none")
    assert card.training_data == (
        "centre1: normal 2",
        "centre1: sclerosed 2",
    )  # a fifth of three patients is one
    again = train("classifier", tmp_path, *given, "--folds", "source")
    assert again.output.count("was done before") == 2
    refused = train("classifier", tmp_path / "x", *given, "--folds", "2", "--val", "slide0")
    assert refused.exit_code == 2
    assert "--folds says itself who is held out" in refused.output


def test_folds_of_a_segmenter(crops: Path, tmp_path: Path) -> None:
    given = ("--crops", str(crops), "--masks", str(crops / "masks"), "--encoder", "resnet18", "--val", "none")
    result = train("segmenter", tmp_path, *given, "--folds", "2")
    assert result.exit_code == 0, result.output
    rows = rows_of(tmp_path)
    assert [row["fold"] for row in rows[:2]] == ["fold-1", "fold-2"]
    assert 0 <= float(rows[3]["mean Dice per glomerulus"]) <= 1
    assert sum(int(row["items"]) for row in rows[:2]) == 12
