"""From a model card to the network and the numbers it is used with."""

from collections.abc import Callable, Sequence

import torch

from gloinone.detection.circlenet import CircleNet, CircleNetwork
from gloinone.detection.dla_circlenet import DeformableDla, PlainDla
from gloinone.detection.hourglass import HourglassCircleNet
from gloinone.detection.looks import ONCE
from gloinone.detection.predict import DetectConfig, Detector
from gloinone.detection.resnet_dcn import DeformableResNet
from gloinone.detection.views import AS_IT_IS, View
from gloinone.errors import UsageError, WeightsError
from gloinone.learning.adapt import check_adaptable
from gloinone.learning.backbones import RESNET_CHANNELS, Normalise, ResNetFeatures
from gloinone.weights.card import Architecture, ModelCard
from gloinone.weights.starting import filled

RESNET = "circlenet-resnet"
"""On the card of a network of ours; its options are ``backbone`` and ``width``."""
SHORT = "-c4"
"""After the name of a ResNet: without its last stage."""
PUBLIC: dict[str, Callable[[Normalise, int], CircleNetwork]] = {
    "dla34-dcn": DeformableDla,
    "dla34": PlainDla,
    "resnet18-dcn": DeformableResNet,
    "hourglass": lambda normalise, _: HourglassCircleNet(normalise),
}
"""Networks of the CircleNet program; the option ``head_width`` is their second argument."""
HEAD_WIDTHS = {"dla34-dcn": 256, "dla34": 256, "resnet18-dcn": 64, "hourglass": 256}
"""As published."""
ARCHITECTURES = (*RESNET_CHANNELS, *(name + SHORT for name in RESNET_CHANNELS), *PUBLIC)
"""What a training can be asked for."""
IMAGENET_MEAN = (122.782, 117.001, 104.298)
"""Of the CC0 ResNet-34 that detectors start from, RGB 0..255."""
IMAGENET_STD = (256.0, 256.0, 256.0)


def architecture(arch: str) -> Architecture:
    """What a card says of a network that is trained here; one of ``ARCHITECTURES``."""
    if arch in PUBLIC:
        return public_architecture(arch, HEAD_WIDTHS[arch])
    if arch in ARCHITECTURES:
        return Architecture(RESNET, {"backbone": arch, "width": 64})
    raise UsageError(f"--arch {arch}: unknown; known: {', '.join(ARCHITECTURES)}")


def public_architecture(arch: str, head_width: int) -> Architecture:
    """What a card says of a network of the CircleNet program."""
    return Architecture(arch, {"head_width": head_width})


def build_network(card: ModelCard) -> CircleNetwork:
    """The network a card describes, with random weights."""
    name, options = card.architecture.name, card.architecture.options
    if name != RESNET and name not in PUBLIC:
        raise WeightsError(
            f"card {card.name}: unknown detector {name!r}; known: {', '.join((RESNET, *PUBLIC))}"
        )
    normalise = Normalise(card.mean, card.std, card.channels)
    try:
        if name in PUBLIC:
            return PUBLIC[name](normalise, int(options["head_width"]))
        return CircleNet(normalise, _backbone(str(options["backbone"])), int(options["width"]))
    except (KeyError, TypeError, ValueError, RuntimeError) as error:  # the last: sizes that no tensor has
        raise WeightsError(
            f"card {card.name}: {name} cannot be built with {dict(options)} ({error!r})"
        ) from error


def _backbone(name: str) -> ResNetFeatures:
    return ResNetFeatures(name.removesuffix(SHORT), stages=3 if name.endswith(SHORT) else 4)


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
    assert card.threshold is not None
    assert card.max_per_tile is not None
    return DetectConfig(
        card.mpp,
        card.edge_px,
        card.margin_um,
        card.floor,
        card.merge_iou,
        threshold=card.threshold,
        kept_log_odds=card.kept_log_odds,
        deepest_floor=card.deepest_floor,
        max_per_tile=card.max_per_tile,
        peak_reach=card.peak_reach or 0,
        norm_prior=card.norm_prior,
        scales=card.scales or ONCE,
    )


def build_detector(
    card: ModelCard,
    state: dict[str, torch.Tensor],
    device: torch.device,
    views: Sequence[View] = (AS_IT_IS,),
) -> Detector:
    """A detector with the given weights, every key of them used and none missing."""
    network = filled(lambda: build_network(card), state, f"card {card.name}")
    check_adaptable(network.first, card.norm_prior, card.name, card.architecture.name)
    return Detector(network, detect_config(card), device, views)
