"""How sure a detector is of a slide, and what its scores become."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gloinone.levelling import MOST, PRIOR_CIRCLES, log_odds, mean_log_odds, raised, shift_of

SCORES = st.lists(st.floats(0, 1), max_size=30)
SHIFTS = st.floats(0, MOST)


def always(kept: list[float]) -> Callable[[float], list[float]]:
    """So many are kept, whatever is raised."""
    return lambda shift: kept


def test_how_sure_a_detector_is_of_what_is_kept() -> None:
    assert mean_log_odds([0.5, 0.5]) == pytest.approx(0.0)
    assert mean_log_odds([0.25, 0.5]) == pytest.approx(math.log(1 / 3) / 2)
    assert mean_log_odds([]) is None


def test_a_few_low_circles_raise_less_than_many() -> None:
    own = math.log(0.3 / 0.7)
    for count in (1, 5, 100):
        expected = -own * count / (count + PRIOR_CIRCLES)
        assert shift_of(always([0.3] * count), 0.0) == pytest.approx(expected)
    assert shift_of(always([0.3] * 500), 5.0) == MOST


def test_what_is_kept_once_scores_are_raised_counts_too() -> None:
    scores = [0.4] * 15 + [0.25] * 15
    asked: list[float] = []

    def kept_at(shift: float) -> list[float]:
        asked.append(shift)
        return [score for score in scores if raised(score, shift) >= 0.33]

    first = 15 / 20 * -float(log_odds(0.4))
    assert raised(0.25, first) < 0.33
    assert shift_of(kept_at, 0.0) == pytest.approx(first)  # the lower ones stay out of reach
    assert asked == [0.0, pytest.approx(first)]
    usual = 0.2
    first = 15 / 20 * (usual - float(log_odds(0.4)))
    assert raised(0.25, first) >= 0.33
    both = 30 / 35 * (usual - (float(log_odds(0.4)) + float(log_odds(0.25))) / 2)
    assert shift_of(kept_at, usual) == pytest.approx(both)
    assert first < both < MOST


def test_circles_of_which_the_detector_is_surer_lower_no_shift() -> None:
    """What is kept is chosen by score, and what counts is `det_score`."""
    first = 15 / 20 * -float(log_odds(0.4))
    for more in ([0.9] * 40, []):
        assert shift_of(lambda shift, more=more: [0.4] * 15 + more if not shift else more, 0.0) <= MOST
        assert shift_of(lambda shift, more=more: more if shift else [0.4] * 15, 0.0) == pytest.approx(first)


def test_a_slide_of_usual_or_higher_scores_stays_as_it_is() -> None:
    assert shift_of(always([0.5] * 9), 0.0) == 0.0
    assert shift_of(always([0.9] * 9), 0.0) == 0.0
    assert shift_of(always([]), 0.0) == 0.0  # nothing is kept, so nothing is known of it


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
    shift = shift_of(always(kept), usual)
    assert 0 <= shift <= MOST
    if shift:
        assert np.mean(log_odds(kept)) + shift <= usual + 1e-9
