"""Crops in, five probabilities each out."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import cast

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

Forward = Callable[[torch.Tensor], torch.Tensor]
BATCH = 8
"""Small, since the last batch of every slide is padded to it."""


class Classifier:
    """A trained network with its card, on a device; keeps no state between calls."""

    def __init__(
        self, network: nn.Module, card: ModelCard, device: torch.device, batch_size: int = BATCH
    ) -> None:
        if not card.labels or set(card.labels) - set(CLASSES):
            raise WeightsError(
                f"card {card.name}: labels {', '.join(card.labels) or 'none'}; known: {', '.join(CLASSES)}"
            )
        self.network = network.eval().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.card = card
        self.device = device
        self.batch_size = batch_size
        # (outputs, 5): several outputs may mean the same class, and a class may have none
        self.columns = np.array([[float(name == label) for name in CLASSES] for label in card.labels])

    def classify(self, crops: Sequence[Crop]) -> NDArray[np.float64]:
        """(N, 5) probabilities in the order of labels.CLASSES; a row depends on its own crop only."""
        return self.probabilities([crop.pixels for crop in crops])

    def with_features(self, crops: Sequence[Crop]) -> NDArray[np.float64]:
        """(N, 5 + C) as ``classify``, and the network's first features (weights.features) of each crop."""
        logits, features = self.logits_and_features([crop.pixels for crop in crops])
        return np.hstack([self._of_logits(logits), features])

    def probabilities(self, pictures: Sequence[Pixels]) -> NDArray[np.float64]:
        """As ``classify``, of square pictures of any size."""
        return self._of_logits(self.logits(pictures))

    def _of_logits(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(_softmax(logits / self.card.temperature) @ self.columns, np.float64)

    def logits(self, pictures: Sequence[Pixels]) -> NDArray[np.float64]:
        """(N, outputs) in the order of the card's labels, before its temperature: what a calibration needs."""
        return self._rows(self.network, pictures)

    def logits_and_features(
        self, pictures: Sequence[Pixels]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(N, outputs) as ``logits``, and (N, C)."""
        both = cast(
            "Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]", self.network.logits_and_features
        )
        rows, outputs = self._rows(lambda x: torch.hstack(both(x)), pictures), len(self.card.labels)
        return rows[:, :outputs], rows[:, outputs:]

    def _rows(self, forward: Forward, pictures: Sequence[Pixels]) -> NDArray[np.float64]:
        """A row of ``forward`` each."""
        size, predict = self.batch_size, partial(self._predict, forward)
        rows = [answers_of(predict, batch, size) for batch in fixed_batches(pictures, size)]
        return np.concatenate(rows) if rows else np.empty((0, len(self.card.labels)))

    def _predict(self, forward: Forward, pictures: list[Pixels], size: int) -> NDArray[np.float64]:
        """A row each, in a batch of ``size``."""
        images = [fit_picture(picture, self.card.edge_px, self.card.channels) for picture in pictures]
        x = to_device(stack_padded(images, size), self.device)
        with torch.inference_mode(), autocast(self.device):
            rows = forward(x)
        return np.asarray(rows[: len(pictures)].double().cpu().numpy())


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True, initial=-np.inf))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float64)
