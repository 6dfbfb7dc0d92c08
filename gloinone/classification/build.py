"""From a model card and its weights to a classifier at work."""

import torch
from torch import nn

from gloinone.classification import resnet
from gloinone.classification.bit import BitClassifier
from gloinone.classification.predict import BATCH, Classifier
from gloinone.learning.adapt import check_adaptable
from gloinone.learning.backbones import Normalise
from gloinone.weights.card import ModelCard
from gloinone.weights.starting import filled

BIT = "bit-r101x1"
"""On the card of a BiT classifier."""


def build_network(card: ModelCard) -> nn.Module:
    """An untrained network as its card describes it; raises WeightsError for an unknown architecture."""
    if card.architecture.name == BIT:
        return BitClassifier(Normalise(card.mean, card.std), len(card.labels))
    return resnet.build_network(card)


def build_classifier(card: ModelCard, state: dict[str, torch.Tensor], device: torch.device) -> Classifier:
    """A classifier with the given weights, every key of them used and none missing."""
    network = filled(lambda: build_network(card), state, f"card {card.name}")
    check_adaptable(getattr(network, "first", None), card.norm_prior, card.name, card.architecture.name)
    alone = device.type == "cpu" and card.architecture.name == BIT  # what a batch is padded with costs much
    return Classifier(network, card, device, 1 if alone else BATCH)
