"""Crops in, five probabilities each out."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from gloinone.classification.resnet import CropClassifier
from gloinone.errors import WeightsError
from gloinone.labels import CLASSES
from gloinone.learning.adapt import adapted
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
        self,
        network: nn.Module,
        card: ModelCard,
        device: torch.device,
        batch_size: int = BATCH,
        taught: nn.Module | None = None,
    ) -> None:
        """``taught``: the network as it was before it was adapted; None: it is as it was taught."""
        if not card.labels or set(card.labels) - set(CLASSES):
            raise WeightsError(
                f"card {card.name}: labels {', '.join(card.labels) or 'none'}; known: {', '.join(CLASSES)}"
            )
        self.network = network.eval().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.taught = taught
        self.card = card
        self.device = device
        self.batch_size = batch_size
        # (outputs, 5): several outputs may mean the same class, and a class may have none
        self.columns = np.array([[float(name == label) for name in CLASSES] for label in card.labels])

    def adapted(self, surest: Sequence[Crop]) -> "Classifier":
        """One for the slide of these crops, those of its best circles; the same if the card asks for none."""
        prior = self.card.norm_prior
        if prior is None or not surest:
            return self
        pictures = to_device(stack_padded(self._fitted([c.pixels for c in surest]), len(surest)), self.device)
        with autocast(self.device):
            network = adapted(self.network, pictures, len(surest) / (len(surest) + prior))
        return Classifier(network, self.card, self.device, self.batch_size, taught=self.network)

    def classify(self, crops: Sequence[Crop]) -> NDArray[np.float64]:
        """(N, 5) probabilities in the order of labels.CLASSES; a row depends on its own crop only."""
        return self.probabilities([crop.pixels for crop in crops])

    def with_features(self, crops: Sequence[Crop]) -> NDArray[np.float64]:
        """(N, 5 + C) as ``classify``, and the first features (weights.features) of each crop.

        Those of the network as it was taught: adapted to a slide, it would see every slide as one like its own.
        """
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

        def both(x: torch.Tensor) -> torch.Tensor:
            if self.taught is None:
                return torch.hstack(cast("CropClassifier", self.network).logits_and_features(x))
            return torch.hstack([self.network(x), cast("CropClassifier", self.taught).features(x)])

        rows, outputs = self._rows(both, pictures), len(self.card.labels)
        return rows[:, :outputs], rows[:, outputs:]

    def _rows(self, forward: Forward, pictures: Sequence[Pixels]) -> NDArray[np.float64]:
        """A row of ``forward`` each."""
        size, predict = self.batch_size, partial(self._predict, forward)
        rows = [answers_of(predict, batch, size) for batch in fixed_batches(pictures, size)]
        return np.concatenate(rows) if rows else np.empty((0, len(self.card.labels)))

    def _fitted(self, pictures: Iterable[Pixels]) -> list[Pixels]:
        return [fit_picture(picture, self.card.edge_px, self.card.channels) for picture in pictures]

    def _predict(self, forward: Forward, pictures: list[Pixels], size: int) -> NDArray[np.float64]:
        """A row each, in a batch of ``size``."""
        x = to_device(stack_padded(self._fitted(pictures), size), self.device)
        with torch.inference_mode(), autocast(self.device):
            rows = forward(x)
        return np.asarray(rows[: len(pictures)].double().cpu().numpy())


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True, initial=-np.inf))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float64)
