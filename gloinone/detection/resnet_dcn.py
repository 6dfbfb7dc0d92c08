"""CircleNet on ResNet-18 with deformable convolutions (`resdcn_18`; Zhou et al. 2019, section 5)."""

from torch import Tensor, nn

from gloinone.detection.centernet import DeformableConv, PublicCircleNet, fill_bilinear
from gloinone.learning.backbones import Normalise, ResNetFeatures

WIDTHS = (256, 128, 64)
"""Of the three steps from stride 32 to stride 4."""


class DeformableResNet(PublicCircleNet):
    """Tile edges are multiples of 32 px."""

    def __init__(self, normalise: Normalise, hidden: int = 64) -> None:
        super().__init__(normalise, WIDTHS[-1], hidden)
        self.backbone = ResNetFeatures("resnet18")
        steps: list[nn.Module] = []
        channels = self.backbone.channels[-1]
        for width in WIDTHS:
            up = nn.ConvTranspose2d(width, width, 4, stride=2, padding=1, bias=False)
            fill_bilinear(up)
            steps += [DeformableConv(channels, width), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
            steps += [up, nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
            channels = width
        self.deconv_layers = nn.Sequential(*steps)

    @property
    def features(self) -> nn.Module:
        """The ResNet."""
        return self.backbone

    def at_stride_4(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) normalised -> (B, 64, H/4, W/4)."""
        f: Tensor = self.deconv_layers(self.backbone(x)[-1])
        return f
