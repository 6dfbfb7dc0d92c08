"""How sure a detector is of a slide, and what its scores become."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gloinone.levelling import MOST, PRIOR_CIRCLES, Level, kept_log_odds, log_odds, raised, shift_of

SCORES = st.lists(st.floats(0, 1), max_size=30)
SHIFTS = st.floats(0, MOST)


def test_only_what_reaches_the_threshold_says_how_sure_a_detector_is() -> None:
    assert kept_log_odds([0.5, 0.5, 0.2, 0.01], 0.25) == pytest.approx(0.0)
    assert kept_log_odds([0.25, 0.1], 0.25) == pytest.approx(math.log(1 / 3))
    assert kept_log_odds([0.1], 0.25) is None
    assert kept_log_odds([], 0.25) is None


def test_a_few_low_circles_raise_less_than_many() -> None:
    usual = Level(0.25, 0.0)
    own = math.log(0.3 / 0.7)
    for count in (1, 5, 100):
        expected = -own * count / (count + PRIOR_CIRCLES)
        assert shift_of([0.3] * count + [0.1] * 9, usual) == pytest.approx(expected)
    assert shift_of([0.3] * 500, Level(0.25, 5.0)) == MOST


def test_a_slide_of_usual_or_higher_scores_stays_as_it_is() -> None:
    assert shift_of([0.5] * 9, Level(0.25, 0.0)) == 0.0
    assert shift_of([0.9] * 9, Level(0.25, 0.0)) == 0.0
    assert shift_of([0.2] * 9, Level(0.25, 0.0)) == 0.0  # nothing is found, so nothing is known of it


def test_at_a_raised_score_the_odds_are_those_of_the_shift() -> None:
    assert log_odds(raised(0.3, 0.7)) - log_odds(0.3) == pytest.approx(0.7)


@given(SCORES, SHIFTS)
def test_raising_keeps_order_and_range(scores: list[float], shift: float) -> None:
    after = [raised(score, shift) for score in sorted(scores)]
    assert after == sorted(after)
    assert all(0 <= score <= new <= 1 + 1e-12 for score, new in zip(sorted(scores), after, strict=True))


@given(SCORES, st.floats(0, 1), st.floats(-5, 5))
def test_no_slide_is_raised_by_more_than_is_lacking(
    scores: list[float], threshold: float, usual: float
) -> None:
    shift = shift_of(scores, Level(threshold, usual))
    assert 0 <= shift <= MOST
    kept = log_odds([s for s in scores if s >= threshold])
    if shift:
        assert np.mean(kept) + shift <= usual + 1e-9
