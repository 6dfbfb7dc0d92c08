"""The published CircleNets, against the same arithmetic written plainly from a state dict."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from plain_circlenets import (
    State,
    assert_circle_is_read,
    by_grid_sample,
    conv,
    plain_dla_34,
    plain_dlav0_34,
    plain_resdcn_18,
)
from published_files import Shapes, dla_34, dlav0_34, each_layout, random_state, resdcn_18
from torch import Tensor
from torch.nn import functional

from gloinone.detection.build import architecture, build_network
from gloinone.detection.centernet import DeformableConv, doubling, fill_bilinear
from gloinone.detection.circlenet import CircleMaps, CircleNetwork
from gloinone.detection.dla import Pair, Stage
from gloinone.detection.losses import TargetBatch, circle_loss, summed_loss
from gloinone.detection.published import BGR_MEAN, BGR_STD, LAYOUTS
from gloinone.detection.targets import make_targets
from gloinone.errors import UsageError, WeightsError
from gloinone.learning.backbones import Normalise
from gloinone.weights.card import Architecture, card_from_json, card_to_json
from gloinone.weights.published import ImportOptions, PublishedLayout, fitted

OPTIONS = ImportOptions("imported", "a test", "none")


def imported(layout: PublishedLayout, state: State) -> CircleNetwork:
    card = layout.card(state, OPTIONS)
    network = layout.build(card)
    network.load_state_dict(fitted(state, layout, card, "file"), strict=True)
    assert isinstance(network, CircleNetwork)
    return network.eval()


@pytest.mark.parametrize(
    ("layout", "keys", "plain"),
    [
        (LAYOUTS[0], dla_34(), plain_dla_34),
        (LAYOUTS[1], dlav0_34(), plain_dlav0_34),
        (LAYOUTS[2], resdcn_18(), plain_resdcn_18),
    ],
    ids=["dla_34", "dlav0_34", "resdcn_18"],
)
def test_maps_are_those_of_the_plain_arithmetic(layout: PublishedLayout, keys: Shapes, plain: object) -> None:
    state = random_state(keys)
    picture = torch.randint(0, 256, (1, 3, 96, 64), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        maps = imported(layout, state)(picture.to(torch.uint8))
        f = plain(state, picture)  # type: ignore[operator]
        for name, ours in (("hm", maps.heat), ("cl", maps.radius), ("reg", maps.offset)):
            theirs = conv(state, f"{name}.2", conv(state, f"{name}.0", f).relu())
            assert ours.shape[-2:] == (24, 16)
            assert theirs.std() > 1e-3
            torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)


@pytest.mark.gpu
def test_a_gpu_says_the_same() -> None:
    network = imported(LAYOUTS[0], random_state(dla_34()))
    picture = torch.randint(0, 256, (1, 3, 96, 64), dtype=torch.uint8)
    with torch.inference_mode():
        here = network(picture)
        there = network.to("cuda")(picture.to("cuda"))
        with torch.autocast("cuda", torch.bfloat16):
            half = network(picture.to("cuda"))
    for ours, exact, rough in zip(here, there, half, strict=True):
        torch.testing.assert_close(exact.cpu(), ours, rtol=1e-2, atol=1e-2)
        torch.testing.assert_close(rough.float().cpu(), ours, rtol=0.2, atol=0.2)


def test_a_deformable_convolution_samples_where_its_offsets_say() -> None:
    torch.manual_seed(0)
    layer = DeformableConv(5, 7)
    torch.nn.init.normal_(layer.conv_offset_mask.weight, std=0.3)
    x = torch.randn(2, 5, 9, 12)
    with torch.inference_mode():
        theirs = by_grid_sample({f"c.{name}": value for name, value in layer.state_dict().items()}, "c", x)
        torch.testing.assert_close(layer(x), theirs, rtol=1e-4, atol=1e-5)
        with torch.autocast("cpu", torch.bfloat16):
            exact = layer(x)
    assert exact.dtype == torch.float32
    torch.testing.assert_close(exact, theirs, rtol=1e-4, atol=1e-5)


def test_before_training_a_deformable_convolution_is_a_plain_one_of_half_its_weight() -> None:
    layer = DeformableConv(3, 4)
    x = torch.randn(1, 3, 8, 8)
    torch.testing.assert_close(layer(x), functional.conv2d(x, layer.weight / 2, layer.bias, padding=1))


def test_enlarging_interpolates() -> None:
    finer = doubling(1, 2)(torch.tensor([[[[0.0, 4.0, 8.0, 12.0]] * 4]]))
    assert finer[0, 0, 4].tolist()[1:-1] == [1, 3, 5, 7, 9, 11]


def test_the_aggregation_of_a_tree_by_hand() -> None:
    """Every convolution the identity or a sum: a tree of ones is counted on paper."""

    def ones(module: torch.nn.Module) -> None:
        for part in module.modules():
            if isinstance(part, torch.nn.Conv2d):
                torch.nn.init.zeros_(part.weight)
                with torch.no_grad():
                    part.weight[:, :, part.kernel_size[0] // 2, part.kernel_size[1] // 2] = 1.0
            if isinstance(part, torch.nn.BatchNorm2d):
                part.eps = 1e-12

    x = torch.full((1, 1, 4, 4), 3.0)
    small = Pair(1, 1, 2).eval()
    ones(small)
    # first block: 3 + shortcut 3; second: 6 + 6; root: both
    assert small(x).unique().tolist() == [6 + 12]
    level = Stage(1, 1).eval()
    ones(level)
    # first pair 18; second: blocks 36 and 72, whose root also takes the pooled start 3 and the first pair 18
    assert level(x).unique().tolist() == [36 + 72 + 3 + 18]
    assert level(x).shape == (1, 1, 2, 2)


@pytest.mark.parametrize("number", [0, 1, 2], ids=["dla_34", "dlav0_34", "resdcn_18"])
def test_radius_offset_and_stride_are_read_from_their_own_maps(number: int) -> None:
    keys = [dla_34, dlav0_34, resdcn_18][number]()
    assert_circle_is_read(imported(LAYOUTS[number], random_state(keys)), getattr)


def one_circle() -> tuple[Tensor, TargetBatch]:
    """Two tiles, a circle in the first."""
    targets = make_targets(np.array([[20.0, 30.0, 12.0]]), np.zeros((0, 3)), 64)
    batch = TargetBatch(
        torch.from_numpy(targets.heat).expand(2, 1, -1, -1),
        torch.from_numpy(targets.counts).expand(2, 1, -1, -1),
        torch.zeros(len(targets.cells), dtype=torch.int64),
        *(torch.from_numpy(part) for part in (targets.cells, targets.offset, targets.radius, targets.weight)),
    )
    return torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8), batch


@pytest.mark.parametrize("arch", ["dla34-dcn", "dla34", "resnet18-dcn"])
def test_every_architecture_is_trained_through_one_interface(arch: str) -> None:
    card = replace(LAYOUTS[0].card({}, OPTIONS), architecture=architecture(arch))
    network = build_network(card).train()
    images, batch = one_circle()
    summed_loss(network.supervised(images), batch).total.backward()
    moved = [name for name, p in network.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0]
    assert any(name.startswith(("base.", "backbone.")) for name in moved)
    assert ("dcn" in arch) == any("conv_offset_mask" in name for name in moved)
    assert next(network.features.parameters()).shape[1] == 3  # the stem: what starting weights are for


def test_a_network_of_one_set_of_maps_is_corrected_as_ever() -> None:
    torch.manual_seed(2)
    maps = CircleMaps(torch.randn(2, 1, 16, 16), torch.randn(2, 2, 16, 16), torch.randn(2, 1, 16, 16))
    _, batch = one_circle()
    assert summed_loss((maps,), batch) == circle_loss(maps, batch)


def test_new_upsampling_keeps_its_channels_apart() -> None:
    up = torch.nn.ConvTranspose2d(3, 3, 4, stride=2, padding=1, bias=False)
    fill_bilinear(up)
    flat = torch.tensor([1.0, 2.0, 3.0]).view(1, 3, 1, 1).expand(1, 3, 6, 6)
    inner = up(flat)[:, :, 2:-2, 2:-2]  # the border mixes with zeros
    torch.testing.assert_close(inner, torch.tensor([1.0, 2.0, 3.0]).view(1, 3, 1, 1).expand_as(inner))


def test_an_unknown_architecture_is_refused() -> None:
    with pytest.raises(UsageError, match=r"known: resnet18, resnet34, resnet50, resnet18-c4, .*, dla34-dcn"):
        architecture("vgg")
    with pytest.raises(WeightsError, match="unknown detector 'vgg'"):
        build_network(replace(LAYOUTS[0].card({}, OPTIONS), architecture=Architecture("vgg")))
    with pytest.raises(WeightsError, match="cannot be built"):
        build_network(replace(LAYOUTS[0].card({}, OPTIONS), architecture=Architecture("dla34")))


def test_colours_are_turned_before_their_mean_is_taken() -> None:
    red = torch.tensor([255, 0, 0], dtype=torch.uint8).view(1, 3, 1, 1)
    said = Normalise(BGR_MEAN, BGR_STD, "BGR")(red).flatten().tolist()
    assert said == pytest.approx([-0.408 / 0.289, -0.447 / 0.274, (1 - 0.470) / 0.278])


@pytest.mark.parametrize(
    ("layout", "arch_keys"), list(zip(LAYOUTS, each_layout(), strict=True)), ids=lambda x: ""
)
def test_every_layout_fits_its_network(layout: PublishedLayout, arch_keys: tuple[str, Shapes]) -> None:
    arch, keys = arch_keys
    state = {name: torch.empty(shape, device="meta") for name, shape in keys.items()}
    card = layout.card(state, OPTIONS)
    assert card.architecture.name == arch
    assert fitted(state, layout, card, "file")
    assert card_from_json(card_to_json(card), "card") == card
    convention = (card.channels, card.edge_px, card.mpp, card.margin_um, card.threshold, card.merge_iou)
    assert convention == ("BGR", 512, 4.0, 512.0, 0.05, 0.35)
