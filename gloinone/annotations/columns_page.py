"""Prints docs/columns.md: every table with its columns, their units and meanings.

Run ``python -m gloinone.annotations.columns_page > docs/columns.md`` after a change.
"""

from collections.abc import Sequence

from gloinone.annotations.column import Column
from gloinone.annotations.columns import TABLES

_INTRODUCTION = """\
# Columns of the tables

Made by `python -m gloinone.annotations.columns_page > docs/columns.md`; do not edit by hand.

UTF-8, columns parted by commas, decimal point, lines end with LF, decimals fixed. An empty field means
unknown or not applicable; yes and no are `true` and `false`; percentages run from 0 to 100. Pixels are
those of the slide's finest level (level 0), counted from the top left corner of the uncropped plane;
the first pixel covers 0 to 1. Text is quoted where it holds a comma, a quote or a line break, or begins
with `=`, `+`, `-` or `@`; the quotes belong to the format, not to the text.

In the ImageScope XML a glomerulus carries the text `G012 0.97`: its id, and the probability of the
class it was given (`p_normal` in the layer normal, `p_obsolescent` in the layer obsolescent, and so on;
not `p_sclerosed`, which stands in the column Description beside it). Measurements in the QuPath GeoJSON
have the names and the values of glomeruli.csv. With `--shape ellipse` or `polygon`, XML and GeoJSON
show the detected circle, and the XML's length and area are the circle's; those in the table and in the
GeoJSON remain the outline's.

Where several detectors, or the views of `--tta`, had a vote on each circle, `det_score` is the mean score of those
that found it. Each detector's scores are first brought to one scale, on which its own threshold t becomes the mean T
of the thresholds on all cards: s / (1 - s) is multiplied by T (1 - t) / (t (1 - T)); one detector alone keeps its
scores. The XML's column Description then ends with `3 of 4 votes, mean score 0.62`, the GeoJSON has the measurement
`votes` beside `det_score`, and in QuPath an outline has the colour of its class, the darker the fewer of the votes it
got. That darker colour is the outline's own, and stays when you give it another class; in QuPath's script editor
`getAnnotationObjects().each { it.setColor(null) }` gives all outlines the colours of their classes.
"""


def columns_markdown() -> str:
    """Text of docs/columns.md."""
    parts = [_INTRODUCTION]
    for file_name, (columns, rows) in TABLES.items():
        parts.append(f"\n## {file_name}: {rows}\n\n{_table(columns)}")
    return "".join(parts)


def _table(columns: Sequence[Column]) -> str:
    lines = ["| column | unit | meaning |", "|---|---|---|"]
    lines += [f"| {column.name} | {column.unit} | {column.meaning} |" for column in columns]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(columns_markdown(), end="")
