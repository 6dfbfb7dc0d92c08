"""The detector adapted to each slide: which means are measured, how they are mixed, that they stay with it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from test_detection_samples import disc_case
from torch import Tensor, nn
from torch.nn import functional

from gloinone.detection.build import build_detector, build_network
from gloinone.detection.circlenet import CircleMaps, CircleNet
from gloinone.detection.make import MakeConfig, start_card
from gloinone.detection.predict import DetectConfig, Detector, SlideTiles
from gloinone.detection.tissue_windows import EDGE_PX, WINDOWS, weight_of
from gloinone.detection.train import detector_recipe
from gloinone.detection.validate import found_circles, tissue_windows
from gloinone.errors import WeightsError
from gloinone.learning.adapt import TOGETHER, adapted
from gloinone.learning.backbones import Normalise, ResNetFeatures
from gloinone.records import Overview, Pixels
from gloinone.slide.reader import Slide, open_slide
from gloinone.slide.resolution import Resolution
from gloinone.slide.tissue import tissue_overview
from gloinone.slide.tissue_samples import read_spread


class Grey(nn.Module):
    """The mean of the colours over 4 px."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.avg_pool2d(x.float().mean(1, keepdim=True), 4)


class BrightNetwork(nn.Module):
    """One normalised channel is its heatmap."""

    def __init__(self) -> None:
        super().__init__()
        self.grey = Grey()
        self.norm = nn.BatchNorm2d(1, affine=False, momentum=None)
        self.norm.running_mean = torch.full((1,), 100.0)
        self.norm.running_var = torch.full((1,), 400.0)

    @property
    def first(self) -> nn.Module:
        return nn.Sequential(self.grey, self.norm)

    def forward(self, x: Tensor) -> CircleMaps:
        heat = self.first(x)
        size = heat.shape[-2:]
        return CircleMaps(heat, torch.zeros(len(x), 2, *size), torch.full((len(x), 1, *size), 5.0))


CONFIG = DetectConfig(mpp=2.0, edge_px=128, margin_um=40.0, floor=0.0, max_iou=0.35, norm_prior=16.0)


def statistics(network: nn.Module) -> list[float]:
    state = network.state_dict()
    return [float(state["norm.running_mean"]), float(state["norm.running_var"])]


def noise(count: int, low: int, high: int) -> Tensor:
    grey = torch.randint(low, high, (count, 1, 32, 32), generator=torch.Generator().manual_seed(count))
    return grey.repeat_interleave(3, dim=1).to(torch.uint8)


@pytest.mark.parametrize("weight", [0.0, 0.25, 1.0])
def test_means_are_those_of_the_tissue_mixed_with_the_taught_ones(weight: float) -> None:
    network, windows = BrightNetwork(), noise(TOGETHER, 150, 250)
    found = statistics(adapted(network, windows, weight))  # type: ignore[arg-type]
    mixed = weight * float(Grey()(windows).mean()) + (1 - weight) * 100.0
    assert found == [pytest.approx(mixed, rel=1e-5), 400.0]
    assert statistics(network) == [100.0, 400.0]


def test_every_window_counts_and_the_copy_is_in_use() -> None:
    windows = torch.cat([noise(TOGETHER, 0, 100), noise(TOGETHER, 100, 256)])
    network = adapted(BrightNetwork(), windows, 1.0)  # type: ignore[arg-type]
    assert statistics(network)[0] == pytest.approx(float(Grey()(windows).mean()), rel=1e-5)
    assert not network.training
    assert not network.norm.training


def test_the_first_layers_of_our_network_alone_are_adapted() -> None:
    torch.manual_seed(3)
    network = CircleNet(Normalise((120, 110, 100), (60, 60, 60)), ResNetFeatures("resnet18"), 16).eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    after = adapted(network, noise(3, 0, 256), 0.5).state_dict()
    changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert changed == {
        "backbone.bn1.running_mean",
        *(f"backbone.layer1.{block}.bn{norm}.running_mean" for block in (0, 1) for norm in (1, 2)),
    }
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_a_card_cannot_ask_it_of_a_network_without_first_layers(tmp_path: Path) -> None:
    config = MakeConfig(out=tmp_path, recipe=detector_recipe(steps=1), arch="resnet18-dcn")
    card = start_card(config, [disc_case()], [])
    assert card.norm_prior is None
    state = build_network(card).state_dict()
    build_detector(card, state, torch.device("cpu"))
    with pytest.raises(WeightsError, match="norm_prior is 4, but resnet18-dcn cannot be adapted to slides"):
        build_detector(replace(card, norm_prior=4.0), state, torch.device("cpu"))
    for ours in ("resnet18", "resnet18-c4"):
        card = start_card(replace(config, arch=ours), [disc_case()], [])
        assert card.norm_prior == 4.0
        build_detector(card, build_network(card).state_dict(), torch.device("cpu"))


