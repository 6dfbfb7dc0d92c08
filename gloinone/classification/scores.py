"""How well five probabilities separate what a person named: at each level of the hierarchy that the truth knows."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from gloinone.classification.losses import allowed_classes
from gloinone.labels import GLOMERULUS, NONGLOMERULAR, NORMAL, SCLEROSED, SCLEROSED_KINDS, ClassRule, classify
from gloinone.learning.answers import Measure, ScoreOf
from gloinone.learning.bootstrap import interval
from gloinone.metrics import auc, calibration_error
from gloinone.weights.card import Measured

Floats = NDArray[np.float64]
TEMPERATURES = (0.25, 4.0)


def balanced_accuracy(found: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """Mean of sensitivity and specificity; nan without both kinds."""
    if truth.all() or not truth.any():
        return float("nan")
    return float((found[truth].mean() + (~found[~truth]).mean()) / 2)


def mean_recall(found: NDArray[np.str_], truth: NDArray[np.str_]) -> float:
    """Mean over the classes of the truth of the share of each that is found; nan with fewer than two classes."""
    classes = np.unique(truth)
    if len(classes) < 2:
        return float("nan")
    return float(np.mean([(found[truth == name] == name).mean() for name in classes]))


def softmax(logits: Floats, temperature: float = 1.0) -> Floats:
    """(N, K) probabilities."""
    powers = np.exp((logits - logits.max(axis=1, keepdims=True)) / temperature)
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float64)


def fit_temperature(logits: Floats, labels: Sequence[str]) -> float:
    """The temperature at which the truth is likeliest (Guo et al. 2017); 1 without crops.

    Truth that leaves several classes open counts by the sum of their probabilities.
    """
    if not len(labels):
        return 1.0

    def loss(log_temperature: float) -> float:
        return -likelihood(softmax(logits, float(np.exp(log_temperature))), labels)

    low, high = np.log(TEMPERATURES)
    return float(np.exp(minimize_scalar(loss, bounds=(low, high), method="bounded").x))


def sclerosed_share(probabilities: Floats) -> Floats:
    """(N,) p_sclerosed / (1 - p_nonglomerular): what the rule cuts."""
    return np.asarray(
        probabilities[:, 1:4].sum(axis=1) / np.maximum(1e-12, 1 - probabilities[:, 4]), np.float64
    )


NAMED = (NORMAL, SCLEROSED, *SCLEROSED_KINDS)
GLOMERULI = (GLOMERULUS, *NAMED)
LEVELS = {"auc_glomerulus": "AUC glomerulus vs none", "auc_sclerosed": "AUC sclerosed vs normal"}
"""Scores that need no threshold, one for each level of the hierarchy."""
KIND = "balanced accuracy kind of sclerosis, given sclerosed"
COMPARED = (*LEVELS.values(), KIND)
"""Of two classifiers: none of them knows a cut."""


def likelihood(probabilities: Floats, labels: Sequence[str]) -> float:
    """Mean log of the probability of what the truth leaves open; 0 is perfect, nan without crops."""
    if not len(labels):
        return float("nan")
    open_part = (probabilities * allowed_classes(list(labels))).sum(axis=1)
    return float(np.log(np.maximum(open_part, 1e-12)).mean())


def score_of_level(
    probabilities: Floats, labels: Sequence[str], level: str, items: NDArray[np.intp]
) -> float:
    """One of LEVELS over some of the crops; nan where they lack one of the two kinds."""
    names = np.array(labels)[items]
    if level == "auc_glomerulus":
        return auc(1 - probabilities[items, 4], np.isin(names, GLOMERULI))
    named = np.isin(names, NAMED)
    return auc(sclerosed_share(probabilities[items])[named], names[named] != NORMAL)


def calls_of(probabilities: Floats, rule: ClassRule) -> NDArray[np.bool_]:
    """(N, 2) whether the rule calls each a glomerulus, and, if it is one, sclerosed."""
    kept = [classify(tuple(row), rule) != NONGLOMERULAR for row in probabilities]
    return np.column_stack([np.array(kept, np.bool_), sclerosed_share(probabilities) >= rule.sclerosed_cut])


def class_measures(probabilities: Floats, labels: Sequence[str], calls: NDArray[np.bool_]) -> list[Measure]:
    """AUC and balanced accuracy of each level, and the calibration error of the state; ``calls`` as `calls_of`."""
    names = np.array(labels)
    is_glomerulus, is_sclerosed = np.isin(names, GLOMERULI), names != NORMAL
    share = sclerosed_share(probabilities)
    likeliest = np.array(SCLEROSED_KINDS)[probabilities[:, 1:4].argmax(axis=1)]
    likelier, right = np.maximum(share, 1 - share), (share >= 0.5) == is_sclerosed
    everything, named = np.arange(len(names)), np.flatnonzero(np.isin(names, NAMED))

    def auc_of(level: str) -> ScoreOf:
        return lambda i: score_of_level(probabilities, labels, level, i)

    return [
        Measure(LEVELS["auc_glomerulus"], everything, auc_of("auc_glomerulus")),
        Measure(
            "balanced accuracy glomerulus vs none",
            everything,
            lambda i: balanced_accuracy(calls[i, 0], is_glomerulus[i]),
        ),
        Measure(LEVELS["auc_sclerosed"], named, auc_of("auc_sclerosed")),
        Measure(
            "balanced accuracy sclerosed vs normal",
            named,
            lambda i: balanced_accuracy(calls[i, 1], is_sclerosed[i]),
        ),
        Measure(
            KIND,
            np.flatnonzero(np.isin(names, SCLEROSED_KINDS)),
            lambda i: mean_recall(likeliest[i], names[i]),
        ),
        Measure("ECE sclerosed vs normal", named, lambda i: calibration_error(likelier[i], right[i])),
    ]


def measured_classes(
    probabilities: Floats, labels: Sequence[str], groups: Sequence[str], rule: ClassRule, on: str
) -> list[Measured]:
    """Every class measure with its interval over patients; what cannot be measured is left out."""
    rows = []
    for measure in class_measures(probabilities, labels, calls_of(probabilities, rule)):
        own, score = measure.items, measure.score
        value = score(own) if len(own) else float("nan")
        if not np.isfinite(value):
            continue
        known = interval(lambda drawn, s=score, o=own: s(o[drawn]), [groups[i] for i in own])  # type: ignore[misc]
        rows.append(Measured.within(measure.what, on, len(own), value, known))
    return rows
