"""From a model card and its weights to a classifier at work."""

import torch

from gloinone.classification.predict import Classifier
from gloinone.classification.resnet import build_network
from gloinone.errors import WeightsError
from gloinone.weights.card import ModelCard


def build_classifier(card: ModelCard, state: dict[str, torch.Tensor], device: torch.device) -> Classifier:
    """A classifier with the given weights, every key of them used and none missing."""
    network = build_network(card)
    try:
        network.load_state_dict(state, strict=True)
    except RuntimeError as error:
        raise WeightsError(
            f"card {card.name}: the weights are not of the network it names ({error})"
        ) from error
    return Classifier(network, card, device)
