"""What an evaluation prints: tables of words and numbers, as Markdown and as CSV, with plots and remarks."""

import csv
import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gloinone.learning.bootstrap import interval

Cell = str | int | float
NAN = float("nan")
FILES = "Files: "
"""Begins the line of scores.md by which the next evaluation knows what this one left."""


@dataclass(frozen=True)
class Table:
    """Rows under named columns."""

    name: str
    """Of its CSV file, without suffix."""
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    long: bool = False
    """Too long to read: only written as CSV."""

    def __post_init__(self) -> None:
        if any(len(row) != len(self.columns) for row in self.rows):
            raise ValueError(f"{self.name}: rows of other lengths than its {len(self.columns)} columns")

    def markdown(self) -> str:
        """With its title; numbers with three decimals, - where there is none."""
        lines = [f"## {self.title}", "", _line(self.columns), "|" + "---|" * len(self.columns)]
        lines += [_line([_readable(cell) for cell in row]) for row in self.rows]
        return "\n".join(lines) + "\n"

    def csv_bytes(self) -> bytes:
        """Numbers with six significant digits; empty where there is none."""
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows([_exact(cell) for cell in row] for row in self.rows)
        return text.getvalue().encode("utf-8", "backslashreplace")


@dataclass(frozen=True)
class Evaluation:
    """All that an evaluation found."""

    title: str
    tables: tuple[Table, ...]
    notes: tuple[str, ...] = ()
    """What is not in the numbers, and why."""
    plots: Mapping[str, Callable[[], bytes]] = field(default_factory=dict)
    """File stem -> draws that PNG; not drawn where nobody wants it."""

    def markdown(self, pictures: Sequence[str] = (), files: Sequence[str] = ()) -> str:
        """Every table and remark; at the end ``pictures``, by their file names, and the names of all ``files``."""
        parts = [f"# {self.title}\n"]
        if self.notes:
            parts.append("\n".join(f"- {note}" for note in self.notes) + "\n")
        parts += [table.markdown() for table in self.tables if not table.long]
        parts += [f"![{name}]({name})\n" for name in pictures]
        if files:
            parts.append(FILES + ", ".join(files) + "\n")
        return "\n".join(parts)


@dataclass(frozen=True)
class Score:
    """A number with its 95 % bootstrap interval."""

    name: str
    value: float
    low: float
    high: float


def scored(name: str, measure: Callable[[NDArray[np.intp]], float], groups: Sequence[str]) -> Score:
    """``measure`` of item numbers, with an interval over groups; none where all items are of one group."""
    several = len(set(groups)) > 1
    low, high = interval(measure, groups) if several else (NAN, NAN)
    return Score(name, measure(np.arange(len(groups))), low, high)


def score_table(name: str, title: str, first: str, scores: Mapping[str, Sequence[Score]]) -> Table:
    """A row per measure; ``scores``: heading -> the same measures under other conditions, side by side."""
    columns = [first]
    for heading in scores:
        prefix = f"{heading}: " if heading else ""
        columns += [f"{prefix}value", f"{prefix}low", f"{prefix}high"]
    rows = tuple(
        (same[0].name, *(v for score in same for v in (score.value, score.low, score.high)))
        for same in zip(*scores.values(), strict=True)
    )
    return Table(name, title, tuple(columns), rows)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _readable(cell: Cell) -> str:
    if isinstance(cell, float):
        return f"{cell:.3f}" if math.isfinite(cell) else "-"
    return str(cell)


def _exact(cell: Cell) -> str:
    if isinstance(cell, float):
        return f"{cell:.6g}" if math.isfinite(cell) else ""
    return str(cell)
