"""Shipped against retrained weights on the same held-out patients: what differs, and whether that is shown."""

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gloinone.learning.bootstrap import interval
from gloinone.learning.whole import written_whole

COMPARISON = "comparison.csv"
MIN_PATIENTS = 5
"""Fewer show nothing: that all of four agree happens by chance in one of eight comparisons."""
Score = Callable[[NDArray[np.intp]], float]
"""Of item numbers."""


@dataclass(frozen=True)
class Compared:
    """One score of both weights on the same items."""

    what: str
    n: int
    """Items."""
    patients: int
    shipped: float
    retrained: float
    low: float
    """95 % interval of retrained minus shipped, over patients; nan of one patient."""
    high: float

    @property
    def verdict(self) -> str:
        """`better`, `worse`, or `no difference shown`."""
        if self.patients >= MIN_PATIENTS and (self.low > 0 or self.high < 0):
            return "better" if self.low > 0 else "worse"
        return "no difference shown"

    def __str__(self) -> str:
        few = f" (fewer than {MIN_PATIENTS} patients)" if self.patients < MIN_PATIENTS else ""
        known = f" ({self.low:+.3f} to {self.high:+.3f})" if np.isfinite([self.low, self.high]).all() else ""
        return (
            f"{self.what}: shipped {self.shipped:.3f}, retrained {self.retrained:.3f}, difference "
            f"{self.retrained - self.shipped:+.3f}{known}: {self.verdict}{few}"
        )


def compare(what: str, groups: Sequence[str], shipped: Score, retrained: Score) -> list[Compared]:
    """One comparison, or none where the items have no such score; ``groups``: the patient of each item."""
    everything = np.arange(len(groups))
    if not len(groups) or not np.isfinite([shipped(everything), retrained(everything)]).all():
        return []
    low, high = interval(lambda i: retrained(i) - shipped(i), groups)
    patients = len(set(groups))
    return [Compared(what, len(groups), patients, shipped(everything), retrained(everything), low, high)]


def tell_comparison(rows: Sequence[Compared], folder: Path, say: Callable[[str], None]) -> None:
    """Every row in words, and all of them in comparison.csv, where what is not known stays empty."""
    columns = ("what", "n", "patients", "shipped", "retrained", "difference", "low", "high", "verdict")
    with written_whole(folder / COMPARISON) as aside, aside.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        for row in rows:
            say(str(row))
            numbers = (row.shipped, row.retrained, row.retrained - row.shipped, row.low, row.high)
            cells = ("" if np.isnan(v) else f"{v:.4f}" for v in numbers)
            writer.writerow([row.what, row.n, row.patients, *cells, row.verdict])
