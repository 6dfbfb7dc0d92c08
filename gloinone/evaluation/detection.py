"""Circles of a run against outlines drawn by a person: the tables of the CircleNet papers.

One slide is one image, level-0 px, at most 1000 circles a slide; circle IoU .50:.05:.90 (WSI protocol) and
.50:.05:.95 (COCO). Cut glomeruli are ignored: never missed, and whoever finds one is neither right nor wrong.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from gloinone.evaluation.plots import Line, draw_lines
from gloinone.evaluation.run_output import AT_IOU, ScoredRun, ScoredSlide
from gloinone.evaluation.tables import NAN, Cell, Evaluation, Score, Table, score_table, scored
from gloinone.metrics import (
    COCO_IOUS,
    MAX_DETECTIONS,
    WSI_IOUS,
    AtThreshold,
    CircleImage,
    Floats,
    Ranking,
    match_circles,
    rank_circles,
)

Times = NDArray[np.intp]
"""(I,) how often each slide is drawn."""

SIZES_UM = (("small", 0.0, 173.0), ("medium", 173.0, 229.0), ("large", 229.0, float("inf")))
"""Diameter of the truth, published renal protocol."""
FROC_RATES = (0.5, 1.0, 2.0, 4.0, 8.0)
"""False circles per mm2 of tissue."""


class Pool:
    """The images of several slides under one way of ranking; matched once, scored for any draw of slides."""

    def __init__(self, images: Sequence[CircleImage], tissue_mm2: Floats, judged: NDArray[np.bool_]) -> None:
        self.images = images
        self.judged = judged
        """(I,) whether circles of a slide can be false: the others have a recall, and nothing else."""
        self.tissue_mm2 = tissue_mm2
        """(I,)."""
        self._rankings: dict[tuple[float, int | None], Ranking] = {}

    def ranking(self, min_iou: float = AT_IOU, max_detections: int | None = MAX_DETECTIONS) -> Ranking:
        """At one IoU threshold, of at most so many circles a slide."""
        how = min_iou, max_detections
        if how not in self._rankings:
            self._rankings[how] = rank_circles(self.images, *how)
        return self._rankings[how]

    def average_precision(self, min_ious: Sequence[float] | Floats, times: Times) -> float:
        """Mean of AP over IoU thresholds."""
        told = times * self.judged
        return float(np.mean([self.ranking(float(iou)).average_precision(told) for iou in min_ious]))

    def precision(self, times: Times) -> float:
        """Of all circles; nan where none can be false."""
        return self.counts(times * self.judged).precision

    def best_f1(self, times: Times) -> tuple[float, float]:
        """The score at which F1 is highest, and that F1; nan where no circle can be false."""
        told = times * self.judged
        return self.ranking().curve(told).best_f1() if told.any() else (NAN, NAN)

    def counts(self, times: Times) -> AtThreshold:
        """Found, missed and false of all circles, however many a slide has."""
        ranking = self.ranking(max_detections=None)
        _, hits, false = ranking.steps(times)
        found = int(hits[-1]) if len(hits) else 0
        return AtThreshold(found, ranking.total(times) - found, int(false[-1]) if len(false) else 0)

    def false_per_mm2(self, times: Times) -> float:
        """False circles per mm2 of tissue; nan without tissue."""
        told = times * self.judged
        area = float((self.tissue_mm2 * told).sum())
        return self.counts(told).false / area if area else NAN

    def recall_at(self, rate: float, times: Times) -> float:
        """FROC: the highest recall with at most ``rate`` false circles per mm2; nan without truth or tissue.

        Circles end at the detector's floor: a rate that is never reached gives the recall there.
        """
        told = times * self.judged
        area, total = float((self.tissue_mm2 * told).sum()), self.ranking().total(told)
        if not area or not total:
            return NAN
        _, hits, false = self.ranking().steps(told)
        return float(hits[false / area <= rate].max(initial=0)) / total

    def froc(self) -> tuple[Floats, Floats]:
        """False circles per mm2, and recall, at every score."""
        told = self.judged.astype(np.intp)
        _, hits, false = self.ranking().steps(told)
        area = float((self.tissue_mm2 * told).sum())
        return false / max(area, 1e-12), hits / max(self.ranking().total(told), 1)


View = dict[str, Pool]
"""`detector`: all circles by the detector's score; `with classifier`: the glomerular by the score after it;
`kept`: those that stand in glomeruli.csv; and the second again for each size."""


def make_view(slides: Sequence[ScoredSlide], unlabelled: bool = False) -> View:
    """Every way of ranking; ``unlabelled``: what the truth is said to lack is ignored."""
    mm2 = np.array([slide.tissue_mm2 for slide in slides], np.float64)
    job = [s.image(s.glomerular, "score", unlabelled) for s in slides]
    pools = {
        "detector": [s.image(s.rows, "det_score", unlabelled) for s in slides],
        "with classifier": job,
        "kept": [s.image(s.kept, "score", unlabelled) for s in slides],
    }
    for size, low, high in SIZES_UM:
        pools[size] = [
            image.of_size(low / 2 / s.mpp, high / 2 / s.mpp) for image, s in zip(job, slides, strict=True)
        ]
    judged = np.array([not slide.is_partial for slide in slides], np.bool_)
    return {name: Pool(images, mm2, judged) for name, images in pools.items()}


Measure = Callable[[View, Times], float]


def _measures() -> dict[str, Measure]:
    """By name, in the order of the table."""
    measures: dict[str, Measure] = {}
    ious: dict[str, Sequence[float] | Floats] = {
        "AP .50:.90": WSI_IOUS,
        "AP .50:.95": COCO_IOUS,
        "AP50": (0.50,),
        "AP75": (0.75,),
    }
    for who in ("detector", "with classifier"):
        for what, at in ious.items():
            measures[f"{who} {what}"] = lambda v, t, w=who, a=at: v[w].average_precision(a, t)  # type: ignore[misc]
    for size, low, high in SIZES_UM:
        between = f"from {low:g} um" if np.isinf(high) else f"{low:g} to {high:g} um"
        for what, at in (("AP .50:.90", WSI_IOUS), ("AP50", (0.50,))):
            measures[f"with classifier {what}, {size} ({between})"] = (
                lambda v, t, s=size, a=at: v[s].average_precision(a, t)  # type: ignore[misc]
            )
    measures["recall at the threshold"] = lambda v, t: v["kept"].counts(t).recall
    measures["precision at the threshold"] = lambda v, t: v["kept"].precision(t)
    measures["false per mm2 of tissue at the threshold"] = lambda v, t: v["kept"].false_per_mm2(t)
    for rate in FROC_RATES:
        measures[f"recall at {rate:g} false per mm2"] = lambda v, t, r=rate: v["with classifier"].recall_at(
            r, t
        )  # type: ignore[misc]
    measures["score of the best F1"] = lambda v, t: v["with classifier"].best_f1(t)[0]
    measures["best F1"] = lambda v, t: v["with classifier"].best_f1(t)[1]
    return measures


MEASURES = _measures()


def scores(slides: Sequence[ScoredSlide], unlabelled: bool = False) -> list[Score]:
    """Every measure over all slides together, with intervals over patients."""
    view = make_view(slides, unlabelled)
    groups = [slide.group for slide in slides]
    return [
        scored(name, lambda i, m=measure: m(view, np.bincount(i, minlength=len(slides))), groups)  # type: ignore[misc]
        for name, measure in MEASURES.items()
    ]


def _row(view: View, times: Times) -> tuple[Cell, ...]:
    """What the rows of slides and sources show."""
    kept, job = view["kept"], view["with classifier"]
    at, told = kept.counts(times), times * kept.judged
    return (
        at.found + at.missed,
        sum(len(image.ignored) * int(n) for image, n in zip(kept.images, times, strict=True)),
        at.found,
        at.missed,
        kept.counts(told).false if told.any() else NAN,
        at.recall,
        kept.precision(times),
        kept.false_per_mm2(times),
        view["detector"].average_precision((AT_IOU,), times),
        job.average_precision((AT_IOU,), times),
        job.average_precision(WSI_IOUS, times),
    )


_COLUMNS = (
    *("truth", "ignored", "found", "missed", "false", "recall", "precision", "false per mm2"),
    *("detector AP50", "with classifier AP50", "with classifier AP .50:.90"),
)


def breakdown(slides: Sequence[ScoredSlide], unlabelled: bool = False) -> list[Table]:
    """A row per source, with all slides last, and a row per slide; counts at the run's threshold."""
    view = make_view(slides, unlabelled)
    sources = np.array([slide.source for slide in slides])
    by_source: list[tuple[Cell, ...]] = []
    for source in [*sorted(set(sources)), "together"]:
        times = np.asarray((sources == source) | (source == "together"), np.intp)
        by_source.append((str(source), int(times.sum()), *_row(view, times)))
    by_slide = [
        (slide.name, slide.group, *_row(view, np.asarray(np.arange(len(slides)) == i, np.intp)))
        for i, slide in enumerate(slides)
    ]
    name = "detection_unlabelled_ignored" if unlabelled else "detection"
    also = ", unlabelled ignored" if unlabelled else ""
    return [
        Table(
            f"{name}_sources", f"Detection by source{also}", ("source", "slides", *_COLUMNS), tuple(by_source)
        ),
        Table(
            f"{name}_slides", f"Detection by slide{also}", ("slide", "patient", *_COLUMNS), tuple(by_slide)
        ),
    ]


