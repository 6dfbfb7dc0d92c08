"""Circles of a run against outlines drawn by a person: the WSI protocol of the CircleNet papers.

One slide is one image, level-0 px, at most 1000 circles a slide, circle IoU .50:.05:.90. Cut glomeruli are
ignored: never missed, and whoever finds one is neither right nor wrong.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gloinone.annotations.columns import CIRCLES
from gloinone.annotations.csv_text import Value, read_table
from gloinone.annotations.truth import find_truth, read_truth
from gloinone.errors import AnnotationError, UsageError
from gloinone.labels import NONGLOMERULAR
from gloinone.learning.bootstrap import interval
from gloinone.metrics import (
    AtThreshold,
    CircleImage,
    average_precision,
    best_f1,
    match_circles,
    mean_average_precision,
)

CIRCLES_CSV = "circles.csv"


@dataclass(frozen=True)
class EvaluatedSlide:
    """One slide's circles in three ways of ranking, with its truth."""

    name: str
    detector: CircleImage
    """All circles by the detector's score."""
    job: CircleImage
    """Those that are not non-glomerular, by the score after the classifier."""
    kept: CircleImage
    """Those that stand in glomeruli.csv."""


@dataclass(frozen=True)
class Score:
    """A number with its 95 % bootstrap interval over slides."""

    name: str
    value: float
    low: float
    high: float


def load_slides(out: Path, truth: Path, only: frozenset[str]) -> tuple[list[EvaluatedSlide], list[str]]:
    """Slides of a finished run that have truth, and the names of those that have none.

    ``only``: names or file stems to take; empty for all. Raises UsageError or AnnotationError.
    """
    tables = sorted((out / "slides").rglob(CIRCLES_CSV))
    if not tables:
        raise UsageError(f"{out}: no slides/*/{CIRCLES_CSV} in it; give the OUT of a finished gloinone run")
    slides, without, seen = [], [], set()
    for table in tables:
        name = table.parent.relative_to(out / "slides").as_posix()
        if only and not only & {name, Path(name).name, Path(name).stem}:
            continue
        seen |= {name, Path(name).name, Path(name).stem}
        try:
            path = find_truth(name, truth)
        except AnnotationError:
            without.append(name)
            continue
        slides.append(_slide(name, read_table(table, CIRCLES), path))
    if only - seen:
        raise UsageError(f"{out}: no result of {', '.join(sorted(only - seen))}")
    if not slides:
        raise UsageError(
            f"{truth}: holds no truth for any slide of {out}; truth files are named as the slides"
        )
    return slides, without


def _slide(name: str, rows: Sequence[Mapping[str, Value]], truth_path: Path) -> EvaluatedSlide:
    truth = read_truth(truth_path)
    known, ignored = truth.circles(), truth.ignored_circles()

    def image(chosen: Sequence[Mapping[str, Value]], score: str) -> CircleImage:
        circles = [[float(str(row[c])) for c in ("x", "y", "radius", score)] for row in chosen]
        return CircleImage(np.array(circles, np.float64).reshape(-1, 4), known, ignored)

    glomerular = [row for row in rows if row["class"] != NONGLOMERULAR]
    return EvaluatedSlide(
        name,
        detector=image(rows, "det_score"),
        job=image(glomerular, "score"),
        kept=image([row for row in glomerular if row["glomerulus"]], "score"),
    )


def counts(images: Sequence[CircleImage], min_iou: float = 0.5) -> AtThreshold:
    """Found, missed and false over all images, with every circle they hold."""
    found = missed = false = 0
    for image in images:
        matches = match_circles(image, min_iou)
        hits = int((matches.truth >= 0).sum())
        found += hits
        missed += len(image.truth) - hits
        false += int((matches.counts & (matches.truth < 0)).sum())
    return AtThreshold(found, missed, false)


MEASURES: tuple[
    tuple[str, Callable[[EvaluatedSlide], CircleImage], Callable[[list[CircleImage]], float]], ...
] = (
    ("detector AP50", lambda s: s.detector, lambda i: average_precision(i, 0.50)),
    ("detector AP75", lambda s: s.detector, lambda i: average_precision(i, 0.75)),
    ("detector AP .50:.90", lambda s: s.detector, mean_average_precision),
    ("with classifier AP50", lambda s: s.job, lambda i: average_precision(i, 0.50)),
    ("with classifier AP75", lambda s: s.job, lambda i: average_precision(i, 0.75)),
    ("with classifier AP .50:.90", lambda s: s.job, mean_average_precision),
    ("recall at the threshold", lambda s: s.kept, lambda i: counts(i).recall),
    ("precision at the threshold", lambda s: s.kept, lambda i: counts(i).precision),
    ("score of the best F1", lambda s: s.job, lambda i: best_f1(i)[0]),
    ("best F1", lambda s: s.job, lambda i: best_f1(i)[1]),
)


def scores(slides: Sequence[EvaluatedSlide]) -> list[Score]:
    """Every measure over all slides together."""
    names = [slide.name for slide in slides]
    found = []
    for name, view, measure in MEASURES:
        images = [view(slide) for slide in slides]

        def of(
            numbers: Sequence[int] | np.ndarray[tuple[int, ...], np.dtype[np.intp]],
            images: list[CircleImage] = images,
            measure: Callable[[list[CircleImage]], float] = measure,
        ) -> float:
            return measure([images[int(i)] for i in numbers])

        low, high = interval(of, names) if len(slides) > 1 else (float("nan"), float("nan"))
        found.append(Score(name, of(range(len(images))), low, high))
    return found


def table_rows(slides: Sequence[EvaluatedSlide]) -> list[dict[str, str]]:
    """A row per slide: counts at the threshold and AP."""
    rows = []
    for slide in slides:
        at = counts([slide.kept])
        rows.append(
            {
                "slide": slide.name,
                "truth": str(len(slide.kept.truth)),
                "ignored": str(len(slide.kept.ignored)),
                "found": str(at.found),
                "missed": str(at.missed),
                "false": str(at.false),
                "detector AP50": _number(average_precision([slide.detector])),
                "with classifier AP50": _number(average_precision([slide.job])),
            }
        )
    return rows


def scores_markdown(slides: Sequence[EvaluatedSlide], measured: Sequence[Score]) -> str:
    """The tables as Markdown."""
    at = counts([slide.kept for slide in slides])
    lines = [
        f"{len(slides)} slides, {at.found + at.missed} glomeruli; at the threshold {at.found} found, "
        f"{at.missed} missed, {at.false} false",
        "",
        "| measure | value | 95 % interval (slides) |",
        "|---|---|---|",
    ]
    lines += [f"| {s.name} | {_number(s.value)} | {_number(s.low)} to {_number(s.high)} |" for s in measured]
    rows = table_rows(slides)
    lines += ["", "| " + " | ".join(rows[0]) + " |", "|" + "---|" * len(rows[0])]
    lines += ["| " + " | ".join(row.values()) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _number(value: float) -> str:
    return f"{value:.3f}" if np.isfinite(value) else "-"
