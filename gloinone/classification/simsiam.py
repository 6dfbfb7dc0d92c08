"""SimSiam: features from pictures without labels (Chen and He 2021, CVPR; widths as in the authors' code)."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from gloinone.learning.backbones import Normalise, ResNetFeatures

WIDTH, BOTTLENECK = 2048, 512


class Views(NamedTuple):
    """Of B pictures."""

    embedding: Tensor
    """(B, W) what the projector makes of the features."""
    prediction: Tensor
    """(B, W) what the predictor makes of that: the embedding of another view of the same picture."""


class SimSiam(nn.Module):
    """Backbone, projector and predictor; only the backbone is kept in the end."""

    def __init__(self, normalise: Normalise, backbone: ResNetFeatures, width: int = WIDTH) -> None:
        super().__init__()
        self.normalise = normalise
        self.backbone = backbone
        inner = backbone.channels[-1]
        self.projector = nn.Sequential(
            nn.Linear(inner, inner, bias=False), nn.BatchNorm1d(inner), nn.ReLU(),
            nn.Linear(inner, inner, bias=False), nn.BatchNorm1d(inner), nn.ReLU(),
            nn.Linear(inner, width, bias=False), nn.BatchNorm1d(width, affine=False),
        )  # fmt: skip
        self.predictor = nn.Sequential(
            nn.Linear(width, BOTTLENECK, bias=False), nn.BatchNorm1d(BOTTLENECK), nn.ReLU(),
            nn.Linear(BOTTLENECK, width),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Views:
        """(B, 3, E, E) RGB 0..255 -> two times (B, W) float32."""
        features = self.backbone(self.normalise(x))[-1]  # (B, C, E/32, E/32)
        pooled = features.float().mean(dim=(2, 3))
        with torch.autocast(x.device.type, enabled=False):  # batch norms of small differences
            embedding = self.projector(pooled)
            return Views(embedding, self.predictor(embedding))


def disagreement(first: Views, second: Views) -> Tensor:
    """Minus the mean cosine of each prediction and the other view's embedding, which gets no gradient; -1 is best."""
    one = functional.cosine_similarity(first.prediction, second.embedding.detach())
    two = functional.cosine_similarity(second.prediction, first.embedding.detach())
    return -(one.mean() + two.mean()) / 2


def spread(embedding: Tensor) -> Tensor:
    """How far (B, W) embeddings of unit length lie apart: 1 evenly over the sphere, 0 all in one point.

    The standard deviation of each dimension times the root of their number, in the mean (section 4.1).
    """
    unit = functional.normalize(embedding.detach(), dim=1)
    apart: Tensor = unit.std(dim=0, correction=0).mean() * unit.shape[1] ** 0.5
    return apart
