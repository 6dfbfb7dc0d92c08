"""The published CircleNets, against the same arithmetic written plainly from a state dict."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from published_files import Shapes, dla_34, dlav0_34, each_layout, random_state
from torch import Tensor
from torch.nn import functional

from gloinone.detection.build import architecture, build_network
from gloinone.detection.centernet import DeformableConv, doubling, fill_bilinear
from gloinone.detection.circlenet import CircleMaps, CircleNetwork
from gloinone.detection.decode import decode
from gloinone.detection.dla import Pair, Stage
from gloinone.detection.hourglass import Hourglass, HourglassCircleNet
from gloinone.detection.losses import TargetBatch, circle_loss
from gloinone.detection.published import BGR_MEAN, BGR_STD, LAYOUTS
from gloinone.detection.targets import make_targets
from gloinone.errors import UsageError, WeightsError
from gloinone.learning.backbones import Normalise
from gloinone.weights.card import Architecture, card_from_json, card_to_json
from gloinone.weights.published import ImportOptions, PublishedLayout, fitted

State = dict[str, Tensor]
OPTIONS = ImportOptions("imported", "a test", "none")


def bn(s: State, name: str, x: Tensor) -> Tensor:
    mean, var = s[f"{name}.running_mean"], s[f"{name}.running_var"]
    scaled = (x - mean[:, None, None]) / (var[:, None, None] + 1e-5).sqrt()
    return scaled * s[f"{name}.weight"][:, None, None] + s[f"{name}.bias"][:, None, None]


def conv(s: State, name: str, x: Tensor, stride: int = 1) -> Tensor:
    weight = s[f"{name}.weight"]
    return functional.conv2d(x, weight, s.get(f"{name}.bias"), stride, weight.shape[-1] // 2)


def by_grid_sample(s: State, name: str, x: Tensor) -> Tensor:
    """Deformable convolution: nine pictures sampled where the offsets say, weighed and summed."""
    said = conv(s, f"{name}.conv_offset_mask", x)
    o1, o2, mask = said.chunk(3, 1)
    offset, mask = torch.cat([o1, o2], 1), mask.sigmoid()
    height, width = x.shape[-2:]
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    total = s[f"{name}.bias"][:, None, None].expand(len(x), -1, height, width).clone()
    for k in range(9):
        y = rows + k // 3 - 1 + offset[:, 2 * k]
        xs = columns + k % 3 - 1 + offset[:, 2 * k + 1]
        grid = torch.stack([2 * xs / (width - 1) - 1, 2 * y / (height - 1) - 1], -1)
        sampled = functional.grid_sample(x, grid, align_corners=True) * mask[:, k : k + 1]
        total += torch.einsum("oi,bihw->bohw", s[f"{name}.weight"][:, :, k // 3, k % 3], sampled)
    return total


def block(s: State, name: str, x: Tensor, shortcut: Tensor, stride: int) -> Tensor:
    y = bn(s, f"{name}.bn1", conv(s, f"{name}.conv1", x, stride)).relu()
    return (bn(s, f"{name}.bn2", conv(s, f"{name}.conv2", y)) + shortcut).relu()


def pair(s: State, name: str, x: Tensor, stride: int, earlier: Sequence[Tensor]) -> Tensor:
    shortcut = functional.max_pool2d(x, stride) if stride > 1 else x
    if f"{name}.project.0.weight" in s:
        shortcut = bn(s, f"{name}.project.1", conv(s, f"{name}.project.0", shortcut))
    first = block(s, f"{name}.tree1", x, shortcut, stride)
    second = block(s, f"{name}.tree2", first, first, 1)
    joined = torch.cat([second, first, *earlier], 1)
    return bn(s, f"{name}.root.bn", conv(s, f"{name}.root.conv", joined)).relu()


def plain_base(s: State, picture: Tensor) -> list[Tensor]:
    """RGB 0..255 -> four levels; the colours turned, their mean and deviation as published."""
    mean, std = torch.tensor([0.408, 0.447, 0.470]), torch.tensor([0.289, 0.274, 0.278])
    bgr = picture[:, [2, 1, 0]].float() / 255
    x = (bgr - mean[:, None, None]) / std[:, None, None]
    for name, stride in (("base_layer", 1), ("level0", 1), ("level1", 2)):
        x = bn(s, f"base.{name}.1", conv(s, f"base.{name}.0", x, stride)).relu()
    levels = [pair(s, "base.level2", x, 2, [])]
    for level in (3, 4):
        x = levels[-1]
        first = pair(s, f"base.level{level}.tree1", x, 2, [])
        below = functional.max_pool2d(x, 2)
        levels.append(pair(s, f"base.level{level}.tree2", first, 1, [below, first]))
    x = levels[-1]
    return [*levels, pair(s, "base.level5", x, 2, [functional.max_pool2d(x, 2)])]


def enlarged(s: State, name: str, x: Tensor) -> Tensor:
    weight = s[f"{name}.weight"]
    factor = weight.shape[-1] // 2
    return functional.conv_transpose2d(x, weight, None, factor, factor // 2, groups=len(weight))


def plain_dla_34(s: State, picture: Tensor) -> Tensor:
    def unit(name: str, x: Tensor) -> Tensor:
        return bn(s, f"{name}.actf.0", by_grid_sample(s, f"{name}.conv", x)).relu()

    def ida(name: str, layers: list[Tensor], start: int, end: int) -> None:
        for i in range(start + 1, end):
            layers[i] = enlarged(s, f"{name}.up_{i - start}", unit(f"{name}.proj_{i - start}", layers[i]))
            layers[i] = unit(f"{name}.node_{i - start}", layers[i] + layers[i - 1])

    layers = plain_base(s, picture)
    out = [layers[-1]]
    for i in range(3):
        ida(f"dla_up.ida_{i}", layers, 2 - i, 4)
        out.insert(0, layers[-1])
    last = out[:3]
    ida("ida_up", last, 0, 3)
    return last[-1]


def plain_dlav0_34(s: State, picture: Tensor) -> Tensor:
    layers = plain_base(s, picture)
    for i in range(3):
        name, some = f"dla_up.ida_{i}", layers[-i - 2 :]
        x, made = some[0], []
        for j in range(1, len(some)):
            y = some[j]
            if f"{name}.proj_{j}.0.weight" in s:
                y = bn(s, f"{name}.proj_{j}.1", conv(s, f"{name}.proj_{j}.0", y)).relu()
            y = torch.cat([x, enlarged(s, f"{name}.up_{j}", y)], 1)
            x = bn(s, f"{name}.node_{j}.1", conv(s, f"{name}.node_{j}.0", y)).relu()
            made.append(x)
        layers[-i - 1 :] = made
    return x


def imported(layout: PublishedLayout, state: State) -> CircleNetwork:
    card = layout.card(state, OPTIONS)
    network = layout.build(card)
    network.load_state_dict(fitted(state, layout, card, "file"), strict=True)
    assert isinstance(network, CircleNetwork)
    return network.eval()


@pytest.mark.parametrize(
    ("layout", "keys", "plain"),
    [(LAYOUTS[0], dla_34(), plain_dla_34), (LAYOUTS[1], dlav0_34(), plain_dlav0_34)],
    ids=["dla_34", "dlav0_34"],
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


def test_radius_offset_and_stride_are_read_from_their_own_maps() -> None:
    network = imported(LAYOUTS[0], random_state(dla_34()))
    with torch.no_grad():
        for part in (network.hm, network.cl, network.reg):  # type: ignore[attr-defined]
            part[2].weight.zero_()
        network.cl[2].bias.fill_(7.5)  # type: ignore[attr-defined]
        network.reg[2].bias.copy_(torch.tensor([0.25, 0.75]))  # type: ignore[attr-defined]
        maps = network(torch.zeros(1, 3, 64, 96, dtype=torch.uint8))
    heat = torch.full_like(maps.heat, -5.0)
    heat[0, 0, 3, 20] = 2.0
    cx, cy, radius, score = decode(CircleMaps(heat, maps.offset, maps.radius))[0, 0].tolist()
    assert (cx, cy, radius) == pytest.approx(((20 + 0.25) * 4, (3 + 0.75) * 4, 7.5 * 4))
    assert score == pytest.approx(1 / (1 + np.exp(-2.0)))


@pytest.mark.parametrize("arch", ["dla34-dcn", "dla34", "resnet18-dcn"])
def test_every_architecture_is_trained_through_one_interface(arch: str) -> None:
    card = replace(LAYOUTS[0].card({}, OPTIONS), architecture=architecture(arch))
    network = build_network(card).train()
    targets = make_targets(np.array([[20.0, 30.0, 12.0]]), np.zeros((0, 3)), 64)
    batch = TargetBatch(
        torch.from_numpy(targets.heat).expand(2, 1, -1, -1),
        torch.from_numpy(targets.counts).expand(2, 1, -1, -1),
        torch.zeros(1, dtype=torch.int64),
        *(torch.from_numpy(part) for part in (targets.cells, targets.offset, targets.radius)),
    )
    circle_loss(network(torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)), batch).total.backward()
    moved = [name for name, p in network.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0]
    assert any(name.startswith(("base.", "backbone.")) for name in moved)
    assert ("dcn" in arch) == any("conv_offset_mask" in name for name in moved)
    assert next(network.features.parameters()).shape[1] == 3  # the stem: what starting weights are for


def test_new_upsampling_keeps_its_channels_apart() -> None:
    up = torch.nn.ConvTranspose2d(3, 3, 4, stride=2, padding=1, bias=False)
    fill_bilinear(up)
    flat = torch.tensor([1.0, 2.0, 3.0]).view(1, 3, 1, 1).expand(1, 3, 6, 6)
    inner = up(flat)[:, :, 2:-2, 2:-2]  # the border mixes with zeros
    torch.testing.assert_close(inner, torch.tensor([1.0, 2.0, 3.0]).view(1, 3, 1, 1).expand_as(inner))


def test_an_unknown_architecture_is_refused() -> None:
    with pytest.raises(UsageError, match="known: resnet18, resnet34, resnet50, dla34-dcn"):
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


def test_the_small_network_of_two_hourglasses_runs_at_any_size() -> None:
    network = HourglassCircleNet(Normalise((0, 0, 0), (255, 255, 255)), (8, 8, 16), (1, 1, 2)).eval()
    assert network(torch.zeros(1, 3, 64, 96, dtype=torch.uint8)).offset.shape == (1, 2, 16, 24)
    assert Hourglass((4, 6, 8), (1, 1, 1)).eval()(torch.zeros(1, 4, 7, 10)).shape == (1, 4, 7, 10)


def test_the_resnet_with_deformable_convolutions_runs() -> None:
    network = imported(LAYOUTS[2], random_state(dict(each_layout())["resnet18-dcn"]))
    with torch.inference_mode():
        maps = network(torch.randint(0, 256, (1, 3, 64, 96), dtype=torch.uint8))
    assert maps.heat.shape == (1, 1, 16, 24)
    assert maps.heat.std() > 1e-3
