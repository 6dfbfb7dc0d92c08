"""The questions that a classifier answers, from coarse to fine; truth that knows less answers fewer of them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from gloinone.labels import CLASSES, GLOMERULUS, NONGLOMERULAR, NORMAL, SCLEROSED, SCLEROSED_KINDS
from gloinone.metrics import Floats


@dataclass(frozen=True)
class Level:
    """What is told apart, and which labels know it."""

    name: str
    members: Mapping[str, tuple[str, ...]]
    """Class of this level -> labels of the truth that belong to it."""
    required: tuple[str, ...]
    """Classes that the truth must hold, else there is nothing to score."""
    title: str

    @property
    def classes(self) -> tuple[str, ...]:
        """In order; of two, the second is the positive one."""
        return tuple(self.members)

    def index(self, label: str) -> int:
        """Number of a label's class; -1 where it does not know."""
        return next((i for i, own in enumerate(self.members.values()) if label in own), -1)

    def probabilities(self, five: Floats) -> Floats:
        """(N, 5) -> (N, K): of the classes here, summing to one; uniform where all of theirs are 0."""
        sums = np.column_stack(
            [
                five[:, [CLASSES.index(c) for c in own if c in CLASSES]].sum(axis=1)
                for own in self.members.values()
            ]
        )
        total = sums.sum(axis=1, keepdims=True)
        return np.asarray(np.where(total > 0, sums / np.maximum(total, 1e-300), 1 / len(self.members)))


_SCLEROSED = (SCLEROSED, *SCLEROSED_KINDS)
_NONE = {NONGLOMERULAR: (NONGLOMERULAR,)}
_STATES = {NORMAL: (NORMAL,), SCLEROSED: _SCLEROSED}
STATE = Level("state", _STATES, (NORMAL, SCLEROSED), "normal or sclerosed")
LEVELS = (
    Level(
        "glomerulus",
        {**_NONE, GLOMERULUS: (GLOMERULUS, NORMAL, *_SCLEROSED)},
        (NONGLOMERULAR, GLOMERULUS),
        "glomerulus or none",
    ),
    STATE,
    Level("three", {**_STATES, **_NONE}, (NORMAL, SCLEROSED, NONGLOMERULAR), "normal, sclerosed or none"),
    Level("five", {name: (name,) for name in CLASSES}, SCLEROSED_KINDS, "five classes"),
)
