"""DeepLabv3+ (Chen et al. 2018, section 3) on one of our ResNets, under segmentation-models-pytorch's names.

Not the library's own: with torchvision and timm, which it needs, it takes a run 2 s to import.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from gloinone.learning.backbones import ResNetFeatures

RATES = (12, 24, 36)
"""How far the kernels of the pyramid reach, at stride 16."""
FINE_CHANNELS = 48
"""To which the features at stride 4 are brought down, so that they do not outweigh the others."""
DROPOUT = 0.5


def _normed(*convolutions: nn.Module, channels: int) -> nn.Sequential:
    return nn.Sequential(*convolutions, nn.BatchNorm2d(channels), nn.ReLU())


def _separable(channels_in: int, channels_out: int, rate: int = 1) -> nn.Sequential:
    """3 x 3 in each channel, then 1 x 1 over them."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_in, 3, padding=rate, dilation=rate, groups=channels_in, bias=False),
        nn.Conv2d(channels_in, channels_out, 1, bias=False),
    )


class _WholePicture(nn.Sequential):
    """The mean over the picture, everywhere."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, D, H, W)."""
        mean = x
        for layer in self:
            mean = layer(mean)
        return functional.interpolate(mean, size=x.shape[-2:], mode="bilinear", align_corners=False)


class _Pyramid(nn.Module):
    """The same features seen at several reaches, joined."""

    def __init__(self, channels_in: int, width: int) -> None:
        super().__init__()
        one = nn.Conv2d(channels_in, width, 1, bias=False)
        whole = nn.Conv2d(channels_in, width, 1, bias=False)
        self.convs = nn.ModuleList(
            [
                _normed(one, channels=width),
                *(_normed(_separable(channels_in, width, rate), channels=width) for rate in RATES),
                _WholePicture(nn.AdaptiveAvgPool2d(1), whole, nn.BatchNorm2d(width), nn.ReLU()),
            ]
        )
        joined = nn.Conv2d(len(self.convs) * width, width, 1, bias=False)
        self.project = _normed(joined, channels=width).append(nn.Dropout(DROPOUT))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, width, H, W)."""
        y: Tensor = self.project(torch.cat([conv(x) for conv in self.convs], dim=1))
        return y


class _Decoder(nn.Module):
    """Features of stride 16 through the pyramid, joined at stride 4 with those that are finer."""

    def __init__(self, channels: tuple[int, ...], width: int) -> None:
        super().__init__()
        pyramid = _Pyramid(channels[-1], width)
        self.aspp = nn.Sequential(pyramid, *_normed(_separable(width, width), channels=width))
        self.up = nn.Upsample(scale_factor=4, mode="bilinear", align_corners=True)
        fine = nn.Conv2d(channels[0], FINE_CHANNELS, 1, bias=False)
        self.block1 = _normed(fine, channels=FINE_CHANNELS)
        self.block2 = _normed(_separable(FINE_CHANNELS + width, width), channels=width)

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """(B, C, H/4, W/4), (B, D, H/16, W/16) -> (B, width, H/4, W/4)."""
        coarse = self.up(self.aspp(coarse))
        joined: Tensor = self.block2(torch.cat([coarse, self.block1(fine)], dim=1))
        return joined


class DeepLabPlus(nn.Module):
    """One map at the picture's own size, whose edges are multiples of 16 px; ``encoder``: a dilated one."""

    def __init__(self, encoder: ResNetFeatures, width: int = 256) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = _Decoder(encoder.channels, width)
        self.segmentation_head = nn.Sequential(
            nn.Conv2d(width, 1, 1), nn.Upsample(scale_factor=4, mode="bilinear", align_corners=True)
        )
        for module in self.decoder.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_uniform_(module.weight, mode="fan_in", nonlinearity="relu")
        last = self.segmentation_head[0]
        assert isinstance(last, nn.Conv2d)
        assert last.bias is not None
        nn.init.xavier_uniform_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) normalised -> (B, 1, H, W)."""
        fine, _, _, coarse = self.encoder(x)
        logits: Tensor = self.segmentation_head(self.decoder(fine, coarse))
        return logits
