"""A tile looked at more than once: every look says the same place in the tile, and the mean of what is said counts."""

from dataclasses import replace
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest
import torch
from test_detection_samples import disc_case
from torch import Tensor, nn
from torch.nn import functional

from gloinone.detection.build import detect_config
from gloinone.detection.circlenet import STRIDE, CircleMaps, CircleNetwork
from gloinone.detection.decode import decode
from gloinone.detection.looks import ONCE, mean_maps
from gloinone.detection.make import SCALES, MakeConfig, make_detector, start_card
from gloinone.detection.predict import DetectConfig, Detector, PlacedTile
from gloinone.detection.samples import SampleConfig
from gloinone.detection.train import detector_recipe
from gloinone.records import Window
from gloinone.weights.card import read_card

HEIGHT, WIDTH = 160, 224
CENTRE = (130.3, 61.9)
RADIUS = 24.0
LOOKS = [
    (1.0,),
    (0.6,),
    (1.25,),
    (1.0, 1.0),
    (0.8, 0.8),
    (1.0, 0.8, 1.25),
    (1.0, 1.0, 1.0, 1.0),
    (1.2, 0.9, 1.5, 0.7),
]


class Bowl(nn.Module):
    """Finds the bottom of a bowl whose height is the square of the distance, at any size and any way up.

    Its middle is where Newton's step leads, and the wider it is, the larger the circle.
    """

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[int, ...]] = []

    def forward(self, x: Tensor) -> CircleMaps:
        self.seen.append(tuple(x.shape[-2:]))
        height = functional.avg_pool2d(x.double()[:, :1], STRIDE)
        far = 3  # cells: an enlarged picture has kinks, which a short way would take for slopes
        padded = functional.pad(height, (far,) * 4, mode="replicate")
        left, right = padded[..., far:-far, : -2 * far], padded[..., far:-far, 2 * far :]
        above, below = padded[..., : -2 * far, far:-far], padded[..., 2 * far :, far:-far]
        bend_x = ((left + right - 2 * height) / 2 / far**2).clamp(min=1e-3)
        bend_y = ((above + below - 2 * height) / 2 / far**2).clamp(min=1e-3)
        step = torch.cat([(left - right) / 4 / far / bend_x, (above - below) / 4 / far / bend_y], dim=1)
        radius = RADIUS / (bend_x * bend_y) ** 0.25
        return CircleMaps(2 - step.square().sum(1, keepdim=True) / radius, step + 0.5, radius)


def bowl() -> Tensor:
    y, x = torch.meshgrid(torch.arange(HEIGHT) + 0.5, torch.arange(WIDTH) + 0.5, indexing="ij")
    distance = (x - CENTRE[0]).square() + (y - CENTRE[1]).square()
    return distance.expand(1, 3, -1, -1).double()


@pytest.mark.parametrize("scales", LOOKS)
def test_every_cell_points_to_the_same_place_whatever_the_looks(scales: tuple[float, ...]) -> None:
    maps = mean_maps(Bowl(), bowl(), scales)  # type: ignore[arg-type]
    cells = HEIGHT // STRIDE, WIDTH // STRIDE
    assert [tuple(m.shape) for m in maps] == [(1, n, *cells) for n in (1, 2, 1)]
    row, column = np.indices(cells)
    away = np.hypot(column * STRIDE - CENTRE[0], row * STRIDE - CENTRE[1])
    near = torch.from_numpy(away < 30)
    assert near.sum() > 150
    offset = maps.offset[0].double()
    x, y = (offset[0] + torch.from_numpy(column)) * STRIDE, (offset[1] + torch.from_numpy(row)) * STRIDE
    assert float((x[near] - CENTRE[0]).abs().max()) < 0.6
    assert float((y[near] - CENTRE[1]).abs().max()) < 0.6
    assert maps.radius[0, 0][near].numpy() * STRIDE == pytest.approx(RADIUS, rel=0.03)
    (found,) = decode(maps, top_k=1)[0].tolist()
    assert found[:3] == [
        pytest.approx(CENTRE[0], abs=0.6),
        pytest.approx(CENTRE[1], abs=0.6),
        pytest.approx(RADIUS, rel=0.03),
    ]


