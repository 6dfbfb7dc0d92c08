"""Outlines against those a person drew: of a run, glomerulus by glomerulus, or of two folders of masks."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gloinone.annotations.csv_text import Value
from gloinone.errors import AnnotationError, UsageError
from gloinone.evaluation.detection import found_truth
from gloinone.evaluation.groups import Groups
from gloinone.evaluation.masks import read_mask
from gloinone.evaluation.outlines import Agreement, compare, place_ring
from gloinone.evaluation.plots import draw_spread
from gloinone.evaluation.run_output import ScoredRun, ScoredSlide
from gloinone.evaluation.tables import Cell, Evaluation, Table, score_table, scored
from gloinone.metrics import Floats
from gloinone.records import Mask, Window

MASK_SUFFIX = ".png"


@dataclass(frozen=True)
class Outlined:
    """One outline, or one mask, with its score."""

    name: str
    slide: str
    group: str
    """Patient."""
    source: str
    score: Agreement


@dataclass(frozen=True)
class Outlines:
    """All of them."""

    items: tuple[Outlined, ...]
    unit: str
    """Of distances: um or px."""
    notes: tuple[str, ...]


def outlines_of_run(run: ScoredRun) -> Outlines:
    """The outline of every kept circle that found a glomerulus (circle IoU .5), against that glomerulus.

    Raises UsageError where nothing can be scored.
    """
    items: list[Outlined] = []
    n_truth = no_outline = 0
    for slide in run.slides:
        glomeruli = {str(row["id"]): row for row in slide.glomeruli}
        order, found, _ = found_truth(slide)
        n_truth += len(slide.truth.glomeruli)
        for i, t in zip(order, found, strict=True):
            if t < 0:
                continue
            region = slide.truth.glomeruli[t]
            if not region.has_outline:
                no_outline += 1
                continue
            glomerulus_id = str(slide.kept[i]["glomerulus"])
            if glomerulus_id not in glomeruli:
                raise AnnotationError(
                    f"{slide.name}: {glomerulus_id} is not in its glomeruli.csv; run that slide again"
                )
            row = glomeruli[glomerulus_id]
            mask, window = _mask_of(slide, row)
            canvas, truth = place_ring(mask, window.image_from_l0(region.ring))
            score = compare(canvas, truth, float(str(row["crop_mpp"])))
            items.append(
                Outlined(f"{slide.name} {glomerulus_id}", slide.name, slide.group, slide.source, score)
            )
    if not items:
        drawn = f" ({no_outline} were found, but their truth is a box or an ellipse)" if no_outline else ""
        raise UsageError(f"no glomerulus with an outline in the truth was found{drawn}; nothing to score")
    notes = [*run.notes, f"{len(items)} of {n_truth} glomeruli are scored: found, and outlined in the truth"]
    if no_outline:
        notes.append(
            f"{no_outline} were found, but their truth is a box or an ellipse and no outline: not scored"
        )
    return Outlines(tuple(items), "um", tuple(notes))


def _mask_of(slide: ScoredSlide, row: Mapping[str, Value]) -> tuple[Mask, Window]:
    if row["mask"] is None:
        raise UsageError(f"{slide.name}: the run wrote no masks; run it without --no-masks")
    mask = read_mask(slide.out / str(row["mask"]))
    x, y, width, height = (float(str(row[f"crop_{c}"])) for c in ("x", "y", "width", "height"))
    return mask, Window(x, y, width, height, mask.shape[1], mask.shape[0])


def outlines_of_masks(predictions: Path, masks: Path, groups: Groups, mpp: float | None) -> Outlines:
    """PNG masks of the same relative path in two folders; names without partner are noted.

    ``mpp``: microns per px, else distances are px. Raises UsageError where no name is in both, or sizes differ.
    """
    found, known = _mask_names(predictions), _mask_names(masks)
    names = sorted(found & known)
    if not names:
        raise UsageError(f"{predictions} and {masks}: have no {MASK_SUFFIX} of the same name")
    items = []
    for name in names:
        a, b = read_mask(predictions / name), read_mask(masks / name)
        if a.shape != b.shape:
            raise UsageError(
                f"{name}: {a.shape[::-1]} px in {predictions}, but {b.shape[::-1]} px in {masks}"
            )
        slide = groups.group(name)
        items.append(Outlined(name, slide, slide, groups.source(name), compare(a, b, mpp or 1.0)))
    notes = [f"{len(names)} masks scored"]
    for only, other in ((found - known, masks), (known - found, predictions)):
        if only:
            notes.append(f"not in {other} ({len(only)}, not scored): {', '.join(sorted(only))}")
    return Outlines(tuple(items), "um" if mpp else "px", tuple(notes))


def _mask_names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob(f"*{MASK_SUFFIX}")}


def _names(unit: str) -> tuple[str, ...]:
    """Of the columns of an agreement."""
    return ("Dice", "IoU", f"border distance ({unit})", f"95 % border distance ({unit})", "area error (%)")


def _mean(values: Floats) -> float:
    """Of what is known; nan for none."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")