def test_windows_that_show_the_same_tissue_count_once() -> None:
    window_mm2 = (EDGE_PX * 2.0 / 1000) ** 2
    assert weight_of(32, 100.0, 2.0, 16.0) == pytest.approx(2 / 3)
    assert weight_of(32, 4 * window_mm2, 2.0, 16.0) == pytest.approx(4 / 20)
    assert weight_of(3, 100.0, 2.0, 16.0) == pytest.approx(3 / 19)
    assert weight_of(0, 100.0, 2.0, 16.0) == 0.0
    assert weight_of(32, 0.0, 2.0, 0.0) == 0.0
    assert weight_of(1, 0.001, 2.0, 0.0) == 1.0


def tissue_pixels(level: int) -> Pixels:
    """2.4 x 2 mm of tissue around a grey level on white glass, 2 um/px."""
    rng = np.random.default_rng(level)
    pixels = np.full((1200, 1400, 3), 245, np.uint8)
    grey = rng.normal(level, 20, (1000, 1200, 1))
    pixels[100:1100, 100:1300] = np.clip(grey * (1, 0.6, 0.9), 0, 255)
    return pixels


@contextmanager
def a_slide(folder: Path, level: int) -> Iterator[tuple[Slide, Overview]]:
    path = folder / f"{level}.png"
    cv2.imwrite(str(path), tissue_pixels(level)[..., ::-1])
    with open_slide(path, path.name, Resolution(2.0, "option")) as slide:
        yield slide, tissue_overview(slide)


def detector(prior: float | None = 16.0) -> Detector:
    config = replace(CONFIG, norm_prior=prior)
    return Detector(BrightNetwork(), config, torch.device("cpu"))  # type: ignore[arg-type]


def scores_of(found_by: Detector, slide: Slide, overview: Overview) -> np.ndarray:
    return found_by.detect(found_by.read(slide, overview), lambda *_: None).circles[:, 3]


def begun(found_by: Detector, slide: Slide, overview: Overview) -> SlideTiles:
    tiles = found_by.read(slide, overview)
    tiles.close()
    return tiles


def test_a_slide_is_adapted_to_by_itself_and_only_where_the_card_says_so(tmp_path: Path) -> None:
    with a_slide(tmp_path, 120) as dark, a_slide(tmp_path, 200) as bright:
        one = detector()
        alone = scores_of(one, *dark)
        scores_of(one, *bright)
        assert np.array_equal(scores_of(one, *dark), alone)  # nothing of the slide between is left
        assert statistics(one.network) == [100.0, 400.0]
        assert not np.array_equal(scores_of(detector(None), *dark), alone)
        assert begun(detector(None), *dark).tissue == ()


def test_a_slide_without_tissue_is_seen_as_taught(tmp_path: Path) -> None:
    with a_slide(tmp_path, 120) as (slide, overview):
        one = detector()
        tiles = begun(one, slide, replace(overview, tissue=np.zeros_like(overview.tissue)))
        assert tiles.tissue == ()
        assert one.adapted(tiles.tissue, tiles.tissue_mm2) is one


def test_windows_lie_on_the_tissue_and_a_dark_white_is_seen_as_usual(tmp_path: Path) -> None:
    with a_slide(tmp_path, 120) as (slide, overview):
        tiles = begun(detector(), slide, overview)
        lit = begun(detector(), slide, replace(overview, gain=1.5))
    assert len(tiles.tissue) == WINDOWS
    assert tiles.tissue_mm2 == pytest.approx(2.4 * 2, rel=0.1)
    assert {picture.shape for picture in tiles.tissue} == {(EDGE_PX, EDGE_PX, 3)}
    assert max(float(np.mean(picture == 245)) for picture in tiles.tissue) < 0.8
    assert np.mean(lit.tissue) > 1.2 * np.mean(tiles.tissue)


def test_a_training_judges_with_windows_like_those_of_a_run(tmp_path: Path) -> None:
    with a_slide(tmp_path, 120) as (slide, overview):
        theirs = read_spread(slide, overview, WINDOWS, EDGE_PX, 2.0)
    y, x = np.nonzero(overview.tissue)
    tissue = overview.window.l0_from_image(np.stack([x + 0.5, y + 0.5], axis=1))
    shuffled = tissue[np.random.default_rng(0).permutation(len(tissue))]
    case = replace(disc_case(), mpp=2.0, pixels=tissue_pixels(120), tissue=shuffled, tissue_mm2=4.8)
    ours = tissue_windows(case, 2.0)
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert np.mean(a) == pytest.approx(np.mean(b), rel=0.01)
    found = found_circles(case, detector())
    assert not np.array_equal(found[:, 3], found_circles(case, detector(None))[:, 3])
