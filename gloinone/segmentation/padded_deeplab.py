"""The published segmenter: torchvision's DeepLabv3 on ResNet-101 (Chen et al. 2017), and how it is fed.

The crop's border is repeated outwards, the padded crop enlarged, and what comes out is brought back to the crop:
what the weights were trained on is part of the network, so that nobody forgets it.
"""

from torch import Tensor, nn
from torch.nn import functional

from gloinone.learning.backbones import Normalise


class PaddedDeepLab(nn.Module):
    """One logit a pixel of the crop; keys are torchvision's."""

    def __init__(self, normalise: Normalise, pad_px: int, network_px: int) -> None:
        # Here, since it takes 1.4 s and what ships does without
        from torchvision.models.segmentation import deeplabv3_resnet101

        super().__init__()
        self.normalise = normalise
        self.pad_px = pad_px
        """Of the crop, on every side."""
        self.network_px = network_px
        """Edge of what the network sees."""
        network = deeplabv3_resnet101(weights=None, weights_backbone=None, num_classes=2, aux_loss=False)
        self.backbone = network.backbone
        self.classifier = network.classifier

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, E, E) RGB 0..255 -> (B, 1, E, E) float32 logits: over 0 where class 1 is the likelier."""
        edge, pad = x.shape[-1], self.pad_px
        padded = functional.pad(x.float(), (pad, pad, pad, pad), mode="replicate")  # (B, 3, E + 2 pad, ...)
        size = (self.network_px, self.network_px)
        seen = functional.interpolate(padded, size, mode="bicubic").round().clamp(0, 255)
        classes = self.classifier(self.backbone(self.normalise(seen))["out"]).float()  # (B, 2, size / 8)
        logits = functional.interpolate(classes[:, 1:] - classes[:, :1], size, mode="bilinear")
        whole = functional.interpolate(
            logits, (edge + 2 * pad, edge + 2 * pad), mode="bilinear", antialias=True
        )
        return whole[..., pad : pad + edge, pad : pad + edge]
