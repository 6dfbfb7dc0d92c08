"""What a detector's card says of its held-out slides: scores with intervals over patients."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gloinone.detection.build import build_network
from gloinone.detection.make import (
    AP_IOUS,
    DEEPEST_FLOOR,
    MakeConfig,
    ap_of_draws,
    judged_card,
    recall_of_draws,
    start_card,
)
from gloinone.detection.train import detector_recipe
from gloinone.levelling import mean_log_odds
from gloinone.metrics import CircleImage, at_threshold, average_precision, mean_average_precision
from gloinone.weights.store import save_model


def image_of(seed: int, truths: int = 6) -> CircleImage:
    """Circles far apart, found with an IoU that varies, and some that are false."""
    rng = np.random.default_rng(seed)
    truth = np.column_stack([500.0 * np.arange(truths), np.zeros(truths), np.full(truths, 80.0)])
    moved = truth + rng.normal(0, 12, truth.shape)
    false = np.column_stack([500.0 * np.arange(3), np.full(3, 5000.0), np.full(3, 80.0)])
    found = np.concatenate([moved, false])
    return CircleImage(np.column_stack([found, rng.random(len(found))]), truth, np.zeros((0, 3)))


IMAGES = [image_of(seed) for seed in range(5)]


def test_scores_of_draws_are_those_of_the_drawn_images() -> None:
    for drawn in (np.arange(5), np.array([0, 0, 3]), np.array([4, 1, 1, 1])):
        images = [IMAGES[i] for i in drawn]
        ap50, ap = (ap_of_draws(IMAGES, ious)(drawn) for ious in AP_IOUS.values())
        assert ap50 == pytest.approx(average_precision(images))
        assert ap == pytest.approx(mean_average_precision(images))
        assert recall_of_draws(IMAGES, 0.4)(drawn) == pytest.approx(at_threshold(images, 0.4).recall)
    assert np.isnan(recall_of_draws([image_of(1, truths=0)], 0.4)(np.array([0])))


def test_where_nothing_is_found_the_threshold_stays(tmp_path: Path) -> None:
    config = replace(MakeConfig(out=tmp_path, recipe=detector_recipe()), arch="resnet18")
    card = start_card(config, [], [])
    blind = [replace(image, predicted=np.zeros((0, 4))) for image in IMAGES]
    same = judged_card(card, blind, "abcde", config, None)
    assert (same.threshold, same.kept_log_odds) == (card.threshold, None)
    judged = judged_card(card, IMAGES, "abcde", config, None)
    assert judged.threshold != card.threshold
    assert judged.threshold is not None
    assert judged.deepest_floor == DEEPEST_FLOOR
    scores = np.concatenate([image.predicted[:, 3] for image in IMAGES])
    assert judged.kept_log_odds == mean_log_odds(scores[scores >= judged.threshold])


def test_a_floor_that_lies_lower_is_the_deepest(tmp_path: Path) -> None:
    config = MakeConfig(
        out=tmp_path / "new", recipe=detector_recipe(), arch="resnet18", init=str(tmp_path / "low")
    )
    first = start_card(replace(config, init="none"), [], [])
    save_model(tmp_path / "low", build_network(first).state_dict(), replace(first, floor=0.02))
    card = judged_card(start_card(config, [], []), [], "", config, None)
    assert (card.floor, card.deepest_floor) == (0.02, 0.02)


@pytest.mark.parametrize("recall_at", [None, 0.3])
def test_intervals_are_over_patients_and_one_patient_has_none(
    recall_at: float | None, tmp_path: Path
) -> None:
    config = replace(MakeConfig(out=tmp_path, recipe=detector_recipe()), arch="resnet18")
    card = start_card(config, [], [])
    for patients, is_known in (("abcde", True), ("aabbb", True), ("aaaaa", False)):
        rows = judged_card(card, IMAGES, patients, config, recall_at).measured
        assert len(rows) == (1 if recall_at else 2)
        for row in rows:
            if is_known:
                assert row.low is not None
                assert row.high is not None
                assert row.low < row.value < row.high
            else:
                assert (row.low, row.high) == (None, None)
