"""Hard examples: which circles count as false and which glomeruli as missed, that both are drawn, and kept."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch

from gloinone.detection.cases import Case
from gloinone.detection.circlenet import CircleMaps
from gloinone.detection.mining import false_circles, found_scores, mined
from gloinone.detection.predict import DetectConfig, Detector
from gloinone.detection.samples import SampleConfig, TileSampler
from gloinone.detection.validate import predict_case
from gloinone.metrics import CircleImage, at_threshold
from tests.detection.test_detection_samples import PLAIN, disc_case


class OnePlace(torch.nn.Module):
    """A network that takes one place of every tile for a glomerulus."""

    def forward(self, x: torch.Tensor) -> CircleMaps:
        size = x.shape[-1] // 4
        heat = torch.full((len(x), 1, size, size), -9.0)
        heat[..., size // 2, size // 2] = 2.0
        return CircleMaps(heat, torch.zeros(len(x), 2, size, size), torch.full((len(x), 1, size, size), 5.0))


def _detector() -> Detector:
    config = DetectConfig(mpp=2.0, edge_px=128, margin_um=40, floor=0.1, max_iou=0.35, batch_size=1)
    return Detector(OnePlace(), config, torch.device("cpu"))  # type: ignore[arg-type]


def test_what_touches_a_glomerulus_or_an_ignored_one_is_not_false():
    case = replace(disc_case(), ignored=np.array([[300.0, 100, 30]]))
    circles = np.array([[121.0, 150, 42, 0.9], [300, 100, 30, 0.8], [250, 300, 30, 0.3], [50, 400, 20, 0.5]])
    assert false_circles(circles, case)[:, 3].tolist() == [0.5, 0.3]


def test_a_glomerulus_has_the_best_score_of_the_circles_that_fit_it():
    case = replace(disc_case(), circles=np.array([[100.0, 100, 40], [300, 100, 40], [300, 300, 40]]))
    circles = np.array([[102.0, 100, 40, 0.3], [100, 103, 38, 0.6], [300, 100, 25, 0.9], [300, 300, 39, 0.8]])
    assert found_scores(circles, case).tolist() == [0.6, 0.0, 0.8]  # the second is far too small
    assert found_scores(np.zeros((0, 4)), case).tolist() == [0.0, 0.0, 0.0]
    assert found_scores(circles, replace(case, circles=np.zeros((0, 3)))).tolist() == []


def test_nothing_is_mined_where_the_truth_is_not_complete(tmp_path: Path):
    ring = np.array([[0.0, 0], [200, 0], [200, 680], [0, 680]])
    everywhere, inside, nowhere = mined(
        [disc_case(), replace(disc_case(), complete=(ring,)), replace(disc_case(), complete=())],
        _detector(),
        tmp_path / "false-circles.json",
        lambda _: None,
    )
    assert everywhere.false_circles[:, 0].max() > 200
    assert len(inside.false_circles)
    assert inside.false_circles[:, 0].max() <= 200
    assert len(nowhere.false_circles) == 0


def test_a_glomerulus_beside_the_region_is_neither_false_nor_missed(tmp_path: Path):
    one = replace(disc_case(), circles=np.array([[205.0, 300, 30]]), ignored=np.zeros((0, 3)))
    ring = np.array([[0.0, 0], [200, 0], [200, 680], [0, 680]])
    case = replace(one, complete=(ring,))
    image = CircleImage(np.array([[198.0, 300, 30, 0.9]]), *_truth_of(case))
    assert at_threshold([image], 0.5) == (0, 0, 0)
    seen: list[np.ndarray] = []

    class Finds:
        config = _detector().config
        network = OnePlace()

        def circles_of(self, tiles: object, size: tuple[int, int]) -> np.ndarray:
            seen.append(np.array([[205.0, 300, 30, 0.9], [100, 500, 30, 0.5]]))
            return seen[-1]

    (learned,) = mined([case], Finds(), tmp_path / "false-circles.json", lambda _: None)  # type: ignore[arg-type]
    assert learned.found.tolist() == [0.9]
    assert learned.false_circles[:, 3].tolist() == [0.5]


def _truth_of(case: Case) -> tuple[np.ndarray, np.ndarray]:
    class Nothing:
        config = _detector().config

        def circles_of(self, tiles: object, size: tuple[int, int]) -> np.ndarray:
            return np.zeros((0, 4))

    image = predict_case(case, Nothing())  # type: ignore[arg-type]
    return image.truth, image.ignored


def test_mining_is_done_once(tmp_path: Path):
    kept = tmp_path / "out" / "false-circles.json"
    said: list[str] = []
    first = mined([disc_case("a"), disc_case("b", seed=1)], _detector(), kept, said.append)
    assert len(said) == 2
    assert all(len(case.false_circles) for case in first)
    again = mined([disc_case("a"), disc_case("b", seed=1)], _detector(), kept, said.append)
    assert len(said) == 2
    for a, b in zip(first, again, strict=True):
        assert np.array_equal(a.false_circles, b.false_circles)
        assert np.array_equal(a.found, b.found)
        assert a.found.shape == (len(a.circles),)


def test_what_was_mined_elsewhere_is_not_taken(tmp_path: Path):
    kept, case = tmp_path / "false-circles.json", disc_case("a")
    said: list[str] = []
    mined([case], _detector(), kept, said.append)
    moved = replace(case, circles=case.circles + np.array([20.0, 0, 0]))  # other truth
    mined([moved], _detector(), kept, said.append)
    assert len(said) == 2
    other = _detector()
    other.network.register_buffer("weights", torch.ones(1))
    mined([moved], other, kept, said.append)
    assert len(said) == 3
    mined([moved], other, kept, said.append)
    assert len(said) == 3


def test_false_circles_are_shown_as_often_as_asked():
    case = disc_case()
    pixels = case.pixels.copy()
    cv2.circle(pixels, (250, 300), 30, (0, 255, 0), -1)
    case = replace(case, pixels=pixels, false_circles=np.array([[250.0, 300, 30, 0.4]]))

    def green_share(false_share: float) -> float:
        config = SampleConfig(
            edge_px=64, min_scale=1, max_scale=1, glomerulus_share=0, false_share=false_share, colour=PLAIN
        )
        tiles = [s.pixels.astype(int) for s in TileSampler([case], config, seed=0).batch(0, 160)]
        return float(np.mean([((t[..., 1] - t[..., 0]) > 150).any() for t in tiles]))

    assert green_share(1.0) == 1
    assert 0.4 < green_share(0.5) < 0.8
    assert green_share(0.0) < 0.4


def test_a_missed_glomerulus_is_shown_more_often_than_a_sure_one():
    missed, sure = np.array([120.0, 150, 40]), np.array([420.0, 450, 40])
    pixels = np.full((600, 600, 3), 200, np.uint8)
    cv2.circle(pixels, (420, 450), 40, (0, 255, 0), -1)
    case = replace(
        disc_case(), pixels=pixels, circles=np.stack([missed, sure]), false_circles=np.zeros((0, 4))
    )

    def sure_share(found: np.ndarray) -> float:
        config = SampleConfig(edge_px=64, min_scale=1, max_scale=1, glomerulus_share=1, colour=PLAIN)
        tiles = [
            s.pixels.astype(int) for s in TileSampler([replace(case, found=found)], config, 0).batch(0, 600)
        ]
        return float(np.mean([((t[..., 1] - t[..., 0]) > 150).any() for t in tiles]))

    assert 0.4 < sure_share(np.zeros(0)) < 0.6  # nobody was asked
    assert 0.4 < sure_share(np.array([0.0, 0.0])) < 0.6
    assert 0.15 < sure_share(np.array([0.0, 1.0])) < 0.25  # a quarter as often: .2
