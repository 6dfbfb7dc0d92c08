"""How far two readings of the same things agree: Cohen's kappa, balanced accuracy, Bland and Altman's limits."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gloinone.metrics import Floats


def kappa(confusion: NDArray[np.intp]) -> float:
    """Agreement beyond chance (Cohen 1960) of a (K, K) table; nan where chance alone agrees fully, or for none.

    >>> round(kappa(np.array([[20, 5], [10, 15]])), 3)
    0.4
    """
    total = confusion.sum()
    if not total:
        return float("nan")
    chance = float((confusion.sum(axis=0) * confusion.sum(axis=1)).sum()) / float(total) ** 2
    same = float(np.trace(confusion)) / float(total)
    return (same - chance) / (1 - chance) if chance < 1 else float("nan")


def balanced_accuracy(confusion: NDArray[np.intp]) -> float:
    """Mean share of each row that lies on the diagonal, of rows that are not empty; nan for fewer than two of them."""
    rows = confusion.sum(axis=1)
    recalls = np.diag(confusion)[rows > 0] / rows[rows > 0]
    return float(recalls.mean()) if len(recalls) > 1 else float("nan")


class Limits(NamedTuple):
    """Of the differences of N pairs (Bland and Altman 1986)."""

    n: int
    bias: float
    """Mean difference."""
    low: float
    """Bias less 1.96 standard deviations; nan for fewer than two pairs."""
    high: float


def limits_of_agreement(differences: Floats) -> Limits:
    """Of (N,) differences; what is nan does not count.

    >>> limits_of_agreement(np.array([1.0, 3.0])).bias
    2.0
    """
    known = differences[np.isfinite(differences)]
    bias = float(known.mean()) if len(known) else float("nan")
    spread = 1.96 * float(known.std(ddof=1)) if len(known) > 1 else float("nan")
    return Limits(len(known), bias, bias - spread, bias + spread)
