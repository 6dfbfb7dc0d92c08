"""Scores of circles against truth: matching, average precision, recall and precision; AUC and ECE; numpy only.

COCO's rules on circle IoU (Yang et al. 2020, section 3): over all images the predictions are taken best first,
each takes the free truth of highest IoU at or over the threshold; precision is made monotonous and read at 101
recalls. Ignored truths are never missed and whoever finds one is neither right nor wrong.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
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
"""Per slide in an AP, WSI protocol."""
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
    radii: tuple[float, float] = (0.0, float("inf"))
    """A prediction from the first up to the second counts as false where it finds nothing; others do not count."""

    def of_size(self, low: float, high: float) -> "CircleImage":
        """The same where only truth of a radius from ``low`` to under ``high`` is asked for (COCO's area ranges)."""
        inside = (self.truth[:, 2] >= low) & (self.truth[:, 2] < high)
        ignored = np.concatenate([self.ignored, self.truth[~inside]])
        return CircleImage(self.predicted, self.truth[inside], ignored, (low, high))


class Matches(NamedTuple):
    """Of one image, predictions best first."""

    score: Floats
    """(N,)."""
    truth: NDArray[np.int64]
    """(N,) which truth each took; -1 none."""
    counts: NDArray[np.bool_]
    """(N,) False where the prediction is neither right nor wrong."""


def match_circles(image: CircleImage, min_iou: float, max_detections: int | None = None) -> Matches:
    """Greedy matching at one IoU threshold; ``max_detections``: only so many of the best."""
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
    of_size = (predicted[:, 2] >= image.radii[0]) & (predicted[:, 2] < image.radii[1])
    counts = (taken >= 0) | (of_size & ~in_ignored(predicted, image.ignored))
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


def fits_one(circles: Floats, truth: Floats, min_iou: float) -> NDArray[np.bool_]:
    """(N,) whether (N, 3+) circles have this IoU with one of (M, 3)."""
    if not len(circles) or not len(truth):
        return np.zeros(len(circles), np.bool_)
    return np.asarray((circle_iou(circles, truth) >= min_iou).any(axis=1))


class Curve(NamedTuple):
    """Precision and recall at every score, best first."""

    score: Floats
    recall: Floats
    precision: Floats

    def best_f1(self) -> tuple[float, float]:
        """The score at which F1 is highest, and that F1; (1, 0) where nothing is found."""
        if not len(self.score) or not np.isfinite(self.recall).all():
            return 1.0, 0.0
        f1 = 2 * self.precision * self.recall / np.maximum(self.precision + self.recall, 1e-12)
        best = int(f1.argmax())
        return float(self.score[best]), float(f1[best])


@dataclass(frozen=True)
class Ranking:
    """The predictions of several images that count, best first: matched once, scored for any draw of images.

    ``times`` of the methods: (I,) how often each image is drawn in a bootstrap; None: each once.
    """

    score: Floats
    """(N,)."""
    right: NDArray[np.bool_]
    """(N,) whether it found a glomerulus."""
    image: NDArray[np.intp]
    """(N,) number of its image."""
    truths: NDArray[np.intp]
    """(I,) glomeruli of each image."""

    def curve(self, times: NDArray[np.intp] | None = None) -> Curve:
        """Precision and recall at every score; recall is nan where there is no truth."""
        score, hits, false = self.steps(times)
        total = self.total(times)
        recall = hits / total if total else np.full(len(hits), np.nan)
        return Curve(score, recall, hits / np.maximum(hits + false, 1))

    def steps(self, times: NDArray[np.intp] | None = None) -> tuple[Floats, Floats, Floats]:
        """Score, and how many glomeruli were found and how many circles false down to it."""
        weight = np.ones(len(self.score), np.intp) if times is None else times[self.image]
        drawn = weight > 0
        weight, right = weight[drawn], self.right[drawn]
        hits = np.cumsum(weight * right, dtype=np.float64)
        return self.score[drawn], hits, np.cumsum(weight * ~right, dtype=np.float64)

    def total(self, times: NDArray[np.intp] | None = None) -> int:
        """Glomeruli to find."""
        return int(self.truths.sum() if times is None else (self.truths * times).sum())

    def average_precision(self, times: NDArray[np.intp] | None = None) -> float:
        """Mean precision at 101 recalls; nan where there is no truth."""
        if not self.total(times):
            return float("nan")
        curve = self.curve(times)
        if not len(curve.score):
            return 0.0
        envelope = np.maximum.accumulate(curve.precision[::-1])[::-1]
        places = np.searchsorted(curve.recall, RECALLS, side="left")
        reached = places < len(envelope)
        return float(np.where(reached, envelope[np.minimum(places, len(envelope) - 1)], 0.0).mean())


def rank_circles(
    images: Sequence[CircleImage], min_iou: float = 0.5, max_detections: int | None = MAX_DETECTIONS
) -> Ranking:
    """Matches every image at one IoU threshold; ``max_detections``: of an image only so many of the best."""
    matches = [match_circles(image, min_iou, max_detections) for image in images]
    score = np.concatenate([np.zeros(0), *(m.score[m.counts] for m in matches)])
    right = np.concatenate([np.zeros(0, bool), *(m.truth[m.counts] >= 0 for m in matches)])
    image = np.repeat(np.arange(len(matches)), [int(m.counts.sum()) for m in matches])
    order = np.argsort(-score, kind="stable")
    truths = np.array([len(image.truth) for image in images], np.intp)
    return Ranking(score[order], right[order], image[order], truths)


def precision_recall(images: Sequence[CircleImage], min_iou: float = 0.5) -> Curve:
    """Over all images together; recall is nan where there is no truth."""
    return rank_circles(images, min_iou).curve()


def average_precision(images: Sequence[CircleImage], min_iou: float = 0.5) -> float:
    """AP at one IoU threshold; nan where there is no truth."""
    return rank_circles(images, min_iou).average_precision()


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
        matches = match_circles(replace(image, predicted=kept), min_iou)
        hits = int((matches.truth >= 0).sum())
        found += hits
        missed += len(image.truth) - hits
        false += int((matches.counts & (matches.truth < 0)).sum())
    return AtThreshold(found, missed, false)


def best_f1(images: Sequence[CircleImage], min_iou: float = 0.5) -> tuple[float, float]:
    """The score at which F1 is highest, and that F1; (1, 0) where nothing is found."""
    return precision_recall(images, min_iou).best_f1()


CALIBRATION_BINS = 15
"""As Guo et al. 2017 have it."""


def auc(scores: Floats, is_positive: NDArray[np.bool_]) -> float:
    """Share of pairs that are in the right order, ties half (Mann and Whitney 1947); nan without both kinds.

    >>> auc(np.array([.1, .4, .4, .8]), np.array([False, False, True, True]))
    0.875
    """
    positives = int(is_positive.sum())
    negatives = len(is_positive) - positives
    if not positives or not negatives:
        return float("nan")
    _, place, count = np.unique(scores, return_inverse=True, return_counts=True)
    last_rank = np.cumsum(count)
    rank = last_rank - (count - 1) / 2  # the mean over ties
    rank_sum = float(rank[place][is_positive].sum())
    return (rank_sum - positives * (positives + 1) / 2) / (positives * negatives)


@dataclass(frozen=True)
class Reliability:
    """Of bins of equal width of confidence; nan where a bin is empty."""

    confidence: Floats
    """(B,) mean."""
    right: Floats
    """(B,) share that was right."""
    count: NDArray[np.intp]
    """(B,)."""


def reliability(confidence: Floats, right: NDArray[np.bool_], bins: int = CALIBRATION_BINS) -> Reliability:
    """How often what was said with a confidence of 0..1 was right, by bins; 1 belongs to the last."""
    place = np.minimum((confidence * bins).astype(np.intp), bins - 1)
    count = np.bincount(place, minlength=bins)
    some = np.where(count > 0, count, np.nan)
    return Reliability(
        np.bincount(place, confidence, bins) / some, np.bincount(place, right * 1.0, bins) / some, count
    )


def calibration_error(confidence: Floats, right: NDArray[np.bool_], bins: int = CALIBRATION_BINS) -> float:
    """ECE (Guo et al. 2017): mean distance of confidence and share right, bins by their numbers; nan for none.

    >>> round(calibration_error(np.array([.9, .9, .6, .6]), np.array([True, True, True, False]), 10), 6)
    0.1
    """
    if not len(confidence):
        return float("nan")
    found = reliability(confidence, right, bins)
    gaps = np.nan_to_num(np.abs(found.confidence - found.right))
    return float((gaps * found.count).sum() / len(confidence))
