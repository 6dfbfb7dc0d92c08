"""The networks of the CircleNet program written plainly, from a state dict; and what every one of them must read."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from gloinone.detection.circlenet import CircleMaps, CircleNetwork
from gloinone.detection.decode import decode

State = dict[str, Tensor]


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


def bgr(picture: Tensor) -> Tensor:
    """RGB 0..255, the colours turned, their mean and deviation as published."""
    mean, std = torch.tensor([0.408, 0.447, 0.470]), torch.tensor([0.289, 0.274, 0.278])
    return (picture[:, [2, 1, 0]].float() / 255 - mean[:, None, None]) / std[:, None, None]


def plain_base(s: State, picture: Tensor) -> list[Tensor]:
    """RGB 0..255 -> four levels."""
    x = bgr(picture)
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


def plain_resdcn_18(s: State, picture: Tensor) -> Tensor:
    """Features at stride 4."""
    x = bn(s, "bn1", conv(s, "conv1", bgr(picture), 2)).relu()
    x = functional.max_pool2d(x, 3, 2, 1)
    for layer in range(1, 5):
        for number in range(2):
            name = f"layer{layer}.{number}"
            stride = 2 if layer > 1 and number == 0 else 1
            shortcut = x
            if f"{name}.downsample.0.weight" in s:
                shortcut = bn(s, f"{name}.downsample.1", conv(s, f"{name}.downsample.0", x, stride))
            x = block(s, name, x, shortcut, stride)
    for at in (0, 6, 12):
        x = bn(s, f"deconv_layers.{at + 1}", by_grid_sample(s, f"deconv_layers.{at}", x)).relu()
        finer = functional.conv_transpose2d(x, s[f"deconv_layers.{at + 3}.weight"], None, 2, 1)
        x = bn(s, f"deconv_layers.{at + 4}", finer).relu()
    return x


def plain_hourglass(s: State, picture: Tensor) -> list[Tensor]:
    """What each stack says, at stride 4."""

    def block_of(name: str, x: Tensor) -> Tensor:
        """A residual; the first of a way down halves the size, as does the second of the stem."""
        stride = 2 if name == "pre.1" or name.endswith("low1.0") else 1
        shortcut = x
        if f"{name}.skip.0.weight" in s:
            shortcut = bn(s, f"{name}.skip.1", conv(s, f"{name}.skip.0", x, stride))
        return block(s, name, x, shortcut, stride)

    def row(name: str, x: Tensor) -> Tensor:
        number = 0
        while f"{name}.{number}.conv1.weight" in s:
            x = block_of(f"{name}.{number}", x)
            number += 1
        assert number
        return x

    def level(name: str, x: Tensor) -> Tensor:
        low = row(f"{name}.low1", x)
        deeper = f"{name}.low2.up1.0.conv1.weight" in s
        low = level(f"{name}.low2", low) if deeper else row(f"{name}.low2", low)
        low = row(f"{name}.low3", low)
        return row(f"{name}.up1", x) + low.repeat_interleave(2, 2).repeat_interleave(2, 3)

    def seen(name: str, x: Tensor, stride: int = 1) -> Tensor:
        return bn(s, f"{name}.bn", conv(s, f"{name}.conv", x, stride)).relu()

    x = block_of("pre.1", seen("pre.0", bgr(picture), 2))
    said = [seen("cnvs.0", level("kps.0", x))]
    joined = [
        bn(s, f"{name}.0.1", conv(s, f"{name}.0.0", y)) for name, y in (("inters_", x), ("cnvs_", said[0]))
    ]
    x = block_of("inters.0", (joined[0] + joined[1]).relu())
    return [*said, seen("cnvs.1", level("kps.1", x))]


def assert_circle_is_read(network: CircleNetwork, head_of: Callable[[Any, str], Any]) -> None:
    """Heads that say the same everywhere, and a peak planted at a cell: the circle in tile px."""
    with torch.no_grad():
        for name, said in (("hm", [0.0]), ("cl", [7.5]), ("reg", [0.25, 0.75])):
            last = head_of(network, name)[-1]
            last.weight.zero_()
            last.bias.copy_(torch.tensor(said))
        maps = network(torch.zeros(1, 3, 64, 96, dtype=torch.uint8))
    assert maps.heat.shape == (1, 1, 16, 24)
    heat = torch.full_like(maps.heat, -5.0)
    heat[0, 0, 3, 20] = 2.0
    cx, cy, radius, score = decode(CircleMaps(heat, maps.offset, maps.radius))[0, 0].tolist()
    assert (cx, cy, radius) == pytest.approx(((20 + 0.25) * 4, (3 + 0.75) * 4, 7.5 * 4))
    assert score == pytest.approx(1 / (1 + np.exp(-2.0)))
