"""BiT ResNetV2-101x1 (Kolesnikov et al. 2020, Big Transfer, section 3), under the names of its published weights."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from gloinone.learning.backbones import Normalise

UNITS = (3, 4, 23, 3)
WIDTHS = (256, 512, 1024, 2048)
GROUPS = 32
EPSILON = 1e-10
"""Added to the variance of a convolution's weights."""


class StandardisedConv(nn.Conv2d):
    """Each output channel's weights at mean 0 and variance 1 (Qiao et al. 2019, eq. 4), in float32."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, D, H/stride, W/stride)."""
        with torch.autocast(x.device.type, enabled=False):
            variance, mean = torch.var_mean(self.weight, (1, 2, 3), correction=0, keepdim=True)
            weight = (self.weight - mean) / (variance + EPSILON).sqrt()
        return functional.conv2d(x, weight, None, self.stride, self.padding)


def _conv(channels_in: int, channels_out: int, kernel: int, stride: int = 1) -> StandardisedConv:
    return StandardisedConv(channels_in, channels_out, kernel, stride, kernel // 2, bias=False)


class Unit(nn.Module):
    """Bottleneck whose norms come before its convolutions (He et al. 2016b); the stride is on the 3 x 3."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        middle = channels_out // 4
        self.gn1 = nn.GroupNorm(GROUPS, channels_in)
        self.conv1 = _conv(channels_in, middle, 1)
        self.gn2 = nn.GroupNorm(GROUPS, middle)
        self.conv2 = _conv(middle, middle, 3, stride)
        self.gn3 = nn.GroupNorm(GROUPS, middle)
        self.conv3 = _conv(middle, channels_out, 1)
        self.downsample = _conv(channels_in, channels_out, 1, stride) if channels_in != channels_out else None

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, D, H/stride, W/stride)."""
        y = self.gn1(x).relu()
        shortcut = x if self.downsample is None else self.downsample(y)
        y = self.conv2(self.gn2(self.conv1(y)).relu())
        out: Tensor = self.conv3(self.gn3(y).relu()) + shortcut
        return out


class BitClassifier(nn.Module):
    """Logits of a crop; `head.conv` is the one layer that depends on the number of classes."""

    def __init__(self, normalise: Normalise, outputs: int, units: tuple[int, ...] = UNITS) -> None:
        super().__init__()
        self.normalise = normalise
        self.root = nn.Sequential()
        self.root.add_module("conv", StandardisedConv(3, 64, 7, 2, 3, bias=False))
        self.body = nn.Sequential()
        channels = 64
        for number, (count, width) in enumerate(zip(units, WIDTHS, strict=True), start=1):
            block = nn.Sequential()
            for unit in range(1, count + 1):
                stride = 2 if unit == 1 and number > 1 else 1
                block.add_module(f"unit{unit:02d}", Unit(channels, width, stride))
                channels = width
            self.body.add_module(f"block{number}", block)
        self.head = nn.Sequential()
        self.head.add_module("gn", nn.GroupNorm(GROUPS, channels))
        self.head.add_module("conv", nn.Conv2d(channels, outputs, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, E, E) RGB 0..255 -> (B, outputs) float32 logits."""
        y = self.root(self.normalise(x))  # (B, 64, E/2, E/2)
        # Zeros around it, not the lowest number: the norm comes after the pooling, so values may be negative
        y = functional.max_pool2d(functional.pad(y, (1, 1, 1, 1)), 3, 2)  # (B, 64, E/4, E/4)
        y = self.body(y)  # (B, 2048, E/32, E/32)
        pooled = self.head[0](y).relu().float().mean((2, 3), keepdim=True)
        with torch.autocast(x.device.type, enabled=False):  # one small product: float32 costs nothing
            logits: Tensor = self.head[1](pooled)
        return logits.flatten(1)