def _sd(values: Floats) -> float:
    """Of a sample; nan for fewer than two."""
    known = values[np.isfinite(values)]
    return float(known.std(ddof=1)) if len(known) > 1 else float("nan")


def _measures(unit: str) -> dict[str, Callable[[Floats], float]]:
    """Of (N, 5) agreements."""
    measures: dict[str, Callable[[Floats], float]] = {}
    for column, name in enumerate(_names(unit)):
        measures[f"{name}, mean"] = lambda v, c=column: _mean(v[:, c])  # type: ignore[misc]
        measures[f"{name}, SD"] = lambda v, c=column: _sd(v[:, c])  # type: ignore[misc]
    measures["area error (%), mean of the absolute"] = lambda v: _mean(np.abs(v[:, 4]))
    return measures


def _by(items: Sequence[Outlined], of: Callable[[Outlined], str]) -> dict[str, Floats]:
    """Name -> (N, 5) agreements."""
    names = sorted({of(item) for item in items})
    return {name: np.array([item.score for item in items if of(item) == name]) for name in names}


def _breakdown(outlines: Outlines, what: str, of: Callable[[Outlined], str]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for name, values in _by(outlines.items, of).items():
        dice = values[:, 0]
        rows.append((name, len(values), _mean(dice), _sd(dice), *(_mean(values[:, c]) for c in range(1, 5))))
    columns = (what, "outlines", "Dice, mean", "Dice, SD", *_names(outlines.unit)[1:])
    return Table(f"segmentation_{what}s", f"Outlines by {what}", columns, tuple(rows))


def evaluate_segmentation(outlines: Outlines) -> Evaluation:
    """All tables and plots."""
    values = np.array([item.score for item in outlines.items])
    groups = [item.group for item in outlines.items]
    rows = [
        scored(name, lambda i, m=measure: m(values[i]), groups)  # type: ignore[misc]
        for name, measure in _measures(outlines.unit).items()
    ]
    by_slide = _by(outlines.items, lambda item: item.slide)
    slide_dice = np.array([_mean(v[:, 0]) for v in by_slide.values()])
    slide_groups = [next(item.group for item in outlines.items if item.slide == name) for name in by_slide]
    rows.append(scored("Dice, mean of the slides' means", lambda i: _mean(slide_dice[i]), slide_groups))
    tables = [score_table("segmentation", "Outlines (95 % intervals over patients)", "measure", {"": rows})]
    if len({item.source for item in outlines.items}) > 1:
        tables.append(_breakdown(outlines, "source", lambda item: item.source))
    tables.append(_breakdown(outlines, "slide", lambda item: item.slide))
    each = tuple((item.name, item.slide, *item.score) for item in outlines.items)
    each_table = Table(
        "segmentation_each", "Each outline", ("name", "slide", *_names(outlines.unit)), each, long=True
    )
    dice = {name: v[:, 0] for name, v in by_slide.items()}
    return Evaluation(
        "Outlines",
        (*tables, each_table),
        outlines.notes,
        {"dice_by_slide": lambda: draw_spread(dice, "Dice")},
    )
