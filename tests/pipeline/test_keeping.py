"""Which circles become glomeruli: good enough, and none inside another."""

import numpy as np
import pytest

from gloinone.labels import NONGLOMERULAR, NORMAL
from gloinone.pipeline.keeping import is_kept, kept_places
from gloinone.records import Candidate, Detection, Window

WINDOW = Window(0, 0, 100, 100, 100, 100)


def candidate(x: float, radius: float, score: float, label: str = NORMAL) -> Candidate:
    return Candidate(Detection(x, 50, radius, score), (0.2,) * 5, score, label, WINDOW)


def test_of_two_circles_one_in_the_other_the_better_is_counted() -> None:
    large, small = candidate(100, 60, 0.9), candidate(120, 30, 0.8)
    assert kept_places([large, small], 0.3, False) == [0]
    assert kept_places([candidate(120, 30, 0.95), large], 0.3, False) == [0]
    assert kept_places([large, small], 0.85, False) == [0]
    assert kept_places([candidate(100, 60, 0.4), small], 0.5, False) == [1]


def test_neighbours_that_touch_are_two() -> None:
    assert kept_places([candidate(100, 60, 0.9), candidate(190, 40, 0.8)], 0.3, False) == [0, 1]


def test_what_is_none_takes_no_glomerulus_away() -> None:
    inside = [candidate(100, 60, 0.9, NONGLOMERULAR), candidate(120, 30, 0.5)]
    assert kept_places(inside, 0.3, keep_nonglomerular=False) == [1]
    assert kept_places(inside, 0.3, keep_nonglomerular=True) == [1]


def test_the_order_is_that_of_the_candidates() -> None:
    rng = np.random.default_rng(0)
    many = [candidate(float(300 * i), 50, float(rng.random())) for i in range(30)]
    assert kept_places(many, 0.5, False) == [i for i, one in enumerate(many) if is_kept(one, 0.5, False)]
    assert kept_places([], 0.5, False) == []


@pytest.mark.parametrize(("share", "kept"), [(0.6, [0, 1]), (0.8, [0])])
def test_how_much_of_the_smaller_may_lie_in_the_larger(share: float, kept: list[int]) -> None:
    """Of a large circle's straight edge, nearly: the smaller one's share follows from how far it reaches over."""
    reach = {0.6: 0.158, 0.8: 0.492}[share]  # of its radius, its centre lies inside
    assert kept_places([candidate(0, 3000, 0.9), candidate(3000 - 30 * reach, 30, 0.8)], 0.3, False) == kept
