"""Results on a drawn slide against what was planted in it: found, named and counted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gloinone.annotations.csv_text import Value, numbers
from gloinone.annotations.region import Region
from gloinone.geometry import ring_circle
from gloinone.labels import GLOMERULAR, NONGLOMERULAR, NORMAL
from gloinone.metrics import CircleImage, Floats, match_circles

MIN_IOU = 0.5
"""Circle IoU from which a planted glomerulus counts as found."""


@dataclass(frozen=True)
class PlantedCheck:
    """What became of the planted glomeruli."""

    named: Mapping[tuple[str, str], int]
    """(planted class, class given) -> how many of those that were found."""
    planted: Mapping[str, int]
    """By class."""
    false: int
    """Results where nothing was planted, or a decoy."""

    def found_of(self, label: str) -> int:
        """Planted glomeruli of a class that were found, whatever they were called."""
        return sum(count for (planted, _), count in self.named.items() if planted == label)

    @property
    def found(self) -> int:
        """Planted glomeruli that were found."""
        return sum(self.named.values())

    @property
    def recall(self) -> float:
        """Share of the planted that was found; 1 where nothing was planted."""
        total = sum(self.planted.values())
        return self.found / total if total else 1.0

    @property
    def precision(self) -> float:
        """Share of the results that was planted; 1 without results."""
        total = self.found + self.false
        return self.found / total if total else 1.0

    @property
    def state_agreement(self) -> float:
        """Share of the found that is rightly called normal or sclerosed; 1 where none was found."""
        alike = sum(
            n for (planted, given), n in self.named.items() if (planted == NORMAL) == (given == NORMAL)
        )
        return alike / self.found if self.found else 1.0

    @property
    def class_agreement(self) -> float:
        """Share of the found that has its own class, the kind of sclerosis included; 1 where none was found."""
        alike = sum(n for (planted, given), n in self.named.items() if planted == given)
        return alike / self.found if self.found else 1.0


def check_planted(rows: Sequence[Mapping[str, Value]], truth: Sequence[Region]) -> PlantedCheck:
    """Rows of glomeruli.csv of one slide against its drawn truth, both in level-0 px.

    Decoys in the truth carry the class non-glomerular: finding one is false, as finding nothing is.
    """
    rows = [row for row in rows if row["class"] != NONGLOMERULAR]
    real = [region for region in truth if region.label in GLOMERULAR]
    predicted: Floats = np.column_stack([numbers(rows, name) for name in ("x", "y", "radius", "score")])
    circles = np.array([ring_circle(region.ring) for region in real], np.float64).reshape(-1, 3)
    matches = match_circles(CircleImage(predicted, circles, np.zeros((0, 3))), MIN_IOU)
    best_first = np.argsort(-predicted[:, 3], kind="stable")
    named: dict[tuple[str, str], int] = {}
    for row, truth_index in zip(best_first, matches.truth, strict=True):
        if truth_index >= 0:
            pair = (real[truth_index].label, str(rows[row]["class"]))
            named[pair] = named.get(pair, 0) + 1
    planted = {label: sum(region.label == label for region in real) for label in GLOMERULAR}
    return PlantedCheck(named, planted, int((matches.truth < 0).sum()))