def test_one_look_is_what_the_network_says() -> None:
    network, tiles = Bowl(), bowl()
    for said, looked in zip(network(tiles), mean_maps(network, tiles, ONCE), strict=True):
        assert torch.equal(said, looked)


def test_looks_differ_in_size_and_in_view() -> None:
    network = Bowl()
    mean_maps(network, bowl(), (1.0, 0.8, 1.25, 0.6))  # type: ignore[arg-type]
    # Upside down, then mirrored along either diagonal; edges are multiples of 32
    assert network.seen == [(160, 224), (128, 192), (288, 192), (128, 96)]


def test_there_is_a_view_for_four_looks() -> None:
    with pytest.raises(ValueError):
        mean_maps(Bowl(), bowl(), (1.0, 0.9, 1.1, 0.8, 1.2))  # type: ignore[arg-type]


class Left(nn.Module):
    """Sure of what lies on the left of what it sees, whatever it is."""

    def forward(self, x: Tensor) -> CircleMaps:
        height, width = (edge // STRIDE for edge in x.shape[-2:])
        heat = torch.linspace(4, -4, width).expand(len(x), 1, height, width)
        zero = torch.zeros(len(x), 2, height, width)
        return CircleMaps(heat, zero, zero[:, :1] + 3)


def test_logits_are_averaged() -> None:
    upright_and_upside_down = mean_maps(Left(), bowl(), (1.0, 1.0)).heat  # type: ignore[arg-type]
    np.testing.assert_allclose(upright_and_upside_down.numpy(), 0, atol=1e-5)


def test_a_detector_looks_as_often_as_its_card_says() -> None:
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    tile = PlacedTile(pixels, Window(0, 0, WIDTH, HEIGHT, WIDTH, HEIGHT), (0.0, 0.0, WIDTH, HEIGHT))
    for scales in (ONCE, (1.0, 0.8, 1.25)):
        config = DetectConfig(2.0, 160, 40.0, 0.01, 0.35, scales=scales)
        network = Bowl()
        Detector(network, config, torch.device("cpu")).circles_of([tile])  # type: ignore[arg-type]
        assert len(network.seen) == len(scales)


def test_a_training_is_judged_by_all_looks_and_looks_once_on_its_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[tuple[float, ...]] = []

    def counted(network: CircleNetwork, tiles: Tensor, scales: tuple[float, ...]) -> CircleMaps:
        looked.append(scales)
        return mean_maps(network, tiles, scales)

    monkeypatch.setattr("gloinone.detection.predict.mean_maps", counted)
    monkeypatch.setattr("gloinone.detection.make.TILE_PX", 320)
    monkeypatch.setattr("gloinone.detection.make.MARGIN_UM", 40.0)
    monkeypatch.setattr("gloinone.detection.make.against_shipped", lambda *_: [])
    config = MakeConfig(
        out=tmp_path / "model",
        recipe=detector_recipe(steps=1, batch=2, validate_every=1),
        arch="resnet18",
        sample=SampleConfig(edge_px=64),
        device="cpu",
    )
    card = make_detector([disc_case("a")], [disc_case("b")], config, print)
    assert card.scales == SCALES
    # The validation, then the card's scores
    assert [scales for scales, _ in groupby(looked)] == [ONCE, SCALES]
    assert detect_config(read_card(config.out / "card.json")).scales == SCALES
    assert detect_config(replace(card, scales=None)).scales == ONCE


def test_networks_that_were_not_tried_look_once(tmp_path: Path) -> None:
    config = MakeConfig(out=tmp_path, recipe=detector_recipe(steps=1), arch="resnet18-dcn")
    assert start_card(config, [disc_case()], []).scales is None
