"""The detector over a slide: places in level-0 px, tiles that meet, borders, and batches that do not matter."""

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from gloinone.detection.circlenet import CircleMaps
from gloinone.detection.fuse import as_seen, folded, in_core
from gloinone.detection.predict import DetectConfig, Detected, Detector, PlacedTile, down_to_floor
from gloinone.records import Overview, Window
from gloinone.slide.reader import Slide, open_slide
from gloinone.slide.resolution import Resolution

MPP = 0.5
CONFIG = DetectConfig(mpp=2.0, edge_px=128, margin_um=60.0, floor=0.2, max_iou=0.35, batch_size=3)


class DotNetwork(nn.Module):
    """Says that a glomerulus of radius 20 px of the tile sits wherever the picture is black."""

    def forward(self, x: Tensor) -> CircleMaps:
        dark = 1 - functional.avg_pool2d(x.float().mean(1, keepdim=True), 4) / 255
        size = dark.shape[-2:]
        offset = torch.full((len(x), 2, *size), 0.5)
        return CircleMaps(torch.logit(dark.clamp(0.01, 0.99)), offset, torch.full((len(x), 1, *size), 5.0))


def _slide(folder: Path, centres: list[tuple[int, int]], width: int = 2600, height: int = 1900) -> Path:
    """White, with black squares of 16 px of the network's resolution at places on its grid."""
    pixels = np.full((height, width, 3), 255, np.uint8)
    for x, y in centres:
        cv2.rectangle(pixels, (x - 8, y - 8), (x + 7, y + 7), (0, 0, 0), -1)
    path = folder / "dots.png"
    cv2.imwrite(str(path), pixels)
    return path


