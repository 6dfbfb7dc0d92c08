"""Circles that several detectors, or views of one, agree on."""

import io
from itertools import permutations, product

import numpy as np
import pytest
import torch

from gloinone.detection.ensemble import Ensemble
from gloinone.detection.predict import DetectConfig, Detected, Detector, PlacedTile
from gloinone.detection.views import TTA_VIEWS, View
from gloinone.detection.voting import VoteConfig, common_threshold, rescaled, vote
from gloinone.geometry import circle_iou
from gloinone.records import Window

NMS = 0.35


def circles(*rows: tuple[float, float, float, float]) -> np.ndarray:
    return np.array(rows, np.float64).reshape(-1, 4)


def test_circles_merge_to_their_weighted_mean_and_their_votes_are_counted() -> None:
    found = vote(
        [circles((100, 100, 40, 0.6)), circles((110, 100, 50, 0.2), (500, 500, 30, 0.5))], VoteConfig(), NMS
    )
    # (100 * .6 + 110 * .2) / .8 and (40 * .6 + 50 * .2) / .8; mean score .4; the third had one vote
    np.testing.assert_allclose(found, [[102.5, 100, 42.5, 0.4, 2]])


def test_a_circle_is_kept_with_enough_votes_or_with_a_high_score() -> None:
    three = [circles((0, 0, 10, 0.95), (100, 0, 10, 0.5), (200, 0, 10, 0.5))]
    three += [circles((100, 0, 10, 0.3), (200, 0, 10, 0.5)), circles((200, 0, 10, 0.5))]
    for votes, kept in ((1, [0, 100, 200]), (2, [0, 100, 200]), (3, [0, 200])):
        found = vote(three, VoteConfig(min_votes=votes), NMS)
        assert sorted(found[:, 0]) == kept
    found = vote(three, VoteConfig(min_votes=3, sure_score=0.99), NMS)
    assert found[:, 0].tolist() == [200]
    assert found[:, 4].tolist() == [3]


def test_a_sure_circle_does_not_fall_because_another_voter_agrees() -> None:
    two = [circles((0, 0, 10, 0.95)), circles((0, 0, 10, 0.5)), circles()]
    (found,) = vote(two, VoteConfig(min_votes=3), NMS)
    assert found[4] == 2


def test_just_under_the_iou_they_are_two() -> None:
    """Equal circles of radius 1 a distance d apart."""
    for distance, merged in ((0.52, True), (0.53, False)):
        pair = [circles((0, 0, 1, 0.5)), circles((distance, 0, 1, 0.5))]
        assert (circle_iou(pair[0], pair[1])[0, 0] > 0.5) == merged
        assert len(vote(pair, VoteConfig(), NMS)) == int(merged)


def test_a_voter_counts_once() -> None:
    pair = circles((0, 0, 10, 0.5), (5, 0, 10, 0.4))
    found = vote([pair, circles((0, 0, 10, 0.3))], VoteConfig(), 0.99)
    np.testing.assert_allclose(found, [[0, 0, 10, 0.4, 2]])


def test_one_voter_is_left_as_it_is() -> None:
    alone = circles((0.1, 0.2, 10, 1 / 3), (1, 1, 9, 0.01))
    found = vote([alone], VoteConfig(), NMS)
    np.testing.assert_array_equal(found[:, :4], alone)
    assert found[:, 4].tolist() == [1, 1]
    assert vote([circles()], VoteConfig(), NMS).shape == (0, 5)
    assert vote([circles(), circles()], VoteConfig(), NMS).shape == (0, 5)


def test_the_order_of_the_voters_changes_nothing() -> None:
    rng = np.random.default_rng(0)
    truth = np.column_stack([rng.uniform(0, 2000, (40, 2)), rng.uniform(20, 60, 40)])
    voters = []
    for _ in range(4):
        seen = truth[rng.random(40) < 0.7] + rng.normal(0, 4, (1, 3))
        seen = seen + rng.normal(0, 3, seen.shape)
        voters.append(np.column_stack([seen, rng.choice([0.3, 0.5, 0.7], len(seen))]))
    voters[1][0] = voters[0][0]  # the very same circle, too
    first = vote(voters, VoteConfig(), NMS)
    assert 10 < len(first) < 41
    for order in permutations(range(4)):
        np.testing.assert_array_equal(vote([voters[i] for i in order], VoteConfig(), NMS), first)


def test_what_is_kept_has_no_doubles() -> None:
    """Two pairs that agree among themselves, and nearly with each other."""
    left, right = (0, 0, 10, 0.9), (7, 0, 10, 0.6)
    found = vote([circles(left), circles(left), circles(right), circles(right)], VoteConfig(), NMS)
    assert found.tolist() == [[0, 0, 10, 0.9, 2]]


