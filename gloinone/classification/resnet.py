"""The classifier: a ResNet (He et al. 2016) with average pooling, a batch norm and one linear layer."""

import torch
from torch import Tensor, nn

from gloinone.errors import WeightsError
from gloinone.learning.backbones import RESNET_CHANNELS, Normalise, ResNetFeatures
from gloinone.weights.card import ModelCard


class CropClassifier(nn.Module):
    """Five logits a crop, in the order of labels.CLASSES."""

    def __init__(
        self, normalise: Normalise, backbone: ResNetFeatures, outputs: int, dropout: float = 0.2
    ) -> None:
        super().__init__()
        self.normalise = normalise
        self.backbone = backbone
        # Starting weights come with features of any size: without this the first steps overshoot
        self.norm = nn.BatchNorm1d(backbone.channels[-1])
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(backbone.channels[-1], outputs)
        self.is_frozen = False

    def freeze_backbone(self) -> None:
        """Linear evaluation: its weights and running statistics stay as they are, whatever is trained."""
        self.is_frozen = True
        self.backbone.requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> "CropClassifier":
        """Training or evaluation mode, of what is not frozen."""
        super().train(mode)
        if self.is_frozen:
            self.backbone.eval()
        return self

    @property
    def first(self) -> nn.Sequential:
        """Up to stride 4: the ResNet's stem and first stage."""
        return self.backbone.first(self.normalise)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, E, E) RGB 0..255 -> (B, outputs) float32 logits."""
        return self.logits_and_features(x)[0]

    def logits_and_features(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """As ``forward``, and as ``features``, in one pass."""
        maps = self.backbone(self.normalise(x))
        pooled = maps[-1].float().mean(dim=(2, 3))  # (B, C)
        with torch.autocast(x.device.type, enabled=False):  # one small product: float32 costs nothing
            logits: Tensor = self.head(self.dropout(self.norm(pooled)))
        return logits, maps[0].float().mean(dim=(2, 3))

    def features(self, x: Tensor) -> Tensor:
        """(B, 64) float32 means of the first stage's maps: colour and texture, not yet meaning."""
        maps: Tensor = self.first(x)
        return maps.float().mean(dim=(2, 3))


def build_network(card: ModelCard) -> CropClassifier:
    """An untrained network as its card describes it; raises WeightsError for an unknown architecture."""
    name = card.architecture.name
    if name not in RESNET_CHANNELS:
        raise WeightsError(
            f"card {card.name}: unknown classifier {name!r}; known: {', '.join(RESNET_CHANNELS)}"
        )
    return CropClassifier(Normalise(card.mean, card.std), ResNetFeatures(name), len(card.labels))
