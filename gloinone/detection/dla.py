"""DLA-34 (Yu et al. 2018, CVPR), under the names of its published weights."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

CHANNELS = (64, 128, 256, 512)
"""At strides 4, 8, 16 and 32."""


def conv_norm(channels_in: int, channels_out: int, kernel: int, stride: int = 1) -> list[nn.Module]:
    """Convolution without bias, batch norm."""
    return [
        nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(channels_out),
    ]


def conv_norm_relu(channels_in: int, channels_out: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Convolution without bias, batch norm, ReLU."""
    return nn.Sequential(*conv_norm(channels_in, channels_out, kernel, stride), nn.ReLU(inplace=True))


class Block(nn.Module):
    """Two 3 x 3 convolutions and a shortcut that is given."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv_norm(channels_in, channels_out, 3, stride)
        self.conv2, self.bn2 = conv_norm(channels_out, channels_out, 3)

    def forward(self, x: Tensor, shortcut: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, D, H/stride, W/stride)."""
        y = self.bn1(self.conv1(x)).relu()
        out: Tensor = (self.bn2(self.conv2(y)) + shortcut).relu()
        return out


class Root(nn.Module):
    """Joins the nodes of a tree: concatenated, 1 x 1."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.conv, self.bn = conv_norm(channels_in, channels_out, 1)

    def forward(self, nodes: Sequence[Tensor]) -> Tensor:
        """(B, C1, H, W), (B, C2, H, W), ... -> (B, D, H, W)."""
        joined: Tensor = self.bn(self.conv(torch.cat(list(nodes), 1))).relu()
        return joined


class Pair(nn.Module):
    """The smallest tree: two blocks and their root, which also takes ``extra`` channels of earlier nodes."""

    def __init__(self, channels_in: int, channels_out: int, stride: int, extra: int = 0) -> None:
        super().__init__()
        self.tree1 = Block(channels_in, channels_out, stride)
        self.tree2 = Block(channels_out, channels_out, 1)
        self.root = Root(2 * channels_out + extra, channels_out)
        self.downsample = nn.MaxPool2d(stride) if stride > 1 else nn.Identity()
        self.project = (
            nn.Sequential(*conv_norm(channels_in, channels_out, 1))
            if channels_in != channels_out
            else nn.Identity()
        )

    def forward(self, x: Tensor, earlier: Sequence[Tensor] = ()) -> Tensor:
        """(B, C, H, W) -> (B, D, H/stride, W/stride)."""
        first = self.tree1(x, self.project(self.downsample(x)))
        second = self.tree2(first, first)
        joined: Tensor = self.root([second, first, *earlier])
        return joined


class Stage(nn.Module):
    """A level whose root also takes what the level began with; of two pairs, or of one."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.downsample = nn.MaxPool2d(2)
        self.tree1 = Pair(channels_in, channels_out, 2)
        self.tree2 = Pair(channels_out, channels_out, 1, channels_in + channels_out)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, D, H/2, W/2)."""
        first = self.tree1(x)
        joined: Tensor = self.tree2(first, [self.downsample(x), first])
        return joined


class LastStage(Pair):
    """The deepest level: one pair, whose root takes what it began with."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__(channels_in, channels_out, 2, channels_in)

    def forward(self, x: Tensor, earlier: Sequence[Tensor] = ()) -> Tensor:
        """(B, C, H, W) -> (B, D, H/2, W/2)."""
        return super().forward(x, [self.downsample(x), *earlier])


class Dla34(nn.Module):
    """Features at strides 4 to 32."""

    def __init__(self) -> None:
        super().__init__()
        self.base_layer = conv_norm_relu(3, 16, 7)
        self.level0 = conv_norm_relu(16, 16, 3)
        self.level1 = conv_norm_relu(16, 32, 3, 2)
        self.level2 = Pair(32, 64, 2)
        self.level3 = Stage(64, 128)
        self.level4 = Stage(128, 256)
        self.level5 = LastStage(256, 512)

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, 3, H, W) normalised -> (B, C, H/s, W/s) for s of 4, 8, 16, 32 and C of ``CHANNELS``."""
        x = self.level2(self.level1(self.level0(self.base_layer(x))))  # (B, 64, H/4, W/4)
        features = [x]
        for level in (self.level3, self.level4, self.level5):
            features.append(level(features[-1]))
        return features