def test_of_doubles_the_one_stays_whose_votes_weigh_more() -> None:
    """Overlapping circles, just not one: by their mean score alone the other of each pair would stay."""
    left, right = (0, 0, 10), (5.5, 0, 10)
    assert NMS < circle_iou(circles((*left, 0)), circles((*right, 0)))[0, 0] < 0.5
    for some, others, stays in (
        ([0.95], [0.6, 0.6], right),  # one sure vote against two
        ([0.9, 0.9], [0.8, 0.8, 0.8, 0.8], right),
        ([0.8, 0.8, 0.8], [0.08, 0.08, 0.08, 0.08], left),  # many votes that say next to nothing
        ([0.5, 0.5], [0.6, 0.6], right),  # as many votes: the surer ones
    ):
        voters = [circles((*left, score)) for score in some] + [circles((*right, s)) for s in others]
        for turn in range(len(voters)):
            (found,) = vote(voters[turn:] + voters[:turn], VoteConfig(), NMS)
            np.testing.assert_allclose(found[:3], stays)


def test_every_view_is_brought_back() -> None:
    height, width = 40, 60
    places = np.array([[50.5, 10.5, 3.0, 0.9], [2.5, 33.5, 2.0, 0.4]])
    tile = torch.zeros(1, 1, height, width)
    for x, y, _, score in places:
        tile[0, 0, int(y), int(x)] = score
    shapes = set()
    for turns, mirrored in product(range(4), (False, True)):
        view = View(turns, mirrored)
        seen = view.of(tile)
        shapes.add((tuple(seen.shape[2:]), turns % 2))
        rows, columns = np.nonzero(seen[0, 0].numpy())
        scores = seen[0, 0].numpy()[rows, columns]
        found = np.column_stack([columns + 0.5, rows + 0.5, np.where(scores > 0.5, 3.0, 2.0), scores])
        back = view.back(found[np.argsort(-scores)], height, width)
        np.testing.assert_allclose(back, places, rtol=1e-6)
    assert shapes == {((40, 60), 0), ((60, 40), 1)}
    assert len({(view.turns, view.mirrored) for view in TTA_VIEWS}) == 4


def _detector(views: tuple[View, ...]) -> Detector:
    from gloinone.detection.circlenet import CircleNet
    from gloinone.learning.backbones import Normalise, ResNetFeatures

    torch.manual_seed(1)
    network = CircleNet(Normalise((120, 110, 100), (60, 60, 60)), ResNetFeatures("resnet18"), 16)
    torch.nn.init.constant_(network.radius[-1].bias, 3.0)  # type: ignore[arg-type]
    return Detector(network, DetectConfig(2.0, 64, 10.0, 1e-3, 1.0), torch.device("cpu"), views)


def test_a_detector_looks_in_every_view_it_was_given() -> None:
    """A tile turned half round, seen as it is, shows what the tile shows turned half round."""
    pixels = np.random.default_rng(2).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    window, core = Window(0, 0, 96, 64, 96, 64), (0.0, 0.0, 96.0, 64.0)
    plain, turned = _detector((View(), View(2))).circles_of_views([PlacedTile(pixels, window, core)])
    other = _detector((View(),)).circles_of([PlacedTile(pixels[::-1, ::-1].copy(), window, core)])
    assert 5 < len(turned) == len(other)
    turned[:, 0], turned[:, 1] = 96 - turned[:, 0], 64 - turned[:, 1]
    by_place = [c[np.lexsort(c[:, :2].round(2).T)] for c in (turned, other)]
    np.testing.assert_allclose(*by_place, atol=1e-4)
    assert plain.shape != other.shape or not np.allclose(plain, other)


class FixedDetector:
    """Says the same of every slide."""

    def __init__(self, max_iou: float, *views: np.ndarray) -> None:
        self.config = DetectConfig(2.0, 64, 10.0, 0.0, max_iou)
        self.found = Detected(views, ((0.0, 0.0, 1.0, max_iou),), 2)

    def read(self, slide: object, overview: object) -> io.BytesIO:
        return io.BytesIO()  # nothing but something to close

    def detect(self, tiles: io.BytesIO, on_tile: object) -> Detected:
        assert not tiles.closed
        tiles.close()
        on_tile(1, 2)  # type: ignore[operator]
        on_tile(2, 2)  # type: ignore[operator]
        return self.found


