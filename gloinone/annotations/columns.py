"""Every column of the three tables: name, unit, meaning. docs/columns.md is printed from here.

Run ``python -m gloinone.annotations.columns > docs/columns.md`` after a change.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from gloinone.doubts import USUAL_NUCLEI_UM, WORDS
from gloinone.labels import CLASSES, GLOMERULAR, SCLEROSED_KINDS


@dataclass(frozen=True)
class Column:
    """One column of a table."""

    name: str
    unit: str
    """As a person writes it; "-" for words and pure numbers."""
    meaning: str
    kind: Literal["text", "int", "float", "bool"] = "text"
    decimals: int = 0
    """Of a float; fixed, so that the same number is the same bytes."""


def _float(name: str, unit: str, decimals: int, meaning: str) -> Column:
    return Column(name, unit, meaning, "float", decimals)


def _count(name: str, meaning: str) -> Column:
    return Column(name, "glomeruli", meaning, "int")


SLIDE = Column("slide", "-", "the slide's path relative to the input folder, with forward slashes")

_COUNTS = tuple(_count(f"n_{name}", f"glomeruli of the class {name}") for name in GLOMERULAR)
_INTERVAL = "of the Wilson 95 % interval of percent_sclerosed; it knows of chance only, not of wrong classes"
_MODEL = "name@first 12 digits of the SHA-256 of the weights"
_DOUBT = (
    _float(
        "blur_um", "um", 2, "by how much the picture is blurred: sigma of a Gaussian that would do the same"
    ),
    _float("pen_share", "0..1", 4, "share of its area that lies under a pen's stroke"),
    _float("fold_share", "0..1", 4, "share of its area that is folded: tissue over tissue"),
)
_DOUBT_WORDS = (
    _float(
        "doubt", "-", 3, "the largest of these numbers, each divided by its limit: from 1 on it is flagged"
    ),
    Column(
        "flags", "-", "which numbers are over their limits, the largest first: " + ", ".join(WORDS.values())
    ),
)
_CROP = "of the square that was cut out around the circle (the circle's box plus 12.5 um on every side)"

SUMMARY: tuple[Column, ...] = (
    SLIDE,
    Column(
        "status",
        "-",
        "done; partial: some tissue could not be read; failed; skipped: not part of the job; pending: listed in "
        "slides.txt, and no run has come to it yet",
    ),
    Column("reason", "-", "why the status is not done"),
    Column("width_px", "level-0 px", "width of the slide", "int"),
    Column("height_px", "level-0 px", "height of the slide", "int"),
    _float("mpp", "um/px", 6, "microns per level-0 pixel that were used"),
    Column("mpp_source", "-", "where mpp came from: csv, file or option"),
    Column("vendor", "-", "maker of the scanner's format, as OpenSlide names it"),
    _float("tissue_mm2", "mm2", 4, "area of tissue"),
    _float(
        "tissue_read_fraction", "0..1", 4, "share of the tissue area that could be read; below 1 if partial"
    ),
    Column("n_circles", "circles", "circles found down to the detector's floor: rows of circles.csv", "int"),
    _count("n_glomeruli", "circles at or over the threshold that are not non-glomerular"),
    *_COUNTS,
    _count(
        "n_sclerosed", "globally sclerosed glomeruli: " + " + ".join(f"n_{name}" for name in SCLEROSED_KINDS)
    ),
    _float("percent_sclerosed", "%", 2, "100 n_sclerosed / n_glomeruli; empty without glomeruli"),
    _float("percent_sclerosed_low", "%", 2, "lower end " + _INTERVAL),
    _float("percent_sclerosed_high", "%", 2, "upper end " + _INTERVAL),
    _float("glomeruli_per_mm2", "1/mm2", 4, "n_glomeruli / tissue_mm2; empty without tissue"),
    _float("diameter_um_median", "um", 2, "median diameter_um of the glomeruli"),
    _float("area_um2_median", "um2", 1, "median area_um2 of the glomeruli"),
    *_DOUBT,
    _float(
        "stain_distance",
        "degrees",
        2,
        "angle between its stains' optical densities and those of the nearest slide that the shipped weights "
        "learned from; empty for a single stain",
    ),
    _float(
        "nuclei_um",
        "um",
        2,
        f"diameter of the nuclei at that mpp; far from {USUAL_NUCLEI_UM:g} um: the mpp may be wrong",
    ),
    Column("n_flagged", "glomeruli", "glomeruli with a flag of their own", "int"),
    *_DOUBT_WORDS,
    Column("detector", "-", _MODEL),
    Column("classifier", "-", _MODEL),
    Column("segmenter", "-", _MODEL),
    Column("version", "-", "version of gloinone"),
)
"""OUT/summary.csv: a row per slide."""

_CIRCLE = (
    _float(
        "x", "level-0 px", 2, "centre of the detected circle, from the left border of the uncropped plane"
    ),
    _float("y", "level-0 px", 2, "centre of the detected circle, from the top border of the uncropped plane"),
    _float("radius", "level-0 px", 2, "radius of the detected circle"),
    _float("det_score", "0..1", 6, "score of the detector alone"),
    _float("score", "0..1", 6, "score after the second stage; ranked by, and cut at the threshold"),
    Column("class", "-", "by the classifier's rule: " + ", ".join(CLASSES)),
)
_PROBABILITIES = (
    *(
        _float(f"p_{name.replace('-', '')}", "0..1", 6, f"the classifier's probability of the class {name}")
        for name in CLASSES
    ),
    _float("p_sclerosed", "0..1", 6, "sum of p_" + ", p_".join(SCLEROSED_KINDS)),
)
_CROP_FRAME = (
    _float("crop_x", "level-0 px", 3, "left border " + _CROP + "; may lie outside the slide"),
    _float("crop_y", "level-0 px", 3, "top border of that square; may lie outside the slide"),
    _float("crop_width", "level-0 px", 3, "width of that square"),
    _float("crop_height", "level-0 px", 3, "height of that square"),
    _float("crop_mpp", "um/px", 6, "microns per pixel of the crop's picture and mask"),
)

GLOMERULI: tuple[Column, ...] = (
    SLIDE,
    Column("id", "-", "G001 and on, top to bottom and left to right; the same in every file of the slide"),
    *_CIRCLE,
    *_PROBABILITIES,
    Column(
        "subtype_validated",
        "-",
        "whether pathologists validated which kind of sclerosis is named, by the classifier's card",
        "bool",
    ),
    _float("diameter_um", "um", 2, "diameter of the circle of the same area as the outline"),
    _float("area_um2", "um2", 1, "area inside the outline"),
    _float("perimeter_um", "um", 2, "length of the outline"),
    _float("circularity", "0..1", 4, "4 pi area / perimeter^2 of the outline; 1 for a circle"),
    Column("at_edge", "-", "touches the border of the slide or of what was scanned, so may be cut", "bool"),
    Column(
        "outline", "-", "mask: from the segmenter; circle: it found nothing, the detected circle stands in"
    ),
    _float("mpp", "um/px", 6, "microns per level-0 pixel of the slide"),
    *_CROP_FRAME,
    Column("crop", "-", "picture of the crop, path relative to OUT; empty if not written"),
    Column("mask", "-", "mask of the crop, same size and frame, path relative to OUT; empty if not written"),
    Column(
        "outline_flagged",
        "-",
        "over 5 % of the mask was dropped or filled to get one outline, or it meets the border of its crop, "
        "or nothing was left: look at it",
        "bool",
    ),
    *_DOUBT,
    _float(
        "near_cut",
        "0..1",
        4,
        "how near score, p_nonglomerular or the sclerosed share are to their cut; 1: on it",
    ),
    *_DOUBT_WORDS,
)
"""OUT/glomeruli.csv and the slide's own: a row per glomerulus."""

CIRCLES: tuple[Column, ...] = (
    SLIDE,
    *_CIRCLE,
    *_PROBABILITIES,
    Column("glomerulus", "-", "id of the glomerulus that this circle became; empty if it is not one of them"),
    *_CROP_FRAME,
)
"""The slide's circles.csv: a row per circle down to the detector's floor."""

TABLES = {
    "summary.csv": (SUMMARY, "a row per slide"),
    "glomeruli.csv": (GLOMERULI, "a row per glomerulus"),
    "circles.csv": (CIRCLES, "a row per detected circle, kept or not"),
}

_INTRODUCTION = """\
# Columns of the tables

Made by `python -m gloinone.annotations.columns > docs/columns.md`; do not edit by hand.

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
