"""CSV as our tables are: UTF-8, commas, points, LF, fixed decimals; the same rows are the same bytes."""

import csv
import io
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gloinone.annotations.bounded import read_bounded
from gloinone.annotations.column import Column
from gloinone.errors import AnnotationError

Row = dict[str, str]
"""Column name -> the text in the file, unquoted."""
Value = str | int | float | bool | None
"""What a field means; None where it is empty."""

REMADE = "restore the file, or, if another version made it, run these slides again"
_MUST_QUOTE = re.compile(r'[,"\r\n]|^[=+\-@\s]|\s$')


def cell(column: Column, value: object) -> str:
    """Text of one field; empty for None and for numbers that are none."""
    if value is None or (isinstance(value, float | np.floating) and not math.isfinite(value)):
        return ""
    match column.kind:
        case "bool":
            return "true" if value else "false"
        case "int":
            return str(int(str(value)))
        case "float":
            # adding 0.0 makes minus zero plain zero
            return f"{round(float(str(value)), column.decimals) + 0.0:.{column.decimals}f}"
        case "text":
            return str(value)


def make_row(columns: Sequence[Column], values: Mapping[str, object]) -> Row:
    """Row with every column, in order; empty where ``values`` has none. KeyError for an unknown name."""
    unknown = set(values) - {column.name for column in columns}
    if unknown:
        raise KeyError(f"no such column: {', '.join(sorted(unknown))}")
    return {column.name: cell(column, values.get(column.name)) for column in columns}


def csv_bytes(columns: Sequence[Column], rows: Iterable[Mapping[str, str]]) -> bytes:
    """The whole file, header first. Text that a spreadsheet takes for a formula is quoted, never changed."""
    lines = [",".join(column.name for column in columns)]
    lines += [
        ",".join(
            _quoted(row[column.name]) if column.kind == "text" else row[column.name] for column in columns
        )
        for row in rows
    ]
    # a file name that is no valid Unicode holds lone surrogates, which UTF-8 cannot
    return ("\n".join(lines) + "\n").encode("utf-8", "backslashreplace")


def rows_of_table(columns: Sequence[Column], table: bytes) -> bytes:
    """One of our tables without its header, byte for byte; after another's rows they make one table.

    Raises AnnotationError for a table of another version.
    """
    header = csv_bytes(columns, [])
    if not table.startswith(header):
        found = table.split(b"\n", 1)[0][:200].decode("utf-8", "replace")
        raise AnnotationError(
            f"table with the columns {found}: made by another version; run that slide again"
        )
    return table[len(header) :]


def with_cells(columns: Sequence[Column], table: bytes, cells: Mapping[str, str]) -> bytes:
    """One of our tables with the same text in these columns of every row. Raises AnnotationError as rows_of_table."""
    rows_of_table(columns, table)
    rows = csv.DictReader(io.StringIO(table.decode("utf-8"), newline=""), strict=True)
    return csv_bytes(columns, ({**row, **cells} for row in rows))


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if _MUST_QUOTE.search(text) else text


def read_table(path: Path, columns: Sequence[Column]) -> list[dict[str, Value]]:
    """Typed rows of one of our tables; see ``parse_table``."""
    return parse_table(read_bounded(path), columns, str(path))


def parse_table(data: bytes, columns: Sequence[Column], where: str) -> list[dict[str, Value]]:
    """Typed rows: str, int, float, bool, or None for an empty field; further columns are left out.

    Raises AnnotationError naming the line and the column of what cannot be understood.
    """
    try:
        reader = csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True)
        header = next(reader, [])
        places = _places(header, columns, where)
        rows: list[dict[str, Value]] = []
        for fields in reader:
            if not fields:
                continue
            line = f"{where}: line {reader.line_num}"
            if len(fields) != len(header):
                raise AnnotationError(
                    f"{line}: {len(fields)} fields under {len(header)} columns; restore the file"
                )
            rows.append(
                {c.name: _value(c, fields[place], line) for c, place in zip(columns, places, strict=True)}
            )
    except UnicodeDecodeError as error:
        raise AnnotationError(f"{where}: the text is not UTF-8; save it as CSV UTF-8") from error
    except csv.Error as error:
        raise AnnotationError(f"{where}: line {reader.line_num}: {error}; restore the file") from error
    return rows


def _places(header: Sequence[str], columns: Sequence[Column], where: str) -> list[int]:
    missing = [column.name for column in columns if column.name not in header]
    if missing:
        hint = "columns are parted by commas" if len(header) == 1 else REMADE
        raise AnnotationError(f"{where}: no column {', '.join(missing[:5])}; {hint}")
    return [header.index(column.name) for column in columns]


def _value(column: Column, text: str, line: str) -> Value:
    if text == "":
        return None
    try:
        match column.kind:
            case "bool":
                return {"true": True, "false": False}[text]
            case "int":
                return int(text)
            case "float":
                number = float(text)
                if not math.isfinite(number):
                    raise ValueError(text)
                return number
            case "text":
                return text
    except (ValueError, KeyError) as error:
        kinds = {"bool": "true or false", "int": "a whole number", "float": "a number"}
        what = f"{line}, column {column.name}: {text[:40]!r} is not {kinds[column.kind]}"
        raise AnnotationError(f"{what}; restore the file") from error


def numbers(rows: Sequence[Mapping[str, Value]], name: str) -> NDArray[np.float64]:
    """(N,) one numeric column of typed rows; nan where it is empty."""
    return np.array([np.nan if row[name] is None else float(str(row[name])) for row in rows], np.float64)
