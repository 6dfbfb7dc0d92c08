"""The class rule and the score."""

import math

import pytest

from gloinone.labels import CLASSES, ClassRule, classify, combined_score


def test_the_rules_differ_where_sclerosis_is_split_over_its_kinds():
    split = (0.40, 0.25, 0.20, 0.10, 0.05)
    assert classify(split, ClassRule("hierarchy")) == "obsolescent"
    assert classify(split, ClassRule("argmax")) == "normal"


def test_non_glomerular_comes_first_and_its_cut_counts():
    p = (0.30, 0.05, 0.05, 0.0, 0.60)
    assert classify(p, ClassRule("hierarchy", nonglomerular_cut=0.6)) == "non-glomerular"
    assert classify(p, ClassRule("hierarchy", nonglomerular_cut=0.61)) == "normal"


def test_sclerosed_cut_is_relative_to_what_is_glomerular():
    p = (0.24, 0.0, 0.26, 0.0, 0.50)
    assert classify(p, ClassRule("hierarchy", 0.51, 0.52)) == "solidified"
    assert classify(p, ClassRule("hierarchy", 0.51, 0.53)) == "normal"


def test_certainly_non_glomerular_does_not_divide_by_zero():
    assert classify((0, 0, 0, 0, 1), ClassRule("hierarchy", nonglomerular_cut=1.5)) == "non-glomerular"


def test_refusals():
    with pytest.raises(ValueError, match="5 probabilities"):
        classify((0.5, 0.5), ClassRule())
    with pytest.raises(ValueError, match="unknown class rule"):
        ClassRule("vote")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="unknown score combination"):
        combined_score(0.5, (1, 0, 0, 0, 0), "sum")


def test_scores():
    p = (0.5, 0, 0, 0, 0.5)
    assert len(p) == len(CLASSES)
    assert combined_score(0.5, p, "detector") == 0.5
    assert combined_score(0.5, p, "product") == 0.25
    assert combined_score(0.5, p, "geometric") == 0.5
    assert combined_score(0.5, p, "damped") == pytest.approx(0.5 * 0.5**0.5)
    assert combined_score(0.5, p, "odds") == pytest.approx(1 / (1 + math.exp(3 / 4)))


def test_odds_trust_the_detector_where_a_glomerulus_is_certain_and_lower_it_where_none_is():
    scores = [
        combined_score(0.4, (1 - q, 0, 0, 0, q), "odds") for q in (0.0, 0.0001, 0.05, 0.1, 0.9, 0.9999, 1.0)
    ]
    assert scores[0] == scores[1] == pytest.approx(0.4)
    assert scores[-1] == scores[-2] == pytest.approx(1 / (1 + 1.5 * math.exp(1.5)))
    assert scores[1:-1] == sorted(set(scores[1:-1]), reverse=True)
    certain, none = (1.0, 0.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 0.0, 1.0)
    assert [combined_score(d, p, "odds") for d in (0.0, 1.0) for p in (certain, none)] == [0.0, 0.0, 1.0, 1.0]
