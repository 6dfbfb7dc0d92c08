"""What weights said of items that they never saw, kept so that it need not be asked for again."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gloinone.errors import UsageError
from gloinone.learning.whole import written_whole

Floats = NDArray[np.float64]
ScoreOf = Callable[[NDArray[np.intp]], float]
"""Of item numbers; nan where they do not tell."""


@dataclass(frozen=True)
class Measure:
    """One score of many items."""

    what: str
    items: NDArray[np.intp]
    """Numbers of those that it can be told of."""
    score: ScoreOf


@dataclass(frozen=True)
class Answers:
    """Of N items: crops or slides."""

    patients: tuple[str, ...]
    labels: tuple[str, ...]
    """What the truth calls each; empty where it is no matter of names."""
    tables: Mapping[str, tuple[Floats, ...]]
    """By name: N tables of (rows, columns), of any number of rows."""

    def __post_init__(self) -> None:
        sizes = {len(self.labels), *(len(tables) for tables in self.tables.values())}
        if sizes != {len(self.patients)}:
            raise ValueError(f"answers of different numbers: {sorted(sizes)} and {len(self.patients)}")


def join_answers(parts: Sequence[Answers]) -> Answers:
    """All of them, in order."""
    return Answers(
        tuple(patient for part in parts for patient in part.patients),
        tuple(label for part in parts for label in part.labels),
        {name: tuple(t for part in parts for t in part.tables[name]) for name in parts[0].tables},
    )


def save_answers(path: Path, answers: Answers, identity: str) -> None:
    """As .npz, whole or not at all; ``identity``: same for the same data and settings."""
    arrays: dict[str, NDArray[np.generic]] = {}
    for name, tables in answers.tables.items():
        arrays[f"table {name}"] = np.concatenate(tables)
        arrays[f"rows {name}"] = np.array([len(table) for table in tables])
    words = {n: np.array(getattr(answers, n), np.str_) for n in ("patients", "labels")}
    with written_whole(path) as aside:
        np.savez(aside, allow_pickle=False, identity=np.array(identity), **words, **arrays)


def load_answers(path: Path, identity: str) -> Answers | None:
    """What was saved, or None where nothing was; UsageError for that of other data or settings."""
    if not path.is_file():
        return None
    with np.load(path, allow_pickle=False) as data:
        if str(data["identity"]) != identity:
            raise UsageError(
                f"{path}: of other data or settings; give the same ones, delete its folder to do it anew, "
                "or choose another --out"
            )
        names = [key.removeprefix("table ") for key in data.files if key.startswith("table ")]
        tables = {n: np.split(data[f"table {n}"], np.cumsum(data[f"rows {n}"])[:-1]) for n in names}
        words = [tuple(str(word) for word in data[n]) for n in ("patients", "labels")]
        return Answers(words[0], words[1], {n: tuple(own) for n, own in tables.items()})
