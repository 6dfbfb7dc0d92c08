"""From a model card and its weights to a classifier at work."""

import torch

from gloinone.classification.predict import Classifier
from gloinone.classification.resnet import build_network
from gloinone.weights.card import ModelCard
from gloinone.weights.starting import fill


def build_classifier(card: ModelCard, state: dict[str, torch.Tensor], device: torch.device) -> Classifier:
    """A classifier with the given weights, every key of them used and none missing."""
    network = build_network(card)
    fill(network, state, f"card {card.name}")
    return Classifier(network, card, device)
