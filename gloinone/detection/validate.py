"""Scores of a detector on cached cases, over the whole of each picture, as a slide would be."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gloinone.detection.cases import Case
from gloinone.detection.predict import Detector, PlacedTile
from gloinone.detection.samples import read_tile
from gloinone.detection.tissue_windows import EDGE_PX, WINDOWS
from gloinone.metrics import (
    CircleImage,
    at_threshold,
    average_precision,
    best_f1,
    fits_one,
    mean_average_precision,
)
from gloinone.records import Pixels, Window
from gloinone.slide.tissue_samples import spread


@dataclass(frozen=True)
class Validation:
    """Of one set of cases."""

    ap50: float
    ap: float
    """Mean over IoU .50:.05:.90."""
    best_score: float
    """At which F1 is highest, or what was asked for."""
    recall: float
    """At ``best_score``."""
    precision: float


def grid_tiles(case: Case, detector: Detector) -> Iterator[PlacedTile]:
    """Tiles of a plain grid, of those places that hold tissue; the frame is the picture's px."""
    config = detector.config
    case_px = config.mpp / case.mpp
    edge = round(config.edge_px * case_px)
    margin = config.margin_um / case.mpp
    step = edge - 2 * margin
    height, width = case.pixels.shape[:2]
    for y in np.arange(0, height, step):
        for x in np.arange(0, width, step):
            core = (float(x), float(y), float(min(x + step, width)), float(min(y + step, height)))
            on_tissue = (case.places >= core[:2]) & (case.places < core[2:])
            if not on_tissue.all(axis=1).any():
                continue
            corner = np.round(np.array([x - margin, y - margin]))
            pixels, _ = read_tile(case.pixels, corner, config.edge_px, case_px)
            window = Window(corner[0], corner[1], edge, edge, config.edge_px, config.edge_px)
            yield PlacedTile(pixels, window, core)


def tissue_windows(case: Case, mpp: float) -> list[Pixels]:
    """Squares of tissue to which a detector of ``mpp`` is adapted, as `read_spread` takes them from a slide."""
    case_px = mpp / case.mpp
    places = case.tissue if case.slide_tissue is None else case.slide_tissue
    in_order = places[np.lexsort(places.T)]
    centres = in_order[spread(len(in_order), WINDOWS)]
    edge = EDGE_PX * case_px
    height, width = case.pixels.shape[:2]
    corners = np.clip(centres - edge / 2, 0, np.maximum(np.array([width, height]) - edge, 0))
    return [read_tile(case.pixels, np.round(corner), EDGE_PX, case_px)[0] for corner in corners]


def found_circles(case: Case, detector: Detector) -> NDArray[np.float64]:
    """(N, 4) cx, cy, radius, score, px of the picture, wherever they lie on it."""
    height, width = case.pixels.shape[:2]
    if detector.config.norm_prior is not None:
        detector = detector.adapted(tissue_windows(case, detector.config.mpp), case.tissue_mm2)
    return np.asarray(detector.circles_of(grid_tiles(case, detector), (width, height)), np.float64)


def predict_case(case: Case, detector: Detector) -> CircleImage:
    """Predictions and truth of one case, px of its picture, where the truth can say right or wrong."""
    found, is_known = found_circles(case, detector), case.is_scored(case.circles)
    known, beside = case.circles[is_known], case.circles[~is_known]
    # A right circle may be centred just outside of the region that its glomerulus lies in, and the other way round
    scored = found[case.is_scored(found) | fits_one(found, known, 0.5)]
    return CircleImage(scored, known, np.concatenate([case.ignored, beside]))


def judged(cases: Sequence[Case]) -> list[Case]:
    """Those by which precision can be told; all of them where none can."""
    return [case for case in cases if not case.is_partial] or list(cases)


def score(images: Sequence[CircleImage], recall_at: float | None = None) -> Validation:
    """All scores of predictions; with ``recall_at`` (of partial truth) the recall at that score alone."""
    if recall_at is not None:
        nan = float("nan")
        return Validation(nan, nan, recall_at, at_threshold(images, recall_at).recall, nan)
    cut, _ = best_f1(images)
    counts = at_threshold(images, cut)
    return Validation(
        average_precision(images), mean_average_precision(images), cut, counts.recall, counts.precision
    )


def floor_of(images: Sequence[CircleImage], circles_per_truth: float = 3.0, lowest: float = 0.05) -> float:
    """The score down to which circles are kept: at most so many per true glomerulus."""
    scores = np.sort(np.concatenate([i.predicted[:, 3] for i in images]))[::-1]
    most = int(circles_per_truth * sum(len(i.truth) for i in images))
    return max(lowest, float(scores[most])) if len(scores) > most else lowest
