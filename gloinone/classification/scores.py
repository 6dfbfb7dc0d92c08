"""How well five probabilities separate what a person named: at each level of the hierarchy that the truth knows."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from gloinone.classification.losses import allowed_classes
from gloinone.labels import GLOMERULUS, NONGLOMERULAR, NORMAL, SCLEROSED, SCLEROSED_KINDS, ClassRule, classify
from gloinone.learning.bootstrap import interval
from gloinone.metrics import auc
from gloinone.weights.card import Measured

Floats = NDArray[np.float64]
TEMPERATURES = (0.25, 4.0)


def balanced_accuracy(found: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """Mean of sensitivity and specificity; nan without both kinds."""
    if truth.all() or not truth.any():
        return float("nan")
    return float((found[truth].mean() + (~found[~truth]).mean()) / 2)


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
    allowed = allowed_classes(list(labels))

    def loss(log_temperature: float) -> float:
        p = (softmax(logits, float(np.exp(log_temperature))) * allowed).sum(axis=1)
        return float(-np.log(np.maximum(p, 1e-12)).mean())

    low, high = np.log(TEMPERATURES)
    return float(np.exp(minimize_scalar(loss, bounds=(low, high), method="bounded").x))


def sclerosed_share(probabilities: Floats) -> Floats:
    """(N,) p_sclerosed / (1 - p_nonglomerular): what the rule cuts."""
    return np.asarray(
        probabilities[:, 1:4].sum(axis=1) / np.maximum(1e-12, 1 - probabilities[:, 4]), np.float64
    )


def measured_classes(
    probabilities: Floats, labels: Sequence[str], groups: Sequence[str], rule: ClassRule, on: str
) -> list[Measured]:
    """AUC and balanced accuracy of both levels, with intervals over patients; what cannot be measured is left out."""
    names = np.array(labels)
    found = np.array([classify(tuple(row), rule) for row in probabilities])
    is_glomerulus = np.isin(names, (NORMAL, SCLEROSED, GLOMERULUS, *SCLEROSED_KINDS))
    is_named = np.isin(names, (NORMAL, SCLEROSED, *SCLEROSED_KINDS))
    is_sclerosed = names != NORMAL
    kept = found != NONGLOMERULAR
    share = sclerosed_share(probabilities)
    everything, named = np.arange(len(names)), np.flatnonzero(is_named)
    levels: list[tuple[str, NDArray[np.intp], Callable[[NDArray[np.intp]], float]]] = [
        (
            "AUC glomerulus vs none",
            everything,
            lambda i: auc(1 - probabilities[i, 4], is_glomerulus[i]),
        ),
        (
            "balanced accuracy glomerulus vs none",
            everything,
            lambda i: balanced_accuracy(kept[i], is_glomerulus[i]),
        ),
        ("AUC sclerosed vs normal", named, lambda i: auc(share[i], is_sclerosed[i])),
        (
            "balanced accuracy sclerosed vs normal",
            named,
            lambda i: balanced_accuracy(share[i] >= rule.sclerosed_cut, is_sclerosed[i]),
        ),
    ]
    rows = []
    for what, own, score in levels:
        value = score(own) if len(own) else float("nan")
        if not np.isfinite(value):
            continue
        low, high = interval(lambda drawn, s=score, o=own: s(o[drawn]), [groups[i] for i in own])  # type: ignore[misc]
        rows.append(Measured(what, on, len(own), value, low, high))
    return rows