def _overview(width: int, height: int) -> Overview:
    size = (width // 16, height // 16)
    window = Window(0, 0, width, height, *size)
    return Overview(window, np.zeros((size[1], size[0], 3), np.uint8), np.ones((size[1], size[0]), bool))


def _detector() -> Detector:
    return Detector(DotNetwork(), CONFIG, torch.device("cpu"))  # type: ignore[arg-type]


def _detect(
    detector: Detector,
    slide: Slide,
    overview: Overview,
    on_tile: Callable[[int, int], None] = lambda *_: None,
) -> Detected:
    return detector.detect(detector.read(slide, overview), on_tile)


def test_every_dot_is_found_once_where_it_is(tmp_path: Path):
    rng = np.random.default_rng(0)
    centres = [(int(x), int(y)) for x in range(60, 2600, 240) for y in range(60, 1900, 240)]
    centres = [(x + int(rng.integers(-16, 17)), y + int(rng.integers(-16, 17))) for x, y in centres]
    told: list[tuple[int, int]] = []
    with open_slide(_slide(tmp_path, centres), "dots.png", Resolution(MPP, "option")) as slide:
        found = _detect(_detector(), slide, _overview(2600, 1900), lambda *step: told.append(step))
    assert found.n_tiles > 3
    assert told == [(i + 1, found.n_tiles) for i in range(found.n_tiles)]
    assert found.unread == ()
    assert len(found.circles) == len(centres)
    distance = np.hypot(*(found.circles[:, None, :2] - np.array(centres)[None]).transpose(2, 0, 1))
    # a cell of the output is 16 level-0 px
    assert distance.min(axis=1).max() < 12
    assert len(set(distance.argmin(axis=1))) == len(centres)
    assert found.circles[:, 2] == pytest.approx(np.full(len(centres), 80.0), rel=0.02)


def test_a_dot_at_the_corner_is_found_and_its_reflection_is_not(tmp_path: Path):
    with open_slide(_slide(tmp_path, [(8, 8)], 900, 700), "dots.png", Resolution(MPP, "option")) as slide:
        found = _detect(_detector(), slide, _overview(900, 700))
    assert len(found.circles) == 1
    assert (found.circles[0, :2] >= 0).all()
    assert found.circles[0, :2] == pytest.approx((8, 8), abs=12)


def test_no_tissue_is_no_tile(tmp_path: Path):
    overview = _overview(900, 700)
    empty = Overview(overview.window, overview.pixels, np.zeros_like(overview.tissue))
    with open_slide(_slide(tmp_path, [(300, 300)], 900, 700), "dots.png", Resolution(MPP, "option")) as slide:
        found = _detect(_detector(), slide, empty)
    assert found.n_tiles == 0
    assert found.circles.shape == (0, 4)


def test_a_result_does_not_depend_on_its_neighbours():
    from gloinone.detection.circlenet import CircleNet
    from gloinone.learning.backbones import Normalise, ResNetFeatures

    torch.manual_seed(1)
    network = CircleNet(Normalise((120, 110, 100), (60, 60, 60)), ResNetFeatures("resnet18"), 16)
    detector = Detector(network, DetectConfig(2.0, 64, 10.0, 0.0, 0.35, batch_size=3), torch.device("cpu"))
    rng = np.random.default_rng(2)
    pictures = rng.integers(0, 256, (4, 64, 64, 3), dtype=np.uint8)
    window = Window(0, 0, 64, 64, 64, 64)
    tiles = [PlacedTile(p, window, (0.0, 0.0, 64.0, 64.0)) for p in pictures]
    alone = detector.circles_of(tiles[:1])
    assert len(alone)
    # the fourth tile is alone in its batch, padded with zeros; in reverse order it shares one
    assert np.array_equal(
        detector._predict(list(pictures[:1]), 3), detector._predict(list(pictures[:3]), 3)[:1]
    )
    assert np.array_equal(alone, detector.circles_of(tiles[:1]))


class ShiftedNetwork(DotNetwork):
    """Places everything a cell too far left or right, as the padding of its tile happens to say."""

    def __init__(self, shift: float) -> None:
        super().__init__()
        self.shift = shift

    def forward(self, x: Tensor) -> CircleMaps:
        maps = super().forward(x)
        return maps._replace(offset=maps.offset + torch.tensor([self.shift, 0.0]).view(1, 2, 1, 1))


def test_a_glomerulus_on_the_border_of_two_cores_is_not_left_to_the_other():
    # the same dot at x 64 of two tiles whose cores meet there; each says it lies in the other's
    picture = np.full((128, 128, 3), 255, np.uint8)
    picture[60:68, 60:68] = 0
    window = Window(0, 0, 128, 128, 128, 128)
    detector = _detector()
    left = PlacedTile(picture, window, (0.0, 0.0, 64.0, 128.0))
    right = PlacedTile(picture, window, (64.0, 0.0, 128.0, 128.0))
    found = []
    for tile, way in ((left, 1.0), (right, -1.0)):
        detector.network = ShiftedNetwork(way)  # type: ignore[assignment]
        found.append(detector.circles_of([tile]))
    assert all(len(circles) for circles in found)


def test_a_glomerulus_on_the_border_that_is_placed_beyond_it_is_not_lost(tmp_path: Path):
    # its centre lies 4 px within; the network says 12 px beyond, and what it reflects scores no better
    with open_slide(_slide(tmp_path, [(4, 300)], 900, 700), "dots.png", Resolution(MPP, "option")) as slide:
        detector = _detector()
        detector.network = ShiftedNetwork(-1.0)  # type: ignore[assignment]
        found = _detect(detector, slide, _overview(900, 700))
    assert len(found.circles) == 1
    assert 0 <= found.circles[0, 0] < 24
    assert found.circles[0, 1] == pytest.approx(300, abs=12)


def test_folding_moves_what_lies_beyond_and_nothing_else():
    inside = np.random.default_rng(0).uniform(0, 90, (50, 4))
    np.testing.assert_array_equal(folded(inside, (90, 100)), inside)
    beyond = np.array([[-3.0, 104.0, 9, 0.5], [90.0, 100.0, 9, 0.5], [500.0, -500.0, 9, 0.5]])
    moved = folded(beyond, (90, 100))
    assert moved[0].tolist() == [3.0, 96.0, 9, 0.5]
    assert in_core(moved, (0, 0, 90, 100)).all()


def test_the_card_says_how_many_circles_a_tile_may_have():
    picture = np.full((128, 128, 3), 255, np.uint8)
    for x in (20, 60, 100):
        picture[60:64, x : x + 4] = 0  # one cell of the output
    tile = PlacedTile(picture, Window(0, 0, 128, 128, 128, 128), (0.0, 0.0, 128.0, 128.0))
    for most, found in ((100, 3), (2, 2)):
        config = replace(CONFIG, max_per_tile=most)
        detector = Detector(DotNetwork(), config, torch.device("cpu"))  # type: ignore[arg-type]
        assert len(detector.circles_of([tile])) == found


def test_when_the_network_fails_nobody_reads_on(tmp_path: Path):
    """The caller then closes the slide: a read under way would crash the program."""

    class Failing(DotNetwork):
        def forward(self, x: Tensor) -> CircleMaps:
            raise MemoryError("no room on the device")

    detector = _detector()
    detector.network = Failing()  # type: ignore[assignment]
    with open_slide(_slide(tmp_path, []), "dots.png", Resolution(MPP, "option")) as slide:
        with pytest.raises(MemoryError) as caught:  # whose traceback keeps every frame alive
            _detect(detector, slide, _overview(2600, 1900))
        assert not [t for t in threading.enumerate() if t.name.startswith("read")]
    del caught


def test_what_lies_beyond_the_border_does_not_count():
    circles = np.array([[50.0, 0, 10, 0.8], [50, 95, 10, 0.8], [50, 50, 10, 0.8], [10, 50, 10, 0.8]])
    seen = as_seen(circles, (100, 100))
    np.testing.assert_array_equal(seen[:, :3], circles[:, :3])
    assert seen[0, 3] == pytest.approx(0.4)
    assert 0.4 < seen[1, 3] < 0.8
    assert seen[2:, 3].tolist() == [0.8, 0.8]  # touching is not crossing


def test_a_dot_on_the_border_falls_below_the_floor_for_what_is_not_seen_of_it(tmp_path: Path):
    with open_slide(_slide(tmp_path, [(4, 300)], 900, 700), "dots.png", Resolution(MPP, "option")) as slide:
        detector = _detector()
        found = _detect(detector, slide, _overview(900, 700)).circles
        assert len(found) == 1
        detector.config = replace(detector.config, floor=float(found[0, 3]) * 1.01)
        assert len(_detect(detector, slide, _overview(900, 700)).circles) == 0


@pytest.mark.parametrize(
    ("scores", "deepest", "kept"),
    [
        ([0.6, 0.3, 0.19, 0.1, 0.05, 0.02], 0.03, 3),  # three for the one that is sure
        ([0.6, 0.19, 0.02], 0.03, 2),  # nothing under the deepest floor
        ([0.6, 0.3, 0.25, 0.22, 0.21, 0.19], 0.03, 5),  # all over the floor, however many
        ([0.4, 0.3, 0.19], 0.03, 2),  # nobody is sure
        ([0.6, 0.3, 0.19], None, 2),
        ([0.5, 0.2], None, 2),  # at the threshold, at the floor
        ([], 0.03, 0),
    ],
)
def test_circles_go_further_down_where_few_lie_over_the_floor(
    scores: list[float], deepest: float | None, kept: int
) -> None:
    config = replace(CONFIG, threshold=0.5, deepest_floor=deepest)
    circles = np.column_stack([np.zeros((len(scores), 3)), scores])
    assert down_to_floor(circles, config)[:, 3].tolist() == scores[:kept]


@pytest.mark.parametrize(("usual", "kept"), [(None, 30), (0.0, 30), (2.0, 60)])
def test_circles_that_would_be_raised_to_the_threshold_are_sure(usual: float | None, kept: int) -> None:
    """Ten reach the threshold, with log-odds of .4; of them 2.0 are usual, so scores of .3 would reach it, too."""
    scores = [0.6] * 10 + [0.3] * 10 + [0.05] * 80
    config = replace(CONFIG, threshold=0.5, floor=0.4, deepest_floor=0.03, kept_log_odds=usual)
    circles = np.column_stack([np.zeros((len(scores), 3)), scores])
    assert len(down_to_floor(circles, config)) == kept


def test_what_lies_under_the_floor_is_kept_beside_a_sure_one(tmp_path: Path) -> None:
    path = _slide(tmp_path, [(4, 300), (500, 300)], 900, 700)  # of the first, half is seen
    with open_slide(path, "dots.png", Resolution(MPP, "option")) as slide:
        detector = _detector()
        found = _detect(detector, slide, _overview(900, 700)).circles
        assert len(found) == 2
        sure = float(found[0, 3])
        assert sure > found[1, 3]
        for deepest, count in ((None, 1), (0.1, 2)):
            detector.config = replace(CONFIG, floor=sure, threshold=sure, deepest_floor=deepest)
            assert len(_detect(detector, slide, _overview(900, 700)).circles) == count
