"""CircleNet on two stacked hourglasses (Newell et al. 2016; Law and Deng 2018, section 3.4), by its published names."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from gloinone.detection.circlenet import CircleMaps, CircleNetwork, start_with_prior
from gloinone.detection.dla import conv_norm
from gloinone.learning.backbones import Normalise

CHANNELS = (256, 256, 384, 384, 384, 512)
"""From stride 4 to stride 128."""
BLOCKS = (2, 2, 2, 2, 2, 4)
"""Residual blocks at each of these strides."""
STACKS = 2


class ConvNorm(nn.Module):
    """Convolution, batch norm or none, ReLU."""

    def __init__(
        self, channels_in: int, channels_out: int, kernel: int, stride: int = 1, has_norm: bool = True
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2, bias=not has_norm)
        self.bn = nn.BatchNorm2d(channels_out) if has_norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, D, H/stride, W/stride)."""
        y: Tensor = self.bn(self.conv(x))
        return y.relu()


class Residual(nn.Module):
    """Two 3 x 3 convolutions and a shortcut."""

    def __init__(self, channels_in: int, channels_out: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv_norm(channels_in, channels_out, 3, stride)
        self.conv2, self.bn2 = conv_norm(channels_out, channels_out, 3)
        same = stride == 1 and channels_in == channels_out
        self.skip = nn.Sequential(*([] if same else conv_norm(channels_in, channels_out, 1, stride)))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, D, H/stride, W/stride)."""
        y = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))
        out: Tensor = (y + self.skip(x)).relu()
        return out


class Hourglass(nn.Module):
    """One level: straight on, and down to the levels below and back."""

    def __init__(self, channels: Sequence[int], blocks: Sequence[int]) -> None:
        super().__init__()
        here, below, count = channels[0], channels[1], blocks[0]
        self.up1 = nn.Sequential(*(Residual(here, here) for _ in range(count)))
        self.low1 = nn.Sequential(
            Residual(here, below, 2), *(Residual(below, below) for _ in range(count - 1))
        )
        self.low2 = (
            Hourglass(channels[1:], blocks[1:])
            if len(channels) > 2
            else nn.Sequential(*(Residual(below, below) for _ in range(blocks[1])))
        )
        self.low3 = nn.Sequential(*(Residual(below, below) for _ in range(count - 1)), Residual(below, here))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        deep = functional.interpolate(self.low3(self.low2(self.low1(x))), scale_factor=2.0, mode="nearest")
        straight: Tensor = self.up1(x)
        # the level below rounds an odd size up
        return straight + deep[..., : x.shape[-2], : x.shape[-1]]


class HourglassCircleNet(CircleNetwork):
    """`hourglass` of CenterNet and CircleNet; every stack has heads, all of them trained, the last ones used."""

    def __init__(
        self, normalise: Normalise, channels: Sequence[int] = CHANNELS, blocks: Sequence[int] = BLOCKS
    ) -> None:
        super().__init__()
        width = channels[0]
        self.normalise = normalise
        self.pre = nn.Sequential(ConvNorm(3, 128, 7, 2), Residual(128, width, 2))
        self.kps = nn.ModuleList(Hourglass(channels, blocks) for _ in range(STACKS))
        self.cnvs = nn.ModuleList(ConvNorm(width, width, 3) for _ in range(STACKS))
        self.inters = nn.ModuleList(Residual(width, width) for _ in range(STACKS - 1))
        self.inters_ = nn.ModuleList(nn.Sequential(*conv_norm(width, width, 1)) for _ in range(STACKS - 1))
        self.cnvs_ = nn.ModuleList(nn.Sequential(*conv_norm(width, width, 1)) for _ in range(STACKS - 1))
        self.hm = nn.ModuleList(_head(width, 1) for _ in range(STACKS))
        self.cl = nn.ModuleList(_head(width, 1) for _ in range(STACKS))
        self.reg = nn.ModuleList(_head(width, 2) for _ in range(STACKS))
        for heat in self.hm:
            assert isinstance(heat, nn.Sequential)
            start_with_prior(heat)

    @property
    def features(self) -> nn.Module:
        """The stem: no start of the rest is known."""
        return self.pre

    def forward(self, x: Tensor) -> CircleMaps:
        """(B, 3, H, W) RGB 0..255 -> maps of (H/4, W/4)."""
        return self._maps(STACKS - 1, self._stacks(x)[-1])

    def supervised(self, x: Tensor) -> tuple[CircleMaps, ...]:
        """Those of every stack (Newell et al. 2016, section 3.2: intermediate supervision)."""
        return tuple(self._maps(i, f) for i, f in enumerate(self._stacks(x)))

    def _stacks(self, x: Tensor) -> list[Tensor]:
        """What each stack says, (B, C, H/4, W/4)."""
        between = self.pre(self.normalise(x))  # (B, C, H/4, W/4)
        said: list[Tensor] = [self.cnvs[0](self.kps[0](between))]
        for i in range(1, STACKS):
            between = (self.inters_[i - 1](between) + self.cnvs_[i - 1](said[-1])).relu()
            between = self.inters[i - 1](between)
            said.append(self.cnvs[i](self.kps[i](between)))
        return said

    def _maps(self, stack: int, f: Tensor) -> CircleMaps:
        """Of a stack's own heads."""
        return CircleMaps(heat=self.hm[stack](f), offset=self.reg[stack](f), radius=self.cl[stack](f))


def _head(width: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(ConvNorm(width, width, 3, has_norm=False), nn.Conv2d(width, outputs, 1))
