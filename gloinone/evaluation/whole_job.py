"""The whole job against the truth: what a pathologist reads off a slide, the count and the percentage sclerosed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from gloinone.errors import UsageError
from gloinone.evaluation.classification import evaluate_classification
from gloinone.evaluation.detection import evaluate_detection, found_truth
from gloinone.evaluation.named import named_of_run
from gloinone.evaluation.plots import draw_pairs
from gloinone.evaluation.risk import evaluate_risk
from gloinone.evaluation.run_output import ScoredRun, ScoredSlide
from gloinone.evaluation.segmentation import evaluate_segmentation, outlines_of_run
from gloinone.evaluation.tables import NAN, Cell, Evaluation, Table, score_table, scored
from gloinone.labels import GLOMERULUS, NORMAL
from gloinone.metrics import Floats


@dataclass(frozen=True)
class SlideCounts:
    """Whole glomeruli of one slide; what lies in an ignored place counts on neither side."""

    slide: str
    group: str
    source: str
    truth: int
    found: int
    """Kept circles, right or false."""
    truth_sclerosed: int | None
    """None where the truth does not know the state of each."""
    found_sclerosed: int


def count_slide(slide: ScoredSlide) -> SlideCounts:
    """From the kept circles and the truth."""
    order, _, counts = found_truth(slide)
    kept = [slide.kept[i] for i in order[counts]]
    labels = [region.label for region in slide.truth.glomeruli]
    return SlideCounts(
        slide.name,
        slide.group,
        slide.source,
        len(labels),
        len(kept),
        None if GLOMERULUS in labels else sum(label != NORMAL for label in labels),
        sum(row["class"] != NORMAL for row in kept),
    )


def count_error(slides: Sequence[SlideCounts]) -> float:
    """100 (found - truth) / truth of all together; nan without truth."""
    truth = sum(s.truth for s in slides)
    return 100 * (sum(s.found for s in slides) - truth) / truth if truth else NAN


def mean_count_error(slides: Sequence[SlideCounts]) -> float:
    """Mean over the slides with truth of their absolute count error, %."""
    errors = [abs(count_error([s])) for s in slides if s.truth]
    return float(np.mean(errors)) if errors else NAN


def percents(slides: Sequence[SlideCounts]) -> tuple[float, float]:
    """Percent sclerosed, truth and found, of the slides together whose truth knows it; nan out of none."""
    known = [s for s in slides if s.truth_sclerosed is not None]
    truth, found = sum(s.truth for s in known), sum(s.found for s in known)
    return (
        100 * sum(s.truth_sclerosed or 0 for s in known) / truth if truth else NAN,
        100 * sum(s.found_sclerosed for s in known) / found if found else NAN,
    )


def percent_error(slides: Sequence[SlideCounts]) -> float:
    """Found less truth, in points, of all together."""
    truth, found = percents(slides)
    return found - truth


def mean_percent_error(slides: Sequence[SlideCounts]) -> float:
    """Mean over the slides of their absolute error in points, where both sides have a percentage."""
    errors = [abs(percent_error([s])) for s in slides]
    known = [error for error in errors if np.isfinite(error)]
    return float(np.mean(known)) if known else NAN


MEASURES: dict[str, Callable[[Sequence[SlideCounts]], float]] = {
    "count error, all slides together (%)": count_error,
    "count error, mean of the slides' absolute (%)": mean_count_error,
    "percent sclerosed, all slides together: error (points)": percent_error,
    "percent sclerosed, mean of the slides' absolute error (points)": mean_percent_error,
}


def _row(slides: Sequence[SlideCounts]) -> tuple[Cell, ...]:
    return (
        sum(s.truth for s in slides),
        sum(s.found for s in slides),
        count_error(slides),
        *percents(slides),
        percent_error(slides),
    )


_COLUMNS = (
    *("glomeruli, truth", "glomeruli, found", "count error (%)"),
    *("% sclerosed, truth", "% sclerosed, found", "error (points)"),
)


def evaluate_counts(run: ScoredRun) -> Evaluation:
    """Count error and percent-sclerosis error, of all, by source and by slide; of slides that can be counted.

    Raises UsageError where there are none.
    """
    slides = [count_slide(slide) for slide in run.slides if not slide.is_partial]
    if not slides:
        raise UsageError("no slide has all its glomeruli outlined")
    rows = [
        scored(name, lambda i, m=measure: m([slides[int(n)] for n in i]), [s.group for s in slides])  # type: ignore[misc]
        for name, measure in MEASURES.items()
    ]
    sources = [
        (source, *_row([s for s in slides if s.source == source]))
        for source in sorted({s.source for s in slides})
    ]
    tables = [
        score_table("job", "Counts (95 % intervals over patients)", "measure", {"": rows}),
        Table("job_sources", "Counts by source", ("source", *_COLUMNS), tuple(sources)),
        Table(
            "job_slides",
            "Counts by slide",
            ("slide", "patient", *_COLUMNS),
            tuple((s.slide, s.group, *_row([s])) for s in slides),
        ),
    ]
    notes = ["counts are of whole glomeruli: circles in ignored places (cut glomeruli) are on neither side"]
    unknown = [s.slide for s in slides if s.truth_sclerosed is None]
    if unknown:
        notes.append(
            f"truth without the state of each glomerulus ({len(unknown)}, not in percent sclerosed): "
            + ", ".join(unknown)
        )
    return Evaluation("Counts", tuple(tables), tuple(notes), _plots(slides))


def _plots(slides: Sequence[SlideCounts]) -> dict[str, Callable[[], bytes]]:
    counts: Floats = np.array([(s.truth, s.found) for s in slides], np.float64)
    shares: Floats = np.array([percents([s]) for s in slides], np.float64)
    known = shares[np.isfinite(shares).all(axis=1)]
    plots = {"counts": lambda: draw_pairs(counts[:, 0], counts[:, 1], "glomeruli of a slide")}
    if len(known):
        plots["percent_sclerosed"] = lambda: draw_pairs(known[:, 0], known[:, 1], "percent sclerosed")
    return plots


def evaluate_run(run: ScoredRun, unlabelled: bool = False) -> Evaluation:
    """Counts, circles, classes, outlines and doubts; what the truth does not know is noted, and no error."""
    parts: list[Evaluation] = []
    notes = list(run.notes)
    steps: tuple[tuple[str, Callable[[], Evaluation]], ...] = (
        ("counts", lambda: evaluate_counts(run)),
        ("circles", lambda: evaluate_detection(run, unlabelled)),
        ("classes", lambda: evaluate_classification(named_of_run(run))),
        ("outlines", lambda: evaluate_segmentation(outlines_of_run(run))),
        ("doubts", lambda: evaluate_risk(run)),
    )
    for what, step in steps:
        try:
            part = step()
        except UsageError as error:
            notes.append(f"{what} are not scored: {error}")
            continue
        parts.append(part)
        notes += [note for note in part.notes if note not in notes]
    return Evaluation(
        "The whole job",
        tuple(table for part in parts for table in part.tables),
        tuple(notes),
        {name: draw for part in parts for name, draw in part.plots.items()},
    )
