"""Found, named and counted, against cases worked by hand."""

import pytest

from gloinone.annotations.region import Region
from gloinone.evaluation.planted import check_planted
from gloinone.geometry import circle_ring


def _planted(x: float, label: str) -> Region:
    return Region(circle_ring(x, 0, 50), label=label)


def _row(x: float, label: str, score: float = 0.9, radius: float = 50) -> dict[str, str | float]:
    return {"x": x, "y": 0.0, "radius": radius, "score": score, "class": label}


TRUTH = [
    _planted(0, "normal"),
    _planted(1000, "obsolescent"),
    _planted(2000, "solidified"),
    _planted(3000, "normal"),
    _planted(4000, "non-glomerular"),
]


def test_all_found_and_rightly_named() -> None:
    rows = [_row(0, "normal"), _row(1000, "obsolescent"), _row(2000, "solidified"), _row(3000, "normal")]
    check = check_planted(rows, TRUTH)
    assert (check.found, check.false) == (4, 0)
    assert check.recall == check.precision == check.state_agreement == check.class_agreement == 1
    assert check.planted == {"normal": 2, "obsolescent": 1, "solidified": 1, "disappearing": 0}


def test_missed_false_and_misnamed() -> None:
    rows = [
        _row(10, "normal"),
        _row(1000, "solidified"),  # sclerosed, but of another kind
        _row(2000, "normal"),  # not even that
        _row(4000, "normal"),  # a decoy
        _row(9000, "normal"),  # nothing there
    ]
    check = check_planted(rows, TRUTH)
    assert (check.found, check.false) == (3, 2)
    assert check.recall == pytest.approx(3 / 4)
    assert check.precision == pytest.approx(3 / 5)
    assert check.state_agreement == pytest.approx(2 / 3)
    assert check.class_agreement == pytest.approx(1 / 3)
    assert check.found_of("normal") == 1


def test_the_second_circle_on_one_glomerulus_is_false() -> None:
    check = check_planted([_row(0, "obsolescent", 0.5), _row(5, "normal", 0.8)], TRUTH)
    assert check.named == {("normal", "normal"): 1}  # the better score takes it
    assert check.false == 1


def test_a_circle_of_the_wrong_size_does_not_count() -> None:
    assert check_planted([_row(0, "normal", radius=100)], TRUTH).found == 0


def test_non_glomerular_rows_are_left_out() -> None:
    check = check_planted([_row(4000, "non-glomerular")], TRUTH)
    assert (check.found, check.false) == (0, 0)


def test_nothing_planted_and_nothing_found() -> None:
    check = check_planted([], [])
    assert check.recall == check.precision == check.class_agreement == check.state_agreement == 1
    assert check.false == 0
