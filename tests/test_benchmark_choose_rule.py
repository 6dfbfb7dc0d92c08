"""The threshold for the card is one that slides agree on, and the same each time."""

import numpy as np
import pytest

from benchmarks.choose_rule import Ranked, steady_threshold
from gloinone.levelling import log_odds, raised
from gloinone.metrics import CircleImage, best_f1

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
