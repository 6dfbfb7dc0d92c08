"""Scores of circles against truth: matching, average precision, recall and precision; numpy only.

COCO's rules on circle IoU (Yang et al. 2020, section 3): over all images the predictions are taken best first,
each takes the free truth of highest IoU at or over the threshold; precision is made monotonous and read at 101
recalls. Ignored truths are never missed and whoever finds one is neither right nor wrong.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gloinone.geometry import circle_iou, lens_area

Floats = NDArray[np.float64]

RECALLS = np.linspace(0, 1, 101)
WSI_IOUS = np.arange(0.50, 0.901, 0.05)
"""The published renal protocol."""
COCO_IOUS = np.arange(0.50, 0.951, 0.05)
MAX_DETECTIONS = 1000
"""Per slide, WSI protocol."""
IGNORE_SHARE = 0.5
"""A prediction with this share of its area in an ignored truth is neither right nor wrong."""


@dataclass(frozen=True)
class CircleImage:
    """Predictions and truth of one slide or tile, all in one frame."""

    predicted: Floats
    """(N, 4) cx, cy, radius, score."""
    truth: Floats
    """(M, 3)."""
    ignored: Floats
    """(K, 3): cut glomeruli, regions nobody outlined."""


class Matches(NamedTuple):
    """Of one image, predictions best first."""

    score: Floats
    """(N,)."""
    truth: NDArray[np.int64]
    """(N,) which truth each took; -1 none."""
    counts: NDArray[np.bool_]
    """(N,) False where the prediction is neither right nor wrong."""


def match_circles(image: CircleImage, min_iou: float, max_detections: int = MAX_DETECTIONS) -> Matches:
    """Greedy matching at one IoU threshold."""
    predicted = np.asarray(image.predicted, np.float64).reshape(-1, 4)
    predicted = predicted[np.argsort(-predicted[:, 3], kind="stable")][:max_detections]
    taken = np.full(len(predicted), -1, np.int64)
    if len(image.truth) and len(predicted):
        iou = circle_iou(predicted, image.truth)
        for i in range(len(predicted)):
            best = int(iou[i].argmax())
            if iou[i, best] >= min_iou:
                taken[i] = best
                iou[:, best] = -1
    counts = (taken >= 0) | ~in_ignored(predicted, image.ignored)
    return Matches(predicted[:, 3], taken, counts)


def in_ignored(predicted: Floats, ignored: Floats) -> NDArray[np.bool_]:
    """Predictions that are centred in an ignored circle, or have half of their area in one."""
    if not len(ignored) or not len(predicted):
        return np.zeros(len(predicted), bool)
    distance = np.hypot(
        predicted[:, None, 0] - ignored[None, :, 0], predicted[:, None, 1] - ignored[None, :, 1]
    )
    lens = lens_area(distance, predicted[:, None, 2], ignored[None, :, 2])
    share = lens / (np.pi * predicted[:, None, 2] ** 2)
    return np.asarray(((distance <= ignored[None, :, 2]) | (share >= IGNORE_SHARE)).any(axis=1))


class Curve(NamedTuple):
    """Precision and recall at every score, best first."""

    score: Floats
    recall: Floats
    precision: Floats


def precision_recall(images: Sequence[CircleImage], min_iou: float = 0.5) -> Curve:
    """Over all images together; recall is nan where there is no truth."""
    matches = [match_circles(image, min_iou) for image in images]
    total = sum(len(image.truth) for image in images)
    score = np.concatenate([m.score[m.counts] for m in matches]) if matches else np.zeros(0)
    right = np.concatenate([m.truth[m.counts] >= 0 for m in matches]) if matches else np.zeros(0, bool)
    order = np.argsort(-score, kind="stable")
    score, right = score[order], right[order]
    hits = np.cumsum(right)
    recall = hits / total if total else np.full(len(hits), np.nan)
    return Curve(score, recall, hits / np.arange(1, len(hits) + 1))


def average_precision(images: Sequence[CircleImage], min_iou: float = 0.5) -> float:
    """AP at one IoU threshold; nan where there is no truth."""
    curve = precision_recall(images, min_iou)
    if not sum(len(image.truth) for image in images):
        return float("nan")
    if not len(curve.score):
        return 0.0
    envelope = np.maximum.accumulate(curve.precision[::-1])[::-1]
    places = np.searchsorted(curve.recall, RECALLS, side="left")
    reached = places < len(envelope)
    return float(np.where(reached, envelope[np.minimum(places, len(envelope) - 1)], 0.0).mean())


def mean_average_precision(images: Sequence[CircleImage], min_ious: Floats = WSI_IOUS) -> float:
    """Mean of AP over IoU thresholds."""
    return float(np.mean([average_precision(images, float(iou)) for iou in min_ious]))


class AtThreshold(NamedTuple):
    """What a user sees at one threshold."""

    found: int
    missed: int
    false: int

    @property
    def recall(self) -> float:
        """nan without truth."""
        total = self.found + self.missed
        return self.found / total if total else float("nan")

    @property
    def precision(self) -> float:
        """nan where nothing was predicted."""
        total = self.found + self.false
        return self.found / total if total else float("nan")


def at_threshold(images: Sequence[CircleImage], min_score: float, min_iou: float = 0.5) -> AtThreshold:
    """Counts over all images with the predictions at or over a score."""
    found = missed = false = 0
    for image in images:
        kept = image.predicted[image.predicted[:, 3] >= min_score]
        matches = match_circles(CircleImage(kept, image.truth, image.ignored), min_iou)
        hits = int((matches.truth >= 0).sum())
        found += hits
        missed += len(image.truth) - hits
        false += int((matches.counts & (matches.truth < 0)).sum())
    return AtThreshold(found, missed, false)


def best_f1(images: Sequence[CircleImage], min_iou: float = 0.5) -> tuple[float, float]:
    """The score at which F1 is highest, and that F1; (1, 0) where nothing is found."""
    curve = precision_recall(images, min_iou)
    if not len(curve.score) or not np.isfinite(curve.recall).all():
        return 1.0, 0.0
    f1 = 2 * curve.precision * curve.recall / np.maximum(curve.precision + curve.recall, 1e-12)
    best = int(f1.argmax())
    return float(curve.score[best]), float(f1[best])
