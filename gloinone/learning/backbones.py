"""Image networks that give features at several strides."""

from typing import Literal

import torch
from torch import Tensor, nn

from gloinone.errors import UsageError

RESNET_CHANNELS = {
    "resnet18": (64, 128, 256, 512),
    "resnet34": (64, 128, 256, 512),
    "resnet50": (256, 512, 1024, 2048),
}
_BLOCKS = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3), "resnet50": (3, 4, 6, 3)}
"""In each of the four stages."""
_WIDTHS = (64, 128, 256, 512)


def _conv(channels_in: int, channels_out: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2, bias=False)


def _shortcut(channels_in: int, channels_out: int, stride: int) -> nn.Sequential | None:
    """Past the convolutions of a block; itself one where the shape changes."""
    if stride == 1 and channels_in == channels_out:
        return None
    return nn.Sequential(_conv(channels_in, channels_out, 1, stride), nn.BatchNorm2d(channels_out))


class _Basic(nn.Module):
    """Two 3 x 3 convolutions, the stride on the first."""

    widening = 1
    """Channels that come out, per channel of the 3 x 3 convolutions."""

    def __init__(self, channels_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.relu = nn.ReLU(inplace=True)
        self.conv1, self.bn1 = _conv(channels_in, width, 3, stride), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = _conv(width, width, 3), nn.BatchNorm2d(width)
        self.downsample = _shortcut(channels_in, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, D, H/stride, W/stride)."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        y += x if self.downsample is None else self.downsample(x)
        joined: Tensor = self.relu(y)
        return joined


class _Bottleneck(nn.Module):
    """1 x 1, 3 x 3 and 1 x 1, the stride on the second, as torchvision has it."""

    widening = 4

    def __init__(self, channels_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.relu = nn.ReLU(inplace=True)
        self.conv1, self.bn1 = _conv(channels_in, width, 1), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = _conv(width, width, 3, stride), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = _conv(width, 4 * width, 1), nn.BatchNorm2d(4 * width)
        self.downsample = _shortcut(channels_in, 4 * width, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, D, H/stride, W/stride)."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        y += x if self.downsample is None else self.downsample(x)
        joined: Tensor = self.relu(y)
        return joined


class ResNetFeatures(nn.Module):
    """A ResNet without its classifier (He et al. 2016); parameter names are torchvision's.

    Not torchvision's own, which takes a run 1.4 s to import. ``dilated``: the last stage keeps the stride of the one
    before. ``stages``: the first so many of its four; three fifths of a ResNet-34's weights are in the last.
    """

    def __init__(self, name: str = "resnet34", dilated: bool = False, stages: int = 4) -> None:
        super().__init__()
        if name not in RESNET_CHANNELS:
            raise UsageError(f"unknown backbone {name!r}; known: {', '.join(RESNET_CHANNELS)}")
        block = _Bottleneck if name == "resnet50" else _Basic
        self.channels = RESNET_CHANNELS[name][:stages]
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)
        self.relu, self.maxpool = nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)
        channels = 64
        for number, (width, count) in enumerate(zip(_WIDTHS, _BLOCKS[name][:stages], strict=False)):
            blocks = []
            for place in range(count):
                blocks.append(block(channels, width, 2 if number and not place else 1))
                channels = width * block.widening
            self.add_module(f"layer{number + 1}", nn.Sequential(*blocks))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if dilated:
            _dilate(self.stages[-1])

    @property
    def stages(self) -> tuple[nn.Module, ...]:
        """Each at twice the stride of the one before, the first at 4."""
        return tuple(self.get_submodule(f"layer{number}") for number in range(1, len(self.channels) + 1))

    def first(self, normalise: nn.Module) -> nn.Sequential:
        """What comes before it, its stem and its first stage: the layers that see colours and contrasts."""
        return nn.Sequential(normalise, self.conv1, self.bn1, self.relu, self.maxpool, self.stages[0])

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, H, W) normalised -> features at strides 4, 8, 16, 32, of as many stages as it has."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))  # (B, 64, H/4, W/4)
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return tuple(features)


def _dilate(stage: nn.Module) -> None:
    """No stride, and kernels that reach twice as far (Chen et al. 2017, section 3.1)."""
    for module in stage.modules():
        if isinstance(module, nn.Conv2d):
            reach = module.kernel_size[0] // 2 * 2
            module.stride, module.dilation, module.padding = (1, 1), (2, 2), (reach, reach)


class Normalise(nn.Module):
    """RGB 0..255 -> what the backbone was trained on; part of the network, so that nobody forgets it.

    ``channels``: the order in which the network takes them, and in which ``mean`` and ``std`` stand.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        mean: tuple[float, float, float],
        std: tuple[float, float, float],
        channels: Literal["RGB", "BGR"] = "RGB",
    ) -> None:
        super().__init__()
        self.turns = channels == "BGR"
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) RGB, uint8 or float 0..255 -> float, normalised."""
        x = x.flip(1) if self.turns else x
        return (x.to(self.mean.dtype) - self.mean) / self.std
