"""Image networks that give features at several strides."""

from typing import Literal

import torch
from torch import Tensor, nn
from torchvision import models

from gloinone.errors import UsageError

RESNET_CHANNELS = {
    "resnet18": (64, 128, 256, 512),
    "resnet34": (64, 128, 256, 512),
    "resnet50": (256, 512, 1024, 2048),
}


class ResNetFeatures(nn.Module):
    """A torchvision ResNet without its classifier; parameter names are torchvision's (He et al. 2016)."""

    def __init__(self, name: str = "resnet34") -> None:
        super().__init__()
        if name not in RESNET_CHANNELS:
            raise UsageError(f"unknown backbone {name!r}; known: {', '.join(RESNET_CHANNELS)}")
        net = getattr(models, name)(weights=None)
        self.channels = RESNET_CHANNELS[name]
        self.conv1, self.bn1, self.relu, self.maxpool = net.conv1, net.bn1, net.relu, net.maxpool
        self.layer1, self.layer2, self.layer3, self.layer4 = net.layer1, net.layer2, net.layer3, net.layer4

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(B, 3, H, W) normalised -> features at strides 4, 8, 16, 32."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))  # (B, 64, H/4, W/4)
        c2 = self.layer1(x)
        c3 = self.layer2(c2)
        c4 = self.layer3(c3)
        return c2, c3, c4, self.layer4(c4)


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
