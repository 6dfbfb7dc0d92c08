"""Crops in, five probabilities each out."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from gloinone.errors import WeightsError
from gloinone.labels import CLASSES
from gloinone.learning.batches import answers_of, fixed_batches, stack_padded
from gloinone.learning.device import autocast, to_device
from gloinone.learning.fit import fit_picture
from gloinone.records import Crop, Pixels
from gloinone.weights.card import ModelCard

BATCH = 8
"""Small, since the last batch of every slide is padded to it."""


class Classifier:
    """A trained network with its card, on a device; keeps no state between calls."""

    def __init__(self, network: nn.Module, card: ModelCard, device: torch.device) -> None:
        if card.labels != CLASSES:
            raise WeightsError(
                f"card {card.name}: labels {', '.join(card.labels)}; needed: {', '.join(CLASSES)}"
            )
        self.network = network.eval().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.card = card
        self.device = device

    def classify(self, crops: Sequence[Crop]) -> NDArray[np.float64]:
        """(N, 5) probabilities in the order of labels.CLASSES; a row depends on its own crop only."""
        return self.probabilities([crop.pixels for crop in crops])

    def probabilities(self, pictures: Sequence[Pixels]) -> NDArray[np.float64]:
        """As ``classify``, of square pictures of any size."""
        return _softmax(self.logits(pictures) / self.card.temperature)

    def logits(self, pictures: Sequence[Pixels]) -> NDArray[np.float64]:
        """(N, 5), before the card's temperature: what a calibration needs."""
        rows = [np.empty((0, len(CLASSES)))]
        rows += [answers_of(self._predict, batch, BATCH) for batch in fixed_batches(pictures, BATCH)]
        return np.concatenate(rows)

    def _predict(self, pictures: list[Pixels], size: int) -> NDArray[np.float64]:
        """(len(pictures), 5), in a batch of ``size``."""
        images = [fit_picture(picture, self.card.edge_px, self.card.channels) for picture in pictures]
        x = to_device(stack_padded(images, size), self.device)
        with torch.inference_mode(), autocast(self.device):
            logits = self.network(x)
        return np.asarray(logits[: len(pictures)].double().cpu().numpy())


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True, initial=-np.inf))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float64)
