"""Cross-validation of a training: each fold's weights on the patients they never saw, and all of them together."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gloinone.evaluation.tables import NAN, Cell, Evaluation, Score, Table, scored
from gloinone.learning.answers import Answers, Measure, join_answers, load_answers, save_answers

ANSWERS = "answers.npz"
POOLED, MEAN = "all folds pooled", "mean of the folds"
Say = Callable[[str], None]


@dataclass(frozen=True)
class CrossValidation:
    """What is trained again and again."""

    folds: Mapping[str, frozenset[str]]
    """Name -> patients left out."""
    learn: Callable[[frozenset[str], Path], Answers]
    """Trains in a folder without these patients, and asks the weights about them."""
    measures: Callable[[Answers], list[Measure]]
    identity: str
    """Same for the same data and settings: no fold's answers are taken up by another training."""


def cross_validate(work: CrossValidation, out: Path, say: Say) -> Evaluation:
    """Each fold in its own folder of ``out``; one that is finished is not done again."""
    answers = {}
    for name, patients in work.folds.items():
        path = out / name / ANSWERS
        identity = hashlib.sha256("\n".join([work.identity, *sorted(patients)]).encode()).hexdigest()
        found = load_answers(path, identity)
        say(f"{name}: {len(patients)} patients left out" + ("; was done before" if found else ""))
        if found is None:
            found = work.learn(patients, path.parent)
            save_answers(path, found, identity)
        answers[name] = found
    return fold_table(answers, work.measures)


def fold_table(answers: Mapping[str, Answers], measures: Callable[[Answers], list[Measure]]) -> Evaluation:
    """A row for each fold, their mean, and all items together, each scored by weights that never saw it."""
    folds = {name: _scores(found, measures) for name, found in answers.items()}
    pooled = join_answers(list(answers.values()))
    last = _scores(pooled, measures)
    known = [i for i, score in enumerate(last) if np.isfinite(score.value)]
    rows = [_row(name, answers[name], [scores[i] for i in known]) for name, scores in folds.items()]
    means = [[scores[i].value for scores in folds.values() if np.isfinite(scores[i].value)] for i in known]
    mean = [Score("", float(np.mean(values)) if values else NAN, NAN, NAN) for values in means]
    rows += [_row(MEAN, pooled, mean), _row(POOLED, pooled, [last[i] for i in known])]
    columns = ["fold", "patients", "items"]
    for i in known:
        columns += [last[i].name, "low", "high"]
    return Evaluation(
        "Cross-validation",
        (Table("folds", "Scores of each fold on patients left out", tuple(columns), tuple(rows)),),
        ("low and high: 95 % bootstrap interval over patients; pooled scores mix the weights of all folds",),
    )


def _scores(answers: Answers, measures: Callable[[Answers], list[Measure]]) -> list[Score]:
    return [_scored(measure, answers.patients) for measure in measures(answers)]


def _scored(measure: Measure, patients: Sequence[str]) -> Score:
    own = measure.items
    if not len(own):
        return Score(measure.what, NAN, NAN, NAN)
    return scored(measure.what, lambda drawn: measure.score(own[drawn]), [patients[i] for i in own])


def _row(name: str, answers: Answers, scores: Sequence[Score]) -> tuple[Cell, ...]:
    numbers = [value for score in scores for value in (score.value, score.low, score.high)]
    return (name, len(set(answers.patients)), len(answers.patients), *numbers)
