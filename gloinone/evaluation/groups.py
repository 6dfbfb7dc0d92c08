"""Which slides or crops belong together: patients for the intervals, sources for the tables."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from gloinone.errors import UsageError
from gloinone.slide.resolution import delimiter_of, normal_name

KEYS = ("name", "slide")
GROUPS = ("patient", "group", "slide")
"""Columns that name what is alike, the first that is there; the key itself does not count."""
SOURCES = ("source", "hospital", "centre")


@dataclass(frozen=True)
class Groups:
    """By the normal form of a name, its last part, or that without suffix."""

    groups: Mapping[str, str] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)

    def group(self, name: str, told: str = "") -> str:
        """Patient of a slide or crop; where the table says nothing, what the run was ``told``, else itself."""
        return self._of(self.groups, name) or told or name

    def source(self, name: str) -> str:
        """Source of a slide or crop: by the table, else the folder it lies in, else `all`."""
        parts = PurePosixPath(normal_name(name)).parts
        return self._of(self.sources, name) or (parts[0] if len(parts) > 1 else "all")

    def knows(self, name: str) -> bool:
        """Whether the table has a row of it."""
        return bool(self._of(self.groups, name) or self._of(self.sources, name))

    @staticmethod
    def _of(table: Mapping[str, str], name: str) -> str:
        path = PurePosixPath(normal_name(name))
        keys = (str(path), str(path.with_suffix("")), path.name, path.stem)
        return next((table[key] for key in keys if key in table), "")


def read_groups(path: Path | None, required: bool = True) -> Groups:
    """A CSV with the column name or slide, and patient or group, or source, hospital or centre; others are free.

    None, or a table without such columns that is not ``required`` to have them: nothing is said. Raises UsageError.
    """
    if path is None:
        return Groups()
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read ({error}); give a CSV of slides and patients") from error
    reader = csv.DictReader(text.splitlines(), delimiter=delimiter_of(text), skipinitialspace=True)
    rows = [
        {(key or "").strip().lower(): (value or "").strip() for key, value in row.items() if key}
        for row in reader
    ]
    columns = set(rows[0]) if rows else set()
    key = next((name for name in KEYS if name in columns), None)
    group = next((name for name in GROUPS if name in columns and name != key), None)
    source = next((name for name in SOURCES if name in columns), None)
    if key is None or (required and group is None and source is None):
        raise UsageError(
            f"{path}: no columns slide and patient in it; its first line must be like slide,patient"
        )

    def table(column: str | None) -> dict[str, str]:
        said: dict[str, str] = {}
        for row in rows:
            name, value = normal_name(row[key]), row[column] if column else ""
            if name and value and said.setdefault(name, value) != value:
                raise UsageError(
                    f"{path}: {name} is listed twice, with {column} {said[name]} and {value}; keep one of them"
                )
        return said

    return Groups(table(group), table(source))
