"""What the detectors of the CircleNet and CenterNet programs share: names of weights, heads, deformable convolution."""

import math
from abc import abstractmethod

import torch
from torch import Tensor, nn

from gloinone.detection.circlenet import CircleMaps, CircleNetwork, head, start_with_prior
from gloinone.learning.backbones import Normalise


class PublicCircleNet(CircleNetwork):
    """Features at stride 4 and the heads `hm`, `cl` and `reg`, under the names of the published weights."""

    def __init__(self, normalise: Normalise, width: int, hidden: int) -> None:
        super().__init__()
        self.normalise = normalise
        self.hm = start_with_prior(head(width, hidden, 1))
        self.cl = head(width, hidden, 1)
        self.reg = head(width, hidden, 2)

    @abstractmethod
    def at_stride_4(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) normalised -> (B, width, H/4, W/4)."""

    def forward(self, x: Tensor) -> CircleMaps:
        """(B, 3, H, W) RGB 0..255 -> maps of (H/4, W/4)."""
        f = self.at_stride_4(self.normalise(x))
        return CircleMaps(heat=self.hm(f), offset=self.reg(f), radius=self.cl(f))


class DeformableConv(nn.Module):
    """3 x 3 modulated deformable convolution (Zhu et al. 2019, section 3), in float32: no kernel takes bfloat16.

    `conv_offset_mask` gives 27 channels in the order of the published weights: y and x of each of the nine
    samples, 18 together, then nine logits of how much each counts.
    """

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels_out, channels_in, 3, 3))
        self.bias = nn.Parameter(torch.zeros(channels_out))
        self.conv_offset_mask = nn.Conv2d(channels_in, 27, 3, padding=1)
        bound = 1 / math.sqrt(9 * channels_in)
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.zeros_(self.conv_offset_mask.weight)  # a plain convolution until it is trained
        assert self.conv_offset_mask.bias is not None
        nn.init.zeros_(self.conv_offset_mask.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, D, H, W) float32."""
        from torchvision.ops import deform_conv2d  # here, since it takes 1.4 s and what ships does without

        with torch.autocast(x.device.type, enabled=False):
            x = x.float()
            said = self.conv_offset_mask(x)  # (B, 27, H, W)
            moved: Tensor = deform_conv2d(
                x, said[:, :18], self.weight, self.bias, padding=1, mask=said[:, 18:].sigmoid()
            )
        return moved


def doubling(channels: int, factor: int) -> nn.ConvTranspose2d:
    """Each channel enlarged by itself, bilinearly until it is trained."""
    up = nn.ConvTranspose2d(
        channels, channels, 2 * factor, stride=factor, padding=factor // 2, groups=channels, bias=False
    )
    fill_bilinear(up)
    return up


def fill_bilinear(up: nn.ConvTranspose2d) -> None:
    """Every channel's own kernel (2 f, 2 f) becomes the tent that interpolates f times finer; others are zero."""
    size = up.kernel_size[0]
    factor = size / 2
    line = 1 - ((torch.arange(size) + 0.5) / factor - 1).abs()
    with torch.no_grad():
        if up.groups == 1:  # (in, out, 2 f, 2 f): a tent between two channels would make all of them the same
            up.weight.zero_()
            own = torch.arange(min(up.weight.shape[:2]))
            up.weight[own, own] = line[:, None] * line
        else:
            up.weight.copy_((line[:, None] * line).expand_as(up.weight))
