"""Folds of patients and of sources, and answers that are kept on disk."""

from pathlib import Path

import numpy as np
import pytest

from gloinone.errors import UsageError
from gloinone.learning.answers import Answers, join_answers, load_answers, save_answers
from gloinone.learning.folds import folds_of
from gloinone.learning.holdout import Origins, out_of

PATIENTS = [f"a{i}" for i in range(6)] + [f"b{i}" for i in range(3)]
ORIGINS = Origins(PATIENTS * 2, [f"{p}-{n}" for n in (1, 2) for p in PATIENTS], [p[0] for p in PATIENTS] * 2)


def test_every_patient_is_left_out_once_and_sources_are_dealt_out() -> None:
    folds = folds_of(ORIGINS, "3")
    assert list(folds) == ["fold-1", "fold-2", "fold-3"]
    assert sorted(p for own in folds.values() for p in own) == sorted(PATIENTS)
    assert [sorted(p[0] for p in own) for own in folds.values()] == [["a", "a", "b"]] * 3
    backwards = Origins(ORIGINS.patients[::-1], ORIGINS.slides[::-1], ORIGINS.sources[::-1])
    assert folds_of(backwards, "3") == folds
    is_out = out_of(ORIGINS, folds["fold-1"], "--folds")
    assert is_out.sum() == 6


def test_every_source_is_left_out_once() -> None:
    assert {name: len(own) for name, own in folds_of(ORIGINS, "source").items()} == {
        "without-a": 6,
        "without-b": 3,
    }
    odd = Origins(["p", "q"], ["p", "q"], ["../a b", "c"])
    assert list(folds_of(odd, "source")) == ["without-.._a_b", "without-c"]
    alike = Origins(["p", "q", "r"], ["p", "q", "r"], ["Site 1", "Site_1", "c"])
    assert sorted(p for own in folds_of(alike, "source").values() for p in own) == ["p", "q", "r"]


def test_a_patient_called_as_anothers_slide_stays_with_its_own_fold() -> None:
    crossed = Origins(["1", "2"], ["2", "1"], ["s", "s"])
    assert out_of(crossed, {"1"}, "--folds").tolist() == [True, False]


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("1", r"--folds 1: give a number from 2 to that of the patients \(9\)"),
        ("10", "from 2 to"),
        ("many", "or source"),
    ],
)
def test_numbers_that_cannot_be(how: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        folds_of(ORIGINS, how)


def test_sources_that_cannot_be_left_out() -> None:
    with pytest.raises(UsageError, match=r"all is of one source \(s\)"):
        folds_of(Origins(["p", "q"], ["p", "q"], ["s", "s"]), "source")
    with pytest.raises(UsageError, match="p in more than one source"):
        folds_of(Origins(["p", "p"], ["1", "2"], ["s", "t"]), "source")


def test_answers_come_back_as_they_were(tmp_path: Path) -> None:
    tables = (np.ones((2, 3)), np.zeros((0, 3)), np.full((1, 3), 7.0))
    answers = Answers(("p", "p", "q"), ("a", "b", "c"), {"found": tables})
    path = tmp_path / "fold-1" / "answers.npz"
    assert load_answers(path, "x") is None
    save_answers(path, answers, "x")
    again = load_answers(path, "x")
    assert again is not None
    assert (again.patients, again.labels) == (answers.patients, answers.labels)
    assert [t.tolist() for t in again.tables["found"]] == [t.tolist() for t in tables]
    assert len(join_answers([again, answers]).tables["found"]) == 6
    with pytest.raises(UsageError, match="of other data or settings"):
        load_answers(path, "y")
    with pytest.raises(ValueError, match="different numbers"):
        Answers(("p",), (), {})
