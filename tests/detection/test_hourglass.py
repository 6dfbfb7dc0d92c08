"""The CircleNet of two hourglasses: small ones, against the arithmetic written plainly, and how they are trained."""

import numpy as np
import pytest
import torch
from plain_circlenets import assert_circle_is_read, conv, plain_hourglass
from published_files import hourglass, random_state

from gloinone.detection.cases import Case
from gloinone.detection.hourglass import Hourglass, HourglassCircleNet
from gloinone.detection.losses import circle_loss
from gloinone.detection.predict import DetectConfig
from gloinone.detection.published import BGR_MEAN, BGR_STD
from gloinone.detection.samples import SampleConfig
from gloinone.detection.train import DetectorData, detector_recipe, detector_task
from gloinone.learning.backbones import Normalise

SMALL = (8, 12, 16, 20), (2, 1, 1, 3)


@pytest.fixture
def network() -> HourglassCircleNet:
    """With random weights of the published layout."""
    network = HourglassCircleNet(Normalise(BGR_MEAN, BGR_STD, "BGR"), *SMALL)
    network.load_state_dict(random_state(hourglass(*SMALL)), strict=True)
    return network


def test_the_published_size_is_what_is_built() -> None:
    with torch.device("meta"):
        built = HourglassCircleNet(Normalise(BGR_MEAN, BGR_STD, "BGR")).state_dict()
    assert {name: tuple(value.shape) for name, value in built.items()} == hourglass()


def test_maps_are_those_of_the_plain_arithmetic(network: HourglassCircleNet) -> None:
    state = random_state(hourglass(*SMALL))
    picture = torch.randint(0, 256, (1, 3, 96, 64), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        maps, stacks = network.eval()(picture.to(torch.uint8)), network.supervised(picture.to(torch.uint8))
        for i, (said, f) in enumerate(zip(stacks, plain_hourglass(state, picture), strict=True)):
            for name, ours in (("hm", said.heat), ("cl", said.radius), ("reg", said.offset)):
                theirs = conv(state, f"{name}.{i}.1", conv(state, f"{name}.{i}.0.conv", f).relu())
                assert ours.shape[-2:] == (24, 16)
                assert theirs.std() > 1e-3
                torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)
        for ours, last in zip(maps, stacks[-1], strict=True):
            assert torch.equal(ours, last)


def test_radius_offset_and_stride_are_read_from_the_last_heads(network: HourglassCircleNet) -> None:
    assert_circle_is_read(network.eval(), lambda of, name: getattr(of, name)[-1])


def test_an_odd_size_comes_back() -> None:
    assert Hourglass((4, 6, 8), (1, 1, 1)).eval()(torch.zeros(1, 4, 7, 10)).shape == (1, 4, 7, 10)


def test_a_training_corrects_both_stacks(network: HourglassCircleNet) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (160, 160, 3), dtype=np.uint8)
    circles, places = np.array([[80.0, 80.0, 20.0]]), np.array([[80.0, 80.0]])
    case = Case("a", "source", "p", 2.0, pixels, circles, np.zeros((0, 3)), places, 0.1)
    detect = DetectConfig(2.0, 64, 10.0, 0.05, 0.35)
    data = DetectorData([case], [], SampleConfig(edge_px=64), detect)
    task = detector_task(data, detector_recipe(batch=4), torch.device("cpu"))
    images, targets = task.draw(1)
    assert len(targets.cell)
    losses = task.losses(network.train(), (images, targets))
    with torch.no_grad():
        each = [circle_loss(maps, targets) for maps in network.supervised(images)]
    assert len(each) == 2
    for name, said in losses.items():
        parts = [float(getattr(loss, "total" if name == "loss" else name)) for loss in each]
        assert float(said.detach()) == pytest.approx(
            sum(parts), rel=0.02
        )  # bfloat16, where the processor has it
    losses["loss"].backward()
    for head in (network.hm, network.cl, network.reg):
        assert all(part[-1].weight.grad.abs().sum() > 0 for part in head)
