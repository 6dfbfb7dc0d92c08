"""From a model card to the network and the numbers it is used with."""

import torch

from gloinone.detection.circlenet import CircleNet
from gloinone.detection.predict import DetectConfig, Detector
from gloinone.errors import WeightsError
from gloinone.learning.backbones import Normalise, ResNetFeatures
from gloinone.weights.card import Architecture, ModelCard
from gloinone.weights.starting import fill

ARCHITECTURE = "circlenet-resnet"
IMAGENET_MEAN = (122.782, 117.001, 104.298)
"""Of the CC0 ResNet-34 that detectors start from, RGB 0..255."""
IMAGENET_STD = (256.0, 256.0, 256.0)


def architecture(backbone: str, width: int) -> Architecture:
    """What a card says of a network of ours."""
    return Architecture(ARCHITECTURE, {"backbone": backbone, "width": width})


def build_network(card: ModelCard) -> CircleNet:
    """The network a card describes, with random weights."""
    if card.architecture.name != ARCHITECTURE:
        raise WeightsError(
            f"card {card.name}: unknown detector {card.architecture.name!r}; known: {ARCHITECTURE}"
        )
    options = card.architecture.options
    try:
        backbone, width = str(options["backbone"]), int(options["width"])
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError(
            f"card {card.name}: the architecture needs backbone and width ({error!r})"
        ) from error
    return CircleNet(Normalise(card.mean, card.std), ResNetFeatures(backbone), width)


def detect_config(card: ModelCard) -> DetectConfig:
    """The card's numbers; all of them must be there."""
    needed = {
        "mpp": card.mpp,
        "margin_um": card.margin_um,
        "floor": card.floor,
        "merge_iou": card.merge_iou,
        "threshold": card.threshold,
        "max_per_tile": card.max_per_tile,
    }
    missing = [name for name, value in needed.items() if value is None]
    if missing:
        raise WeightsError(f"card {card.name}: a detector's card states {', '.join(missing)}; it does not")
    assert card.mpp is not None
    assert card.margin_um is not None
    assert card.floor is not None
    assert card.merge_iou is not None
    assert card.max_per_tile is not None
    return DetectConfig(
        card.mpp, card.edge_px, card.margin_um, card.floor, card.merge_iou, max_per_tile=card.max_per_tile
    )


def build_detector(card: ModelCard, state: dict[str, torch.Tensor], device: torch.device) -> Detector:
    """A detector with the given weights, every key of them used and none missing."""
    network = build_network(card)
    fill(network, state, f"card {card.name}")
    return Detector(network, detect_config(card), device)
