"""Crops with five probabilities and the class a person gave: from a run and its truth, or from two CSV files."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gloinone.annotations.csv_text import Value, numbers
from gloinone.annotations.tables import PROBABILITY_COLUMNS
from gloinone.errors import UsageError
from gloinone.evaluation.groups import Groups
from gloinone.evaluation.run_output import AT_IOU, ScoredRun, ScoredSlide
from gloinone.labels import CLASSES, GLOMERULUS, NONGLOMERULAR, SCLEROSED, ClassRule, classify
from gloinone.metrics import Floats, in_ignored, match_circles

TRUTH_CLASSES = (*CLASSES, SCLEROSED, GLOMERULUS)
SUM_TOLERANCE = 0.01


@dataclass(frozen=True, eq=False)
class Named:
    """N crops."""

    probabilities: Floats
    """(N, 5) in the order of labels.CLASSES."""
    given: tuple[str, ...]
    """The class by the classifier's rule."""
    truth: tuple[str, ...]
    """One of labels.CLASSES, `sclerosed` or `glomerulus`."""
    groups: tuple[str, ...]
    """Patient."""
    sources: tuple[str, ...]
    state_only: bool = False
    """The classifier only tells normal from sclerosed."""
    notes: tuple[str, ...] = ()


def named_of_run(run: ScoredRun) -> Named:
    """Every circle of a run, kept or not, that is a glomerulus of the truth or clearly none.

    Circles find glomeruli by the detector's score at circle IoU .5; what overlaps a glomerulus by half without
    finding it is neither, and is left out, as is what lies in an ignored one.
    """
    rows: list[Mapping[str, Value]] = []
    truth: list[str] = []
    owners: list[ScoredSlide] = []
    unclear = 0
    for slide in run.slides:
        image = slide.image(slide.rows, "det_score")
        matches = match_circles(image, AT_IOU)
        order = np.argsort(-image.predicted[:, 3], kind="stable")[: len(matches.truth)]
        overlaps = in_ignored(image.predicted[order], image.truth)
        for row, found, counts, overlap in zip(order, matches.truth, matches.counts, overlaps, strict=True):
            if found < 0 and (overlap or not counts):
                unclear += 1
                continue
            rows.append(slide.rows[row])
            truth.append(slide.truth.glomeruli[found].label if found >= 0 else NONGLOMERULAR)
            owners.append(slide)
    notes = (
        *run.notes,
        f"{len(rows)} circles have a class in the truth; {unclear} that overlap a glomerulus or an ignored place "
        "without finding a glomerulus are left out; glomeruli that no circle finds are not here",
    )
    return Named(
        np.column_stack([numbers(rows, name) for name in PROBABILITY_COLUMNS]),
        tuple(str(row["class"]) for row in rows),
        tuple(truth),
        tuple(slide.group for slide in owners),
        tuple(slide.source for slide in owners),
        notes=notes,
    )


def named_of_tables(predictions: Path, labels: Path, groups: Groups, label_groups: Groups) -> Named:
    """Two CSV files joined by name.

    ``predictions``: name, the five columns p_normal, ..., p_nonglomerular (or p_sclerosed alone) and perhaps class,
    else the class is by the default rule. ``labels``: name, label. Raises UsageError; names without partner are noted.
    """
    found, known = _read(predictions), _read(labels)
    columns = set(next(iter(found.values())))
    state_only = not set(PROBABILITY_COLUMNS) <= columns
    if state_only and "p_sclerosed" not in columns:
        raise UsageError(
            f"{predictions}: needs the columns name and {', '.join(PROBABILITY_COLUMNS)}, or name and p_sclerosed"
        )
    if "label" not in next(iter(known.values())):
        raise UsageError(f"{labels}: no column label; its first line must be like name,label")
    unknown = sorted({row["label"] for row in known.values()} - set(TRUTH_CLASSES))
    if unknown:
        raise UsageError(
            f"{labels}: unknown labels {', '.join(map(repr, unknown))}; known: {', '.join(TRUTH_CLASSES)}"
        )
    names = [name for name in found if name in known]
    if not names:
        raise UsageError(f"{predictions} and {labels}: have no name in common")
    probabilities = np.array([_probabilities(predictions, found[n], n, state_only) for n in names])
    given = [
        found[n].get("class") or classify(tuple(p), ClassRule())
        for n, p in zip(names, probabilities, strict=True)
    ]
    strange = sorted(set(given) - set(TRUTH_CLASSES))
    if strange:
        raise UsageError(f"{predictions}: unknown classes {', '.join(map(repr, strange))}")
    return Named(
        probabilities,
        tuple(given),
        tuple(known[n]["label"] for n in names),
        tuple(groups.group(n) if groups.knows(n) else label_groups.group(n) for n in names),
        tuple(groups.source(n) if groups.knows(n) else label_groups.source(n) for n in names),
        state_only,
        (
            f"{len(names)} crops scored",
            *_without("without a label", [n for n in found if n not in known]),
            *_without("with a label and no prediction", [n for n in known if n not in found]),
        ),
    )


def _without(what: str, names: Sequence[str]) -> list[str]:
    return [f"{what} ({len(names)}, not scored): {', '.join(names)}"] if names else []


def _read(path: Path) -> dict[str, dict[str, str]]:
    """Rows by name, columns in lower case; UsageError."""
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read ({error}); give a CSV") from error
    rows: dict[str, dict[str, str]] = {}
    for row in csv.DictReader(text.splitlines()):
        clean = {(key or "").strip().lower(): (value or "").strip() for key, value in row.items() if key}
        name = clean.get("name", "")
        if not name:
            raise UsageError(f"{path}: a row without name; its first line must name a column name")
        if name in rows:
            raise UsageError(f"{path}: {name} is listed twice")
        rows[name] = clean
    if not rows:
        raise UsageError(f"{path}: holds no rows")
    return rows


def _probabilities(path: Path, row: Mapping[str, str], name: str, state_only: bool) -> list[float]:
    try:
        if state_only:
            p = float(row["p_sclerosed"])
            values = [1 - p, p / 3, p / 3, p / 3, 0.0]
        else:
            values = [float(row[column]) for column in PROBABILITY_COLUMNS]
    except ValueError as error:
        raise UsageError(f"{path}: {name}: a probability is not a number ({error})") from error
    if not (min(values) >= 0 and abs(sum(values) - 1) <= SUM_TOLERANCE):
        raise UsageError(f"{path}: {name}: probabilities are from 0 to 1 and sum to 1, got {values}")
    return values
