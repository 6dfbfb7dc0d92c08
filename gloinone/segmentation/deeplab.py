"""The segmenter: DeepLabv3 or DeepLabv3+ (Chen et al. 2017, 2018) of segmentation-models-pytorch."""

from typing import Any

import segmentation_models_pytorch as smp
from torch import Tensor, nn

from gloinone.errors import WeightsError
from gloinone.learning.backbones import Normalise
from gloinone.weights.card import ModelCard

ARCHITECTURES: dict[str, Any] = {"deeplabv3": smp.DeepLabV3, "deeplabv3plus": smp.DeepLabV3Plus}


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
    options = {"encoder_output_stride": 16, "classes": 1, **card.architecture.options}
    try:
        # encoder_weights: its default asks a hub on the network
        network = ARCHITECTURES[name](encoder_weights=None, **options)
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"card {card.name}: {name} cannot be built with {options} ({error})") from error
    return OutlineNet(Normalise(card.mean, card.std), network)