def test_detectors_and_their_views_vote_together() -> None:
    one = FixedDetector(0.5, circles((0, 0, 10, 0.4)), circles((0, 0, 10, 0.5), (90, 0, 10, 0.5)))
    other = FixedDetector(0.35, circles((0, 0, 10, 0.6)), circles())
    told: list[tuple[int, int]] = []
    ensemble = Ensemble([one, other], (0.3, 0.3), VoteConfig())  # type: ignore[list-item]
    found = ensemble.detect(ensemble.read(None, None), lambda *now: told.append(now))  # type: ignore[arg-type]
    assert found.circles.tolist() == [[0, 0, 10, pytest.approx(0.5), 3]]
    assert ensemble.max_iou == 0.35
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert set(found.unread) == {(0.0, 0.0, 1.0, 0.5), (0.0, 0.0, 1.0, 0.35)}


def test_scores_are_brought_to_the_common_threshold() -> None:
    scores = np.linspace(0, 1, 101)
    shown = np.column_stack([np.zeros((101, 3)), scores])
    for threshold, common in ((0.05, 0.155), (0.26, 0.155), (0.9, 0.5)):
        shared = rescaled(shown, threshold, common)[:, 3]
        assert (np.diff(shared) > 0).all()
        assert (shared[0], shared[-1]) == (0, 1)
        assert np.interp(threshold, scores, shared) == pytest.approx(common)
        # as if the last bias of the network had been moved
        logits = np.log(scores[1:-1] / (1 - scores[1:-1]))
        moved = logits + np.log(common / (1 - common)) - np.log(threshold / (1 - threshold))
        np.testing.assert_allclose(shared[1:-1], 1 / (1 + np.exp(-moved)))
        np.testing.assert_array_equal(shown[:, 3], scores)
    for threshold in (0.1, 0.26, 1 / 3, 0.0, 1.0):
        for several in (1, 2, 3, 7):
            assert rescaled(shown, threshold, common_threshold([threshold] * several)) is shown


def test_detectors_of_very_different_thresholds_weigh_the_same() -> None:
    """Two views of each: one detector's .06 is over its threshold, the other's .2 is not."""
    over, under, both = (0.0, 0, 10), (100.0, 0, 10), (200.0, 0, 10)
    low = FixedDetector(0.5, *[circles((*over, 0.06), (*both, 0.05))] * 2)
    high = FixedDetector(0.5, *[circles((*under, 0.2), (both[0] + 2, 0, 10, 0.26))] * 2)
    for pair, thresholds in (((low, high), (0.05, 0.26)), ((high, low), (0.26, 0.05))):
        ensemble = Ensemble(pair, thresholds, VoteConfig())  # type: ignore[arg-type]
        found = ensemble.detect(ensemble.read(None, None), lambda *_: None).circles  # type: ignore[arg-type]
        assert ensemble.threshold == pytest.approx(0.155)
        score = dict(zip(found[:, 0].round().tolist(), found[:, 3].tolist(), strict=True))
        assert score.keys() == {0, 100, 201}  # what both see lies midway: neither weighs more
        assert score[201] == pytest.approx(ensemble.threshold)
        assert score[100] < ensemble.threshold < score[0]


def test_one_detector_keeps_its_scores_to_the_digit() -> None:
    rng = np.random.default_rng(4)
    alone = np.column_stack([rng.uniform(0, 900, (50, 2)), np.full(50, 9.0), rng.random(50)])
    ensemble = Ensemble([FixedDetector(0.35, alone)], (0.26,), VoteConfig())  # type: ignore[list-item]
    found = ensemble.detect(ensemble.read(None, None), lambda *_: None).circles  # type: ignore[arg-type]
    assert found[:, :4].tobytes() == alone.tobytes()
    assert ensemble.threshold == 0.26


def test_it_is_said_where_one_of_the_voters_is_blind(caplog: pytest.LogCaptureFixture) -> None:
    """A detector that was imported with a wrong mpp finds nothing, and so the vote keeps nothing."""
    seeing, blind = (
        FixedDetector(0.5, circles((0, 0, 9, 0.5), (99, 0, 9, 0.4))),
        FixedDetector(0.5, circles()),
    )
    for pair, said in (((seeing, blind), True), ((seeing, seeing), False), ((blind, blind), False)):
        caplog.clear()
        ensemble = Ensemble(pair, (0.3, 0.3), VoteConfig())  # type: ignore[arg-type]
        ensemble.detect(ensemble.read(None, None), lambda *_: None)  # type: ignore[arg-type]
        assert ("1 of 2 votes have no circle at all, others up to 2" in caplog.text) == said