def evaluate_detection(run: ScoredRun, unlabelled: bool = False) -> Evaluation:
    """All tables and plots; ``unlabelled``: once more, ignoring what the truth is said to lack."""
    measured = {"": scores(run.slides)}
    tables = breakdown(run.slides)
    if unlabelled:
        measured["unlabelled ignored"] = scores(run.slides, True)
        tables += breakdown(run.slides, True)
    first = score_table("detection", "Detection (95 % intervals over patients)", "measure", measured)
    view = make_view(run.slides)
    return Evaluation(
        "Detection",
        (first, *tables),
        run.notes,
        {
            "precision_recall": lambda: _draw_precision_recall(view),
            "froc": lambda: _draw_froc(view),
            "ap_by_iou": lambda: _draw_ap_by_iou(view),
        },
    )


_SHOWN = ("detector", "with classifier")


def _draw_precision_recall(view: View) -> bytes:
    lines = []
    for who in _SHOWN:
        curve = view[who].ranking().curve(view[who].judged.astype(np.intp))
        lines.append(Line(who, curve.recall, curve.precision))
    at = view["kept"].counts(view["kept"].judged.astype(np.intp))
    return draw_lines(lines, "recall", "precision", (at.recall, at.precision), y_limits=(0, 1.02))


def _draw_froc(view: View) -> bytes:
    lines = [Line(who, *view[who].froc()) for who in _SHOWN]
    told = view["kept"].judged.astype(np.intp)
    at = (view["kept"].false_per_mm2(told), view["kept"].counts(told).recall)
    return draw_lines(lines, "false circles per mm2 of tissue", "recall", at, y_limits=(0, 1.02))


def _draw_ap_by_iou(view: View) -> bytes:
    told = view["kept"].judged.astype(np.intp)
    lines = [
        Line(who, COCO_IOUS, np.array([view[who].average_precision((float(i),), told) for i in COCO_IOUS]))
        for who in _SHOWN
    ]
    return draw_lines(lines, "circle IoU", "AP", y_limits=(0, 1.02))


def found_truth(slide: ScoredSlide) -> tuple[NDArray[np.intp], NDArray[np.int64], NDArray[np.bool_]]:
    """Of the kept circles: their number in ``slide.kept``, best first; the truth each found (-1 none); if it counts."""
    image = slide.image(slide.kept, "score")
    matches = match_circles(image, AT_IOU)
    order = np.argsort(-image.predicted[:, 3], kind="stable")[: len(matches.truth)]
    return order, matches.truth, matches.counts
