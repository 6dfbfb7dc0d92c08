"""Files as the Glo-In-One and CircleNet programs wrote them, with random weights: keys and shapes from their layouts.

Written from the layouts as they are described, not from our networks.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

Shapes = dict[str, tuple[int, ...]]


def norm(name: str, channels: int) -> Shapes:
    """A batch norm."""
    vectors = {f"{name}.{part}": (channels,) for part in ("weight", "bias", "running_mean", "running_var")}
    return {**vectors, f"{name}.num_batches_tracked": ()}


def dla_base() -> Shapes:
    """DLA-34 as CenterNet keeps it, with what it never uses."""
    keys: Shapes = {}

    def conv_norm(conv: str, bn: str, out: int, inner: int, kernel: int) -> None:
        keys[f"{conv}.weight"] = (out, inner, kernel, kernel)
        keys.update(norm(bn, out))

    def pair(name: str, inner: int, out: int, root: int) -> None:
        for tree, channels in (("tree1", inner), ("tree2", out)):
            conv_norm(f"{name}.{tree}.conv1", f"{name}.{tree}.bn1", out, channels, 3)
            conv_norm(f"{name}.{tree}.conv2", f"{name}.{tree}.bn2", out, out, 3)
        conv_norm(f"{name}.root.conv", f"{name}.root.bn", out, root, 1)
        if inner != out:
            conv_norm(f"{name}.project.0", f"{name}.project.1", out, inner, 1)

    conv_norm("base.base_layer.0", "base.base_layer.1", 16, 3, 7)
    conv_norm("base.level0.0", "base.level0.1", 16, 16, 3)
    conv_norm("base.level1.0", "base.level1.1", 32, 16, 3)
    pair("base.level2", 32, 64, 128)
    for level, inner, out, roots in ((3, 64, 128, (256, 448)), (4, 128, 256, (512, 896))):
        pair(f"base.level{level}.tree1", inner, out, roots[0])
        pair(f"base.level{level}.tree2", out, out, roots[1])
        conv_norm(f"base.level{level}.project.0", f"base.level{level}.project.1", out, inner, 1)
    pair("base.level5", 256, 512, 1280)
    keys["base.fc.weight"], keys["base.fc.bias"] = (1000, 512, 1, 1), (1000,)
    return keys


def heads(width: int, hidden: int) -> Shapes:
    """hm, cl, reg."""
    keys: Shapes = {}
    for name, outputs in (("hm", 1), ("cl", 1), ("reg", 2)):
        keys[f"{name}.0.weight"], keys[f"{name}.0.bias"] = (hidden, width, 3, 3), (hidden,)
        keys[f"{name}.2.weight"], keys[f"{name}.2.bias"] = (outputs, hidden, 1, 1), (outputs,)
    return keys


def deformable(name: str, inner: int, out: int) -> Shapes:
    """A deformable convolution."""
    offsets = {
        f"{name}.conv_offset_mask.weight": (27, inner, 3, 3),
        f"{name}.conv_offset_mask.bias": (27,),
    }
    return {f"{name}.weight": (out, inner, 3, 3), f"{name}.bias": (out,), **offsets}


DEFORMABLE_NECK = {
    "dla_up.ida_0": (256, (512,), (2,)),
    "dla_up.ida_1": (128, (256, 256), (2, 2)),
    "dla_up.ida_2": (64, (128, 128, 128), (2, 2, 2)),
    "ida_up": (64, (128, 256), (2, 4)),
}


def dla_34() -> Shapes:
    """The published detector."""
    keys = dla_base()
    for name, (out, channels, factors) in DEFORMABLE_NECK.items():
        for i, (inner, factor) in enumerate(zip(channels, factors, strict=True), start=1):
            for unit, c in ((f"{name}.proj_{i}", inner), (f"{name}.node_{i}", out)):
                keys |= norm(f"{unit}.actf.0", out) | deformable(f"{unit}.conv", c, out)
            keys[f"{name}.up_{i}.weight"] = (out, 1, 2 * factor, 2 * factor)
    return keys | heads(64, 256)


def dlav0_34() -> Shapes:
    """DLA-34 without deformable convolutions."""
    keys = dla_base()
    for i, (out, channels) in enumerate(((256, (512,)), (128, (256, 256)), (64, (128, 128, 128)))):
        for j, inner in enumerate(channels, start=1):
            name = f"dla_up.ida_{i}"
            if inner != out:
                keys[f"{name}.proj_{j}.0.weight"] = (out, inner, 1, 1)
                keys |= norm(f"{name}.proj_{j}.1", out)
            keys[f"{name}.up_{j}.weight"] = (out, 1, 4, 4)
            keys[f"{name}.node_{j}.0.weight"] = (out, 2 * out, 3, 3)
            keys |= norm(f"{name}.node_{j}.1", out)
    return keys | heads(64, 256)


def resdcn_18() -> Shapes:
    """ResNet-18 with deformable convolutions."""
    keys: Shapes = {"conv1.weight": (64, 3, 7, 7), **norm("bn1", 64)}
    inner = 64
    for layer, out in enumerate((64, 128, 256, 512), start=1):
        for block in range(2):
            name = f"layer{layer}.{block}"
            keys[f"{name}.conv1.weight"] = (out, inner, 3, 3)
            keys[f"{name}.conv2.weight"] = (out, out, 3, 3)
            keys |= norm(f"{name}.bn1", out) | norm(f"{name}.bn2", out)
            if inner != out:
                keys[f"{name}.downsample.0.weight"] = (out, inner, 1, 1)
                keys |= norm(f"{name}.downsample.1", out)
            inner = out
    for step, out in enumerate((256, 128, 64)):
        at = 6 * step
        keys |= deformable(f"deconv_layers.{at}", inner, out) | norm(f"deconv_layers.{at + 1}", out)
        keys[f"deconv_layers.{at + 3}.weight"] = (out, out, 4, 4)
        keys |= norm(f"deconv_layers.{at + 4}", out)
        inner = out
    return keys | heads(64, 64)


def hourglass(
    widths: tuple[int, ...] = (256, 256, 384, 384, 384, 512), counts: tuple[int, ...] = (2, 2, 2, 2, 2, 4)
) -> Shapes:
    """Two stacked hourglasses; of the published size, or smaller."""
    keys: Shapes = {}

    def conv(name: str, inner: int, out: int, kernel: int, has_norm: bool = True) -> None:
        keys[f"{name}.conv.weight"] = (out, inner, kernel, kernel)
        keys.update(norm(f"{name}.bn", out) if has_norm else {f"{name}.conv.bias": (out,)})

    def residual(name: str, inner: int, out: int, stride: int = 1) -> None:
        keys[f"{name}.conv1.weight"], keys[f"{name}.conv2.weight"] = (out, inner, 3, 3), (out, out, 3, 3)
        keys.update(norm(f"{name}.bn1", out) | norm(f"{name}.bn2", out))
        if stride > 1 or inner != out:
            keys[f"{name}.skip.0.weight"] = (out, inner, 1, 1)
            keys.update(norm(f"{name}.skip.1", out))

    def level(name: str, widths: tuple[int, ...], counts: tuple[int, ...]) -> None:
        here, below = widths[:2]
        for i in range(counts[0]):
            residual(f"{name}.up1.{i}", here, here)
            residual(f"{name}.low1.{i}", below if i else here, below, 1 if i else 2)
            residual(f"{name}.low3.{i}", below, here if i == counts[0] - 1 else below)
        if len(widths) > 2:
            level(f"{name}.low2", widths[1:], counts[1:])
            return
        for i in range(counts[1]):
            residual(f"{name}.low2.{i}", below, below)

    width = widths[0]
    conv("pre.0", 3, 128, 7)
    residual("pre.1", 128, width, 2)
    for stack in range(2):
        level(f"kps.{stack}", widths, counts)
        conv(f"cnvs.{stack}", width, width, 3)
        for name, outputs in (("hm", 1), ("cl", 1), ("reg", 2)):
            conv(f"{name}.{stack}.0", width, width, 3, has_norm=False)
            keys[f"{name}.{stack}.1.weight"] = (outputs, width, 1, 1)
            keys[f"{name}.{stack}.1.bias"] = (outputs,)
    residual("inters.0", width, width)
    for name in ("inters_", "cnvs_"):
        keys[f"{name}.0.0.weight"] = (width, width, 1, 1)
        keys |= norm(f"{name}.0.1", width)
    return keys


def bit_r101x1(outputs: int = 5) -> Shapes:
    """BiT-M-R101x1."""
    keys: Shapes = {"root.conv.weight": (64, 3, 7, 7)}
    inner = 64
    for block, (count, out) in enumerate(zip((3, 4, 23, 3), (256, 512, 1024, 2048), strict=True), start=1):
        for unit in range(1, count + 1):
            name, middle = f"body.block{block}.unit{unit:02d}", out // 4
            for gn, channels in (("gn1", inner), ("gn2", middle), ("gn3", middle)):
                keys[f"{name}.{gn}.weight"] = keys[f"{name}.{gn}.bias"] = (channels,)
            keys[f"{name}.conv1.weight"] = (middle, inner, 1, 1)
            keys[f"{name}.conv2.weight"] = (middle, middle, 3, 3)
            keys[f"{name}.conv3.weight"] = (out, middle, 1, 1)
            if inner != out:
                keys[f"{name}.downsample.weight"] = (out, inner, 1, 1)
            inner = out
    keys["head.gn.weight"] = keys["head.gn.bias"] = (2048,)
    keys["head.conv.weight"], keys["head.conv.bias"] = (outputs, 2048, 1, 1), (outputs,)
    return keys


def parameters(keys: Shapes) -> int:
    """How many numbers are learned."""
    learned = (shape for name, shape in keys.items() if not name.endswith(("_mean", "_var", "_tracked")))
    return sum(math.prod(shape) for shape in learned)


def random_state(keys: Shapes, seed: int = 0) -> dict[str, Tensor]:
    """Weights with which a signal neither dies nor explodes."""
    generator = torch.Generator().manual_seed(seed)

    def filled(name: str, shape: tuple[int, ...]) -> Tensor:
        if name.endswith("num_batches_tracked"):
            return torch.tensor(7)
        if name.endswith("running_var") or (len(shape) == 1 and name.endswith("weight")):
            return torch.rand(shape, generator=generator) + 0.5
        size = 0.1 if len(shape) < 2 else math.sqrt(1 / math.prod(shape[1:]))
        return torch.randn(shape, generator=generator) * size

    return {name: filled(name, shape) for name, shape in keys.items()}


def save(path: Path, data: Any, legacy: bool = False, numpy_1: bool = False) -> Path:
    """As torch.save of today, or of before 1.6; ``numpy_1``: with the names that numpy 1 gave its functions."""
    torch.save(data, path, _use_new_zipfile_serialization=not legacy)
    if numpy_1:
        assert legacy
        path.write_bytes(path.read_bytes().replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n"))
    return path


def beside(state: dict[str, Tensor]) -> dict[str, Any]:
    """All that the published classifier's training left in its file."""
    return {
        "epoch": 12,
        "arch": "BiT-M-R101x1",
        "state_dict": {f"module.{name}": value for name, value in state.items()},
        "acc": np.float64(0.68),
        "best_f1": np.float64(0.625),
        "optimizer": {
            "state": {0: {"momentum_buffer": torch.zeros(3)}},
            "param_groups": [{"lr": 0.1, "params": [0]}],
        },
    }


def each_layout() -> Iterator[tuple[str, Shapes]]:
    """The CircleNets, by what a training calls them."""
    yield from (
        ("dla34-dcn", dla_34()),
        ("dla34", dlav0_34()),
        ("resnet18-dcn", resdcn_18()),
        ("hourglass", hourglass()),
    )
