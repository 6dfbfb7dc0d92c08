"""How sure a detector is of a slide, and what its scores become."""

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gloinone.levelling import MOST, PRIOR_CIRCLES, log_odds, mean_log_odds, raised, shift_of

SCORES = st.lists(st.floats(0, 1), max_size=30)
SHIFTS = st.floats(0, MOST)


def test_how_sure_a_detector_is_of_what_is_kept() -> None:
    assert mean_log_odds([0.5, 0.5]) == pytest.approx(0.0)
    assert mean_log_odds([0.25, 0.5]) == pytest.approx(math.log(1 / 3) / 2)
    assert mean_log_odds([]) is None


def test_a_few_low_circles_raise_less_than_many() -> None:
    own = math.log(0.3 / 0.7)
    for count in (1, 5, 100):
        expected = -own * count / (count + PRIOR_CIRCLES)
        assert shift_of([0.3] * count, 0.0) == pytest.approx(expected)
    assert shift_of([0.3] * 500, 5.0) == MOST


def test_a_slide_of_usual_or_higher_scores_stays_as_it_is() -> None:
    assert shift_of([0.5] * 9, 0.0) == 0.0
    assert shift_of([0.9] * 9, 0.0) == 0.0
    assert shift_of([], 0.0) == 0.0  # nothing is kept, so nothing is known of it


def test_at_a_raised_score_the_odds_are_those_of_the_shift() -> None:
    assert log_odds(raised(0.3, 0.7)) - log_odds(0.3) == pytest.approx(0.7)


@given(SCORES, SHIFTS)
@example([0.9999999999999999], 0.25)
@example([5e-324, 1e-323], 1.0)
def test_raising_keeps_order_and_range(scores: list[float], shift: float) -> None:
    after = [raised(score, shift) for score in sorted(scores)]
    assert after == sorted(after)
    assert all(0 <= score <= new <= 1 for score, new in zip(sorted(scores), after, strict=True))


@given(SCORES, st.floats(-5, 5))
def test_no_slide_is_raised_by_more_than_is_lacking(kept: list[float], usual: float) -> None:
    shift = shift_of(kept, usual)
    assert 0 <= shift <= MOST
    if shift:
        assert np.mean(log_odds(kept)) + shift <= usual + 1e-9
