"""The segmenter: DeepLabv3 or v3+ (Chen et al. 2017, 2018) or U-Net (Ronneberger et al. 2015) on one encoder."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from gloinone.errors import WeightsError
from gloinone.learning.backbones import RESNET_CHANNELS, Normalise, ResNetFeatures
from gloinone.segmentation.deeplab_plus import DeepLabPlus
from gloinone.weights.card import ModelCard

ARCHITECTURES = {"deeplabv3": "DeepLabV3", "deeplabv3plus": "DeepLabV3Plus", "unet": "Unet"}
"""Names on the card, and in segmentation-models-pytorch."""
DILATED = ("deeplabv3", "deeplabv3plus")
"""Their encoder keeps its resolution from stride 16 on."""


def options_of(name: str, encoder: str) -> dict[str, object]:
    """What a card says of a network of ours."""
    return {"encoder_name": encoder} | ({"encoder_output_stride": 16} if name in DILATED else {})


class OutlineNet(nn.Module):
    """One logit a pixel: inside the glomerulus in the middle of the crop."""

    def __init__(self, normalise: Normalise, network: nn.Module) -> None:
        super().__init__()
        self.normalise = normalise
        self.network = network

    @property
    def encoder(self) -> nn.Module:
        """What starting weights are for."""
        encoder: nn.Module = self.network.encoder  # type: ignore[assignment]
        return encoder

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, E, E) RGB 0..255 -> (B, 1, E, E) float32 logits."""
        logits: Tensor = self.network(self.normalise(x))
        return logits.float()


def build_network(card: ModelCard) -> OutlineNet:
    """An untrained network as its card describes it; raises WeightsError for an unknown architecture."""
    name = card.architecture.name
    if name not in ARCHITECTURES:
        raise WeightsError(f"card {card.name}: unknown segmenter {name!r}; known: {', '.join(ARCHITECTURES)}")
    stride = {"encoder_output_stride": 16} if name in DILATED else {}
    options = {**stride, **card.architecture.options}
    try:
        network = _ours(options) if _is_ours(name, options) else _of_library(name, options)
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"card {card.name}: {name} cannot be built with {options} ({error})") from error
    return OutlineNet(Normalise(card.mean, card.std), network)


def _is_ours(name: str, options: Mapping[str, Any]) -> bool:
    """Whether it can be built without the library."""
    known = {"encoder_name", "encoder_output_stride", "decoder_channels"}
    return (
        name == "deeplabv3plus"
        and options.get("encoder_name") in RESNET_CHANNELS
        and options["encoder_output_stride"] == 16
        and options.keys() <= known
    )


def _ours(options: Mapping[str, Any]) -> DeepLabPlus:
    encoder = ResNetFeatures(options["encoder_name"], dilated=True)
    return DeepLabPlus(encoder, options.get("decoder_channels", 256))


def _of_library(name: str, options: Mapping[str, Any]) -> nn.Module:
    import segmentation_models_pytorch as smp  # here, since it takes 2 s and what ships does without

    # encoder_weights: its default asks a hub on the network
    network: nn.Module = getattr(smp, ARCHITECTURES[name])(encoder_weights=None, classes=1, **options)
    return network
