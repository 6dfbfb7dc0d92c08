"""From a model card and its weights to a segmenter at work."""

import torch

from gloinone.segmentation.networks import build_network
from gloinone.segmentation.predict import Segmenter
from gloinone.weights.card import ModelCard
from gloinone.weights.starting import fill


def build_segmenter(card: ModelCard, state: dict[str, torch.Tensor], device: torch.device) -> Segmenter:
    """A segmenter with the given weights, every key of them used and none missing."""
    network = build_network(card)
    fill(network, state, f"card {card.name}")
    return Segmenter(network, card, device)
