"""Microns per pixel: from the user's table, else the file, else the user's option. Never guessed.

The table (``--mpp-csv``) has the columns slide and mpp, and may have patient and stain; others are kept with the row.
"""

import csv
import io
import math
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from gloinone.errors import ResolutionError, UsageError
from gloinone.records import MppSource, Origin

SMALLEST_MPP = 0.05
LARGEST_MPP = 20.0
LARGEST_XY_RATIO = 1.05


@dataclass(frozen=True)
class Resolution:
    """What the user said about one slide's microns per pixel."""

    mpp: float | None = None
    source: Literal["csv", "option"] | None = None

    def __post_init__(self) -> None:
        if (self.mpp is None) != (self.source is None):
            raise ValueError(f"a resolution has both a value and a source, or neither: {self}")


@dataclass(frozen=True)
class MppRow:
    """One row of the table."""

    line: int
    slide: str
    """As it is written there."""
    mpp: float | None
    """None where the cell is empty."""
    columns: Mapping[str, str]
    """All cells by column name in lower case."""


@dataclass(frozen=True)
class MppTable:
    """The rows by slide. ``for_slides`` fits it to the slides at hand, which settles bare file names."""

    path: Path
    rows: Mapping[str, MppRow]
    """By the normal form of the slide's path or file name."""
    ambiguous: frozenset[str] = field(default=frozenset())
    """File names that several slides have; a row of that name alone says nothing."""

    def row(self, name: str) -> MppRow | None:
        """Row of a slide, by its path relative to the input folder, else by its file name."""
        key = normal_name(name)
        if key in self.rows:
            return self.rows[key]
        stem = key.rsplit("/", 1)[-1]
        return None if stem in self.ambiguous else self.rows.get(stem)

    def lookup(self, name: str) -> float | None:
        """Microns per pixel of a slide, or None where the table says nothing."""
        row = self.row(name)
        return row.mpp if row else None

    def origin(self, name: str) -> Origin:
        """Patient and stain of a slide, as far as the table says."""
        row = self.row(name)
        return Origin(row.columns.get("patient", ""), row.columns.get("stain", "")) if row else Origin()

    def for_slides(self, names: Iterable[str]) -> "MppTable":
        """The table fitted to the slides there are; UsageError where two rows mean the same slide."""
        keys = [normal_name(name) for name in names]
        counts = Counter(key.rsplit("/", 1)[-1] for key in keys)
        ambiguous = frozenset(stem for stem, count in counts.items() if count > 1)
        for key in keys:
            stem = key.rsplit("/", 1)[-1]
            if key != stem and key in self.rows and stem in self.rows and stem not in ambiguous:
                first, second = sorted((self.rows[key].line, self.rows[stem].line))
                raise UsageError(f"{self.path}, line {second}: {key} is listed twice, first in line {first}")
        return MppTable(self.path, self.rows, ambiguous)

    def for_path(self, name: str, path: str) -> "MppTable":
        """The table of one slide, ``name``, of which the whole path is known, but not which folder is IN.

        Its row is the longest that is an end of the path.
        """
        parts = normal_name(path).split("/")
        tails = [normal_name("/".join(parts[start:])) for start in range(len(parts))]
        row = next((self.rows[tail] for tail in tails if tail in self.rows), None)
        return MppTable(self.path, {normal_name(name): row} if row else {})

    def unmatched(self, names: Iterable[str]) -> list[str]:
        """A sentence for each row that belongs to none of the slides."""
        names = list(names)
        table = self.for_slides(names)
        used = {row.line for name in names if (row := table.row(name))}
        return [
            f"{self.path}, line {row.line}: {row.slide} "
            + (
                "is the name of several slides; write its path"
                if key in table.ambiguous
                else "matches no slide"
            )
            for key, row in self.rows.items()
            if row.line not in used
        ]


def normal_name(name: str) -> str:
    """How names are compared: forward slashes, composed accents, no spaces around, no leading ./ ."""
    key = unicodedata.normalize("NFC", name.strip().replace("\\", "/"))
    return key.removeprefix("./")


def delimiter_of(text: str) -> str:
    """Of a table, by its first line: a semicolon is what a spreadsheet with decimal commas saves.

    >>> delimiter_of("slide;mpp"), delimiter_of("slide,mpp;")
    (';', ',')
    """
    first_line = text.partition("\n")[0]
    return ";" if ";" in first_line and "," not in first_line else ","


