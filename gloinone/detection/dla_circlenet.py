"""CircleNets on DLA-34: with deformable convolutions (`dla_34`, the published detector) and without (`dlav0_34`).

Both necks bring the four levels to stride 4 by iterative deep aggregation (Yu et al. 2018, section 3.1; Zhou et
al. 2019, section 5 and figure 6).
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gloinone.detection.centernet import DeformableConv, PublicCircleNet, doubling
from gloinone.detection.dla import CHANNELS, Dla34, conv_norm_relu
from gloinone.learning.backbones import Normalise


class DeformableUnit(nn.Module):
    """Deformable convolution, batch norm, ReLU."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.actf = nn.Sequential(nn.BatchNorm2d(channels_out), nn.ReLU(inplace=True))
        self.conv = DeformableConv(channels_in, channels_out)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, D, H, W)."""
        y: Tensor = self.actf(self.conv(x))
        return y


class DeformableAggregation(nn.Module):
    """Levels, finest first, each made ``width`` wide and ``factors`` times finer, added to the one before it."""

    def __init__(self, width: int, channels: Sequence[int], factors: Sequence[int]) -> None:
        super().__init__()
        for i in range(1, len(channels)):
            self.add_module(f"proj_{i}", DeformableUnit(channels[i], width))
            self.add_module(f"up_{i}", doubling(width, factors[i]))
            self.add_module(f"node_{i}", DeformableUnit(width, width))

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """The first stays as it is; the last is the sum of all, at the first one's stride."""
        joined = [levels[0]]
        for i in range(1, len(levels)):
            finer = self.get_submodule(f"up_{i}")(self.get_submodule(f"proj_{i}")(levels[i]))
            joined.append(self.get_submodule(f"node_{i}")(finer + joined[-1]))
        return joined


class DeformableNeck(nn.Module):
    """From strides 4 to 32 to the same strides, each with all that is coarser in it."""

    def __init__(self) -> None:
        super().__init__()
        self.ida_0 = DeformableAggregation(256, (256, 512), (1, 2))
        self.ida_1 = DeformableAggregation(128, (128, 256, 256), (1, 2, 2))
        self.ida_2 = DeformableAggregation(64, (64, 128, 128, 128), (1, 2, 2, 2))

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """Four levels, finest first -> stride 4, 8, 16 and 32."""
        stride_16 = self.ida_0(levels[2:])
        stride_8 = self.ida_1([levels[1], *stride_16])
        stride_4 = self.ida_2([levels[0], *stride_8])
        return [stride_4[-1], stride_8[-1], stride_16[-1], levels[3]]


class DeformableDla(PublicCircleNet):
    """`dla_34` of CenterNet and CircleNet; tile edges are multiples of 32 px."""

    def __init__(self, normalise: Normalise, hidden: int = 256) -> None:
        super().__init__(normalise, CHANNELS[0], hidden)
        self.base = Dla34()
        self.dla_up = DeformableNeck()
        self.ida_up = DeformableAggregation(64, (64, 128, 256), (1, 2, 4))

    @property
    def features(self) -> nn.Module:
        """DLA-34."""
        return self.base

    def at_stride_4(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) normalised -> (B, 64, H/4, W/4)."""
        levels: list[Tensor] = self.ida_up(self.dla_up(self.base(x))[:3])
        return levels[-1]


class PlainAggregation(nn.Module):
    """As `DeformableAggregation`, with plain convolutions over both levels side by side."""

    def __init__(self, width: int, channels: Sequence[int]) -> None:
        super().__init__()
        for i in range(1, len(channels)):
            proj = conv_norm_relu(channels[i], width, 1) if channels[i] != width else nn.Identity()
            self.add_module(f"proj_{i}", proj)
            self.add_module(f"up_{i}", doubling(width, 2))
            self.add_module(f"node_{i}", conv_norm_relu(2 * width, width, 3))

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """The first stays as it is; the last holds all, at the first one's stride."""
        joined = [levels[0]]
        for i in range(1, len(levels)):
            finer = self.get_submodule(f"up_{i}")(self.get_submodule(f"proj_{i}")(levels[i]))
            joined.append(self.get_submodule(f"node_{i}")(torch.cat([joined[-1], finer], 1)))
        return joined


class PlainNeck(nn.Module):
    """From strides 4 to 32 to stride 4."""

    def __init__(self) -> None:
        super().__init__()
        self.ida_0 = PlainAggregation(256, (256, 512))
        self.ida_1 = PlainAggregation(128, (128, 256, 256))
        self.ida_2 = PlainAggregation(64, (64, 128, 128, 128))

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """Four levels, finest first -> (B, 64, H/4, W/4)."""
        stride_16 = self.ida_0(levels[2:])
        stride_8 = self.ida_1([levels[1], *stride_16])
        stride_4: list[Tensor] = self.ida_2([levels[0], *stride_8])
        return stride_4[-1]


class PlainDla(PublicCircleNet):
    """`dlav0_34` of CenterNet and CircleNet; tile edges are multiples of 32 px."""

    def __init__(self, normalise: Normalise, hidden: int = 256) -> None:
        super().__init__(normalise, CHANNELS[0], hidden)
        self.base = Dla34()
        self.dla_up = PlainNeck()

    @property
    def features(self) -> nn.Module:
        """DLA-34."""
        return self.base

    def at_stride_4(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) normalised -> (B, 64, H/4, W/4)."""
        stride_4: Tensor = self.dla_up(self.base(x))
        return stride_4
