"""CircleNet (Yang et al. 2020, MICCAI): a heatmap of centres, a sub-pixel offset and a radius at stride 4."""

import math
from abc import ABC, abstractmethod
from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional

from gloinone.learning.backbones import Normalise, ResNetFeatures

STRIDE = 4
"""Network input px per output px."""
DEEPEST_STRIDE = 32
"""Network input px per px of the smallest maps."""
PRIOR = 0.02
"""Share of centres that an untrained heatmap claims; keeps the first focal losses small."""


class CircleMaps(NamedTuple):
    """What the network says of a batch of tiles; H and W are those of the output, a quarter of the tile's."""

    heat: Tensor
    """(B, 1, H, W) logits: a centre lies in this cell."""
    offset: Tensor
    """(B, 2, H, W) x, y of the centre from its cell's corner, output px."""
    radius: Tensor
    """(B, 1, H, W) output px."""


class CircleNetwork(nn.Module, ABC):
    """What every detector's network is to the code that runs and trains it."""

    @property
    @abstractmethod
    def features(self) -> nn.Module:
        """What starting weights are for."""

    @abstractmethod
    def forward(self, x: Tensor) -> CircleMaps:
        """(B, 3, H, W) RGB 0..255 -> maps of (H/4, W/4)."""

    @property
    def first(self) -> nn.Module | None:
        """The layers that see colours and contrasts, (B, 3, H, W) RGB 0..255 in; None: not adapted to slides."""
        return None

    def supervised(self, x: Tensor) -> tuple[CircleMaps, ...]:
        """All maps that a training corrects, those of ``forward`` last."""
        return (self(x),)


def head(width: int, hidden: int, outputs: int) -> nn.Sequential:
    """One map of the features: 3 x 3, ReLU, 1 x 1."""
    return nn.Sequential(
        nn.Conv2d(width, hidden, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(hidden, outputs, 1)
    )


def start_with_prior(heat: nn.Sequential) -> nn.Sequential:
    """The head of the heatmap, made to claim ``PRIOR`` before it is trained."""
    last = heat[-1]
    assert isinstance(last, nn.Conv2d)
    assert last.bias is not None
    nn.init.constant_(last.bias, math.log(PRIOR / (1 - PRIOR)))
    return heat


def _conv(channels_in: int, channels_out: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(inplace=True),
    )


class TopDown(nn.Module):
    """Features of strides 4, 8 and so on joined at stride 4 by a top-down path (Lin et al. 2017, section 3)."""

    def __init__(self, channels: tuple[int, ...], width: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(_conv(c, width, 1) for c in channels)
        self.smooth = nn.ModuleList(_conv(width, width, 3) for _ in channels[:-1])

    def forward(self, features: tuple[Tensor, ...]) -> Tensor:
        """Features, finest first -> (B, width, H/4, W/4)."""
        x: Tensor = self.lateral[-1](features[-1])
        for i in range(len(features) - 2, -1, -1):
            x = functional.interpolate(x, scale_factor=2.0, mode="nearest")
            x = self.smooth[i](x + self.lateral[i](features[i]))
        return x


class CircleNet(CircleNetwork):
    """The detector: backbone, top-down neck, three heads. Tile edges are multiples of 32 px."""

    def __init__(self, normalise: Normalise, backbone: ResNetFeatures, width: int = 64) -> None:
        super().__init__()
        self.normalise = normalise
        self.backbone = backbone
        self.neck = TopDown(backbone.channels, width)
        self.heat = start_with_prior(head(width, width, 1))
        self.offset = head(width, width, 2)
        self.radius = head(width, width, 1)

    @property
    def features(self) -> nn.Module:
        """The ResNet."""
        return self.backbone

    @property
    def first(self) -> nn.Sequential:
        """Up to stride 4: the ResNet's stem and first stage."""
        return self.backbone.first(self.normalise)

    def forward(self, x: Tensor) -> CircleMaps:
        """(B, 3, H, W) RGB 0..255 -> maps of (H/4, W/4)."""
        f = self.neck(self.backbone(self.normalise(x)))  # (B, width, H/4, W/4)
        return CircleMaps(heat=self.heat(f), offset=self.offset(f), radius=self.radius(f))
