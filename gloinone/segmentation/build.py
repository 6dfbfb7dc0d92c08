"""From a model card and its weights to a segmenter at work."""

import torch

from gloinone.errors import WeightsError
from gloinone.segmentation.deeplab import build_network
from gloinone.segmentation.predict import Segmenter
from gloinone.weights.card import ModelCard


def build_segmenter(card: ModelCard, state: dict[str, torch.Tensor], device: torch.device) -> Segmenter:
    """A segmenter with the given weights, every key of them used and none missing."""
    network = build_network(card)
    try:
        network.load_state_dict(state, strict=True)
    except RuntimeError as error:
        raise WeightsError(
            f"card {card.name}: the weights are not of the network it names ({error})"
        ) from error
    return Segmenter(network, card, device)