def read_mpp_csv(path: Path) -> MppTable:
    """Table of --mpp-csv; UsageError with the line where it cannot be understood."""
    try:
        text = path.read_text("utf-8-sig")
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror}); give a CSV to --mpp-csv") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not a UTF-8 text; save it as CSV UTF-8") from error
    if "\0" in text:
        raise UsageError(f"{path}: not a UTF-8 text; save it as CSV UTF-8")
    lines = _read_cells(path, text)
    _, header = next(lines, (1, []))
    header = [cell.lower() for cell in header]
    for column in ("slide", "mpp"):
        if header.count(column) != 1:
            problem = "no column" if column not in header else "two columns"
            raise UsageError(f"{path}, line 1: {problem} {column}; its first line must be like slide,mpp")
    rows: dict[str, MppRow] = {}
    for line, cells in lines:
        if not any(cells):
            continue
        if any(cells[len(header) :]):
            raise UsageError(
                f"{path}, line {line}: more cells than columns; quote what holds a comma, as 0,25 does"
            )
        mpp, after = ([*cells, "", ""][header.index("mpp") + n] for n in (0, 1))
        if mpp.isdecimal() and after.isdecimal() and delimiter_of(text) == ",":
            raise UsageError(
                f"{path}, line {line}: {mpp},{after} may be one number or two; write {mpp}.{after}, or {mpp}.0,{after}"
            )
        row = _parse_row(path, line, dict(zip(header, cells, strict=False)))
        key = normal_name(row.slide)
        if key in rows:
            raise UsageError(
                f"{path}, line {row.line}: {key} is listed twice, first in line {rows[key].line}"
            )
        rows[key] = row
    return MppTable(path, rows)


def _read_cells(path: Path, text: str) -> Iterator[tuple[int, list[str]]]:
    """Number of each line and its cells, without spaces around; UsageError where a quote is not closed."""
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=delimiter_of(text), skipinitialspace=True, strict=True
    )
    begins = 1
    try:
        for cells in reader:
            yield reader.line_num, [cell.strip() for cell in cells]
            begins = reader.line_num + 1
    except csv.Error as error:
        raise UsageError(
            f"{path}, line {begins}: not the line of a CSV ({error}); is a quote not closed there?"
        ) from error


def _parse_row(path: Path, line: int, columns: dict[str, str]) -> MppRow:
    slide, cell = columns.get("slide", ""), columns.get("mpp", "")
    if not slide:
        raise UsageError(f"{path}, line {line}: the slide's name is missing")
    if not cell:
        return MppRow(line, slide, None, columns)
    try:
        mpp = float(cell.replace(",", ".").replace("_", "?"))  # float takes 0_25 for 25
    except ValueError:
        mpp = math.nan
    if not (math.isfinite(mpp) and mpp > 0):
        raise UsageError(f"{path}, line {line}: {cell!r} is no number of microns per pixel, such as 0.25")
    return MppRow(line, slide, mpp, columns)


def check_mpp_option(mpp: float) -> float:
    """The value of --mpp, or UsageError."""
    if not SMALLEST_MPP <= mpp <= LARGEST_MPP:
        raise UsageError(f"--mpp {mpp:g}: outside {SMALLEST_MPP:g} to {LARGEST_MPP:g} um/px, e.g. --mpp 0.25")
    return mpp


def resolution_for(name: str, table: MppTable | None, option: float | None) -> Resolution:
    """What the user said about this slide: the table's row, else the option, else nothing."""
    listed = table.lookup(name) if table else None
    if listed is not None:
        return Resolution(listed, "csv")
    return Resolution() if option is None else Resolution(option, "option")


def settle_mpp(name: str, said: Resolution, file_mpp: tuple[float, float] | None) -> tuple[float, MppSource]:
    """Microns per level-0 pixel and where they come from: csv, else a usable value of the file, else option.

    ``file_mpp`` is x, y as the file says, or None. An unusable value in the file counts as none, so that
    passing --mpp mends the slide. Raises ResolutionError that names what to pass.
    """
    if said.source == "csv" and said.mpp is not None:
        if not SMALLEST_MPP <= said.mpp <= LARGEST_MPP:
            raise ResolutionError(
                f"{name}: the table says {said.mpp:g} um/px, outside {SMALLEST_MPP:g} to {LARGEST_MPP:g}; "
                "correct it in --mpp-csv"
            )
        return said.mpp, "csv"
    problem = file_problem(file_mpp)
    if file_mpp is not None and problem is None:
        return math.sqrt(file_mpp[0] * file_mpp[1]), "file"
    if said.source == "option" and said.mpp is not None:
        return check_mpp_option(said.mpp), "option"
    raise ResolutionError(f"{name}: {problem}; pass --mpp, e.g. --mpp 0.25, or list it in --mpp-csv")


def file_problem(file_mpp: tuple[float, float] | None) -> str | None:
    """Why the file's own microns per pixel cannot be used, or None if they can."""
    if file_mpp is None:
        return "no resolution in the file"
    x, y = file_mpp
    if not (SMALLEST_MPP <= x <= LARGEST_MPP and SMALLEST_MPP <= y <= LARGEST_MPP):
        return f"the file claims {x:g} um/px, outside {SMALLEST_MPP:g} to {LARGEST_MPP:g}"
    if max(x, y) > LARGEST_XY_RATIO * min(x, y):
        return f"the file claims {x:g} um/px across but {y:g} down"
    return None
