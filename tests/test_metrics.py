"""Circle metrics against pycocotools, AUC and ECE against counting, hand-worked cases."""

import contextlib
import io

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from gloinone.evaluation.detection import Pool
from gloinone.metrics import (
    COCO_IOUS,
    CircleImage,
    at_threshold,
    auc,
    average_precision,
    best_f1,
    calibration_error,
    mean_average_precision,
    precision_recall,
    rank_circles,
)

NONE = np.zeros((0, 3))


def _image(predicted, truth, ignored=NONE):
    return CircleImage(
        np.array(predicted, float).reshape(-1, 4), np.array(truth, float).reshape(-1, 3), ignored
    )


def test_hand_worked_average_precision():
    # scores .9 right, .8 wrong, .7 right; two truths: precision 1, 1/2, 2/3 at recall 1/2, 1/2, 1
    image = _image([[0, 0, 10, 0.9], [500, 0, 10, 0.8], [100, 0, 10, 0.7]], [[0, 0, 10], [100, 0, 10]])
    # 51 recalls of 0 to .5 read 1, the other 50 read 2/3
    assert average_precision([image]) == pytest.approx((51 * 1 + 50 * 2 / 3) / 101)


def test_second_circle_on_one_glomerulus_is_false():
    image = _image([[0, 0, 10, 0.9], [1, 0, 10, 0.8]], [[0, 0, 10]])
    counts = at_threshold([image], 0.0)
    assert (counts.found, counts.missed, counts.false) == (1, 0, 1)


def test_an_ap_takes_a_thousand_circles_and_counts_take_all():
    grid = np.stack(np.meshgrid(np.arange(40) * 100.0, np.arange(30) * 100.0), axis=-1).reshape(-1, 2)
    truth = np.column_stack([grid, np.full(1200, 20.0)])
    image = _image(np.column_stack([truth, np.linspace(1, 0.5, 1200)]), truth)
    assert at_threshold([image], 0.0) == (1200, 0, 0)
    assert average_precision([image]) == pytest.approx(84 / 101)  # recalls up to 1000 of 1200
    assert Pool([image], np.ones(1), np.array([True])).counts(np.array([2])) == (2400, 0, 0)


def test_ignored_truth_is_neither_missed_nor_false():
    cut = np.array([[200.0, 0, 10]])
    with_hit = _image([[0, 0, 10, 0.9], [203, 0, 10, 0.8]], [[0, 0, 10]], cut)
    without = _image([[0, 0, 10, 0.9]], [[0, 0, 10]], cut)
    for image in (with_hit, without):
        assert average_precision([image]) == 1
        assert at_threshold([image], 0.5)[1:] == (0, 0)


def test_no_truth_and_no_predictions():
    empty = _image([], [])
    assert np.isnan(average_precision([empty]))
    assert average_precision([_image([], [[0, 0, 5]])]) == 0
    assert best_f1([empty]) == (1.0, 0.0)
    assert len(precision_recall([]).score) == 0


def test_best_f1_is_where_counting_finds_it():
    rng = np.random.default_rng(3)
    truth = np.column_stack([np.arange(20) * 100.0, np.zeros(20), np.full(20, 10.0)])
    hits = np.column_stack([truth[:15], rng.uniform(0.4, 1, 15)])
    noise = np.column_stack(
        [np.arange(12) * 100.0, np.full(12, 500.0), np.full(12, 9.0), rng.uniform(0, 0.7, 12)]
    )
    images = [_image(np.vstack([hits, noise]), truth)]
    score, f1 = best_f1(images)

    def f1_at(cut: float) -> float:
        found, missed, false = at_threshold(images, cut)
        return 2 * found / (2 * found + missed + false)

    assert f1 == pytest.approx(f1_at(score))
    assert f1 == pytest.approx(max(f1_at(cut) for cut in images[0].predicted[:, 3]))


