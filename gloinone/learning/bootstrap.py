"""How sure a score is: whole patients are drawn again and again, since crops of one patient are alike."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

ROUNDS = 500


def share_interval(
    hits: NDArray[np.float64], totals: NDArray[np.float64], seed: int = 0
) -> tuple[float, float]:
    """95 % percentile interval of sum(hits) / sum(totals), (N,) each, over draws of the N items with replacement.

    As ``interval`` of groups of one; (nan, nan) without totals.
    """
    drawn = np.random.default_rng(seed).integers(len(totals), size=(ROUNDS, len(totals)))
    sums = totals[drawn].sum(axis=1)
    shares = hits[drawn].sum(axis=1)[sums > 0] / sums[sums > 0]
    if not len(shares):
        return float("nan"), float("nan")
    low, high = np.quantile(shares, [0.025, 0.975])
    return float(low), float(high)


def interval(
    score: Callable[[NDArray[np.intp]], float], groups: Sequence[str], seed: int = 0
) -> tuple[float, float]:
    """95 % percentile interval of ``score`` of item numbers, over draws of groups with replacement.

    Draws whose score is nan (one class only, say) do not count; (nan, nan) if none is left, and of a single group,
    whose draws are all the same.
    """
    names = sorted(set(groups))
    if len(names) < 2:
        return float("nan"), float("nan")
    members = [np.flatnonzero([group == name for group in groups]) for name in names]
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(ROUNDS):
        drawn = rng.integers(len(names), size=len(names))
        values.append(score(np.concatenate([members[i] for i in drawn])))
    finite = np.array([v for v in values if np.isfinite(v)])
    if not len(finite):
        return float("nan"), float("nan")
    low, high = np.quantile(finite, [0.025, 0.975])
    return float(low), float(high)
