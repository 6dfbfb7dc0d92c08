"""Scores against counts of pairs, scikit-learn, and cases worked by hand."""

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from gloinone.classification.scores import (
    balanced_accuracy,
    fit_temperature,
    mean_recall,
    measured_classes,
    softmax,
)
from gloinone.labels import ClassRule
from gloinone.metrics import auc


def test_auc_and_balanced_accuracy_agree_with_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 10, 200) / 10
    truth = rng.random(200) < 0.2 + 0.5 * scores
    assert auc(scores, truth) == pytest.approx(roc_auc_score(truth, scores))
    found = scores > 0.5
    assert balanced_accuracy(found, truth) == pytest.approx(balanced_accuracy_score(truth, found))


def test_one_kind_only_is_unknown() -> None:
    all_true = np.ones(3, np.bool_)
    assert np.isnan(auc(np.arange(3.0), all_true))
    assert np.isnan(balanced_accuracy(all_true, all_true))


def test_temperature_is_found_again() -> None:
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 1.5, (20_000, 5))
    names = ("normal", "obsolescent", "solidified", "disappearing", "non-glomerular")
    p = softmax(logits)
    labels = [names[rng.choice(5, p=row)] for row in p]
    assert fit_temperature(logits * 2.5, labels) == pytest.approx(2.5, rel=0.05)
    assert fit_temperature(np.empty((0, 5)), []) == 1.0


def test_measured_levels() -> None:
    labels = ["normal"] * 4 + ["sclerosed"] * 4 + ["glomerulus"] * 2 + ["non-glomerular"] * 4
    p = np.array([[0.8, 0.05, 0.03, 0.02, 0.1]] * 4 + [[0.1, 0.2, 0.3, 0.2, 0.2]] * 4)
    p = np.concatenate([p, [[0.3, 0.1, 0.0, 0.0, 0.6]] * 2, [[0.1, 0.0, 0.0, 0.0, 0.9]] * 4])
    groups = [f"p{i}" for i in range(len(labels))]
    rows = {m.what: m for m in measured_classes(p, labels, groups, ClassRule(), "drawn")}
    assert rows["AUC sclerosed vs normal"].value == 1
    assert rows["AUC sclerosed vs normal"].n == 8
    assert rows["AUC glomerulus vs none"].value == 1
    accuracy = rows["balanced accuracy glomerulus vs none"]
    assert accuracy.value == pytest.approx((8 / 10 + 1) / 2)  # two glomeruli fall to the cut
    assert accuracy.low <= accuracy.value <= accuracy.high
    only_normal = measured_classes(p[:4], labels[:4], groups[:4], ClassRule(), "drawn")
    (calibration,) = only_normal  # nothing is told apart, but how sure it is can be told
    assert (calibration.what, calibration.value) == ("ECE sclerosed vs normal", pytest.approx(0.1 / 0.9))


def test_the_kind_is_measured_among_the_sclerosed_alone() -> None:
    labels = ["obsolescent"] * 4 + ["solidified"] * 2 + ["disappearing", "sclerosed", "normal"]
    p = np.array(
        [[0.1, 0.5, 0.2, 0.1, 0.1]] * 3  # three of four obsolescent are right
        + [[0.8, 0.0, 0.1, 0.05, 0.05]]  # called normal; its kind would be solidified
        + [[0.1, 0.2, 0.5, 0.1, 0.1]] * 2
        + [[0.1, 0.5, 0.2, 0.1, 0.1]]  # the disappearing one is missed
        + [[0.1, 0.5, 0.2, 0.1, 0.1], [0.9, 0.1, 0.0, 0.0, 0.0]]
    )
    groups = [f"p{i}" for i in range(len(labels))]
    rows = {m.what: m for m in measured_classes(p, labels, groups, ClassRule(), "drawn")}
    kind = rows["balanced accuracy kind of sclerosis, given sclerosed"]
    assert kind.n == 7
    assert kind.value == pytest.approx((3 / 4 + 1 + 0) / 3)
    found, truth = np.array(labels), np.array(["obsolescent"] * 9)
    assert np.isnan(mean_recall(found, truth))
