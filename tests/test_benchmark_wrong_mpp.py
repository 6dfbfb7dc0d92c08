"""The table of wrong resolutions: within its bounds, the same for the same seed, nothing else changed."""

import numpy as np

from benchmarks.wrong_mpp import HIGHEST, LOWEST, wrong

ROWS = [{"slide": f"{i}.jpg", "mpp": "0.5", "patient": f"p{i}"} for i in range(200)]


def test_each_slide_is_wrong_in_its_own_way() -> None:
    factors = np.array([float(row["mpp"]) / 0.5 for row in wrong(ROWS, 0)])
    assert LOWEST <= factors.min() < 0.75
    assert 1.3 < factors.max() <= HIGHEST
    assert len(set(factors)) > 190
    assert abs(np.log(factors).mean()) < 0.05


def test_a_seed_says_it_all_and_the_rest_stays() -> None:
    first = list(wrong(ROWS, 3))
    assert first == list(wrong(ROWS, 3))
    assert first != list(wrong(ROWS, 4))
    assert [{**row, "mpp": "0.5"} for row in first] == ROWS
