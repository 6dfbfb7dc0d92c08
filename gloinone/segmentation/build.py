"""From a model card and its weights to a segmenter at work."""

import torch
from torch import nn

from gloinone.errors import WeightsError
from gloinone.learning.backbones import Normalise
from gloinone.segmentation import networks
from gloinone.segmentation.padded_deeplab import PaddedDeepLab
from gloinone.segmentation.predict import BATCH, Segmenter
from gloinone.weights.card import ModelCard
from gloinone.weights.starting import filled

DEEPLAB = "deeplabv3-resnet101"
"""On the card of a published segmenter; its options are ``pad_px`` and ``network_px``."""


def build_network(card: ModelCard) -> nn.Module:
    """An untrained network as its card describes it; raises WeightsError for an unknown architecture."""
    if card.architecture.name != DEEPLAB:
        return networks.build_network(card)
    options = card.architecture.options
    try:
        pad_px, network_px = int(options["pad_px"]), int(options["network_px"])
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError(
            f"card {card.name}: the architecture needs pad_px and network_px ({error!r})"
        ) from error
    return PaddedDeepLab(Normalise(card.mean, card.std), pad_px, network_px)


def build_segmenter(card: ModelCard, state: dict[str, torch.Tensor], device: torch.device) -> Segmenter:
    """A segmenter with the given weights, every key of them used and none missing."""
    network = filled(lambda: build_network(card), state, f"card {card.name}")
    alone = (
        device.type == "cpu" and card.architecture.name == DEEPLAB
    )  # what a batch is padded with costs much
    return Segmenter(network, card, device, 1 if alone else BATCH)