def test_agrees_with_pycocotools():
    # concentric circles of radii r < R have the circle IoU of their boxes: (r / R)^2
    rng = np.random.default_rng(11)
    images, truths, results = [], [], []
    for number in range(1, 7):
        truth = np.array([[300.0 * i, 300.0 * number, rng.uniform(20, 60)] for i in range(8)])
        found = rng.random(8) < 0.8
        hits = np.column_stack([truth[found, :2], truth[found, 2] * rng.uniform(0.7, 1.3, found.sum())])
        false = np.array([[300.0 * i + 150, 300.0 * number, 40.0] for i in range(5)])
        predicted = np.vstack([hits, false])
        predicted = np.column_stack([predicted, rng.permutation(1000)[: len(predicted)] / 1000])
        images.append(CircleImage(predicted, truth, NONE))
        truths += [_annotation(number, c, len(truths) + 1 + i) for i, c in enumerate(truth)]
        results += [_annotation(number, c, 0) | {"score": float(c[3])} for c in predicted]
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "images": [{"id": i} for i in range(1, 7)],
            "annotations": truths,
            "categories": [{"id": 1}],
        }
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    assert mean_average_precision(images, COCO_IOUS) == pytest.approx(evaluation.stats[0], abs=1e-9)
    assert average_precision(images, 0.5) == pytest.approx(evaluation.stats[1], abs=1e-9)
    assert average_precision(images, 0.75) == pytest.approx(evaluation.stats[2], abs=1e-9)


def _annotation(image: int, circle, number: int) -> dict[str, object]:
    cx, cy, r = (float(v) for v in circle[:3])
    return {
        "id": number,
        "image_id": image,
        "category_id": 1,
        "bbox": [cx - r, cy - r, 2 * r, 2 * r],
        "area": 4 * r * r,
        "iscrowd": 0,
    }


def test_only_truth_of_a_size_is_asked_for():
    # diameters 20 and 200; a found large one, a missed small one, false circles of both sizes
    image = _image([[0, 0, 100, 0.9], [1000, 0, 100, 0.8], [2000, 0, 10, 0.7]], [[0, 0, 100], [500, 0, 10]])
    small, large = image.of_size(0, 50), image.of_size(50, np.inf)
    assert at_threshold([small], 0.0) == (0, 1, 1)
    assert at_threshold([large], 0.0) == (1, 0, 1)
    assert average_precision([large]) == 1


def test_drawing_an_image_twice_is_having_it_twice():
    rng = np.random.default_rng(5)
    images = []
    for _ in range(3):
        truth = np.column_stack([np.arange(6) * 100.0, np.zeros(6), np.full(6, 20.0)])
        predicted = np.column_stack(
            [np.arange(9) * 100.0 + rng.normal(0, 5, 9), np.zeros(9), np.full(9, 20.0)]
        )
        images.append(_image(np.column_stack([predicted, rng.random(9)]), truth))
    ranking = rank_circles(images)
    times = np.array([3, 0, 1])
    drawn = [images[0], images[0], images[0], images[2]]
    assert ranking.average_precision(times) == pytest.approx(average_precision(drawn))
    assert ranking.average_precision() == average_precision(images)
    assert ranking.curve(times).best_f1() == best_f1(drawn)


def test_auc_counts_pairs_and_ties_half():
    rng = np.random.default_rng(2)
    scores, positive = rng.integers(0, 6, 80) / 5, rng.random(80) < 0.4
    pairs = scores[positive][:, None] - scores[~positive][None, :]
    assert auc(scores, positive) == pytest.approx(((pairs > 0) + (pairs == 0) / 2).mean())
    assert np.isnan(auc(scores, np.zeros(80, bool)))


def test_calibration_error_by_hand():
    # bins of .1: two at .95, of which one is right; three at .65, all right; one at 1, right, in the last bin
    confidence = np.array([0.95, 0.95, 0.65, 0.65, 0.65, 1.0])
    right = np.array([True, False, True, True, True, True])
    last = abs((0.95 + 0.95 + 1) / 3 - 2 / 3)
    assert calibration_error(confidence, right, 10) == pytest.approx((3 * last + 3 * 0.35) / 6)
    assert np.isnan(calibration_error(np.zeros(0), np.zeros(0, bool)))
