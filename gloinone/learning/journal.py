"""A training's log as CSV, one row a line of progress; goes on after a kill without repeating a step."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path

from gloinone.learning.whole import written_whole


class Journal:
    """Rows of numbers under fixed columns, the first of which is ``step``."""

    def __init__(self, path: Path, columns: tuple[str, ...], resumed_at: int) -> None:
        self.path = path
        self.columns = ("step", *columns)
        kept = [row for row in read_journal(path) if int(row["step"]) <= resumed_at] if path.exists() else []
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, self.columns, lineterminator="\n", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(kept)
        with written_whole(path) as aside:
            aside.write_text(text.getvalue(), encoding="utf-8")

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """One row; a column without a value stays empty."""
        row = [str(step)] + [f"{values[c]:.6g}" if c in values else "" for c in self.columns[1:]]
        with self.path.open("a", encoding="utf-8", newline="") as file:
            file.write(",".join(row) + "\n")


def read_journal(path: Path) -> list[dict[str, str]]:
    """Rows as text, in the order they were written."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
