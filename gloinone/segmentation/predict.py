"""Crops and their circles in, one outline each out."""

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from gloinone.learning.batches import answers_of, fixed_batches, stack_padded
from gloinone.learning.device import autocast, to_device
from gloinone.learning.fit import fit_picture
from gloinone.records import Crop, Detection, Outline, Pixels
from gloinone.segmentation.outline import OutlineConfig, make_outline
from gloinone.weights.card import ModelCard

BATCH = 8
"""Small, since the last batch of every slide is padded to it."""


class Segmenter:
    """A trained network with its card, on a device; keeps no state between calls."""

    def __init__(
        self, network: nn.Module, card: ModelCard, device: torch.device, batch_size: int = BATCH
    ) -> None:
        self.network = network.eval().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.card = card
        self.device = device
        self.batch_size = batch_size
        self.config = OutlineConfig() if card.threshold is None else OutlineConfig(threshold=card.threshold)

    def segment(
        self,
        crops: Sequence[Crop],
        detections: Sequence[Detection],
        slide_size: tuple[int, int] | None = None,
    ) -> list[Outline]:
        """One outline for each crop, in order; ``slide_size`` (width, height, level-0 px) clips the rings."""
        if len(crops) != len(detections):
            raise ValueError(f"{len(crops)} crops of {len(detections)} circles")
        maps = self.probabilities([crop.pixels for crop in crops])
        return [
            make_outline(probability, crop.window, detection, self.config, slide_size)
            for probability, crop, detection in zip(maps, crops, detections, strict=True)
        ]

    def probabilities(self, pictures: Sequence[Pixels]) -> Iterator[NDArray[np.float32]]:
        """(H, W) of each picture, in its own size."""
        for batch in fixed_batches(pictures, self.batch_size):
            answers = answers_of(self._predict, batch, self.batch_size)
            for picture, own in zip(batch, answers, strict=True):
                # Interpolate logits, not probabilities: a sharp border stays where it is
                size = (picture.shape[1], picture.shape[0])
                fitted = cv2.resize(own, size, interpolation=cv2.INTER_LINEAR)
                yield (1 / (1 + np.exp(-np.clip(fitted, -30, 30)))).astype(np.float32)

    def _predict(self, pictures: list[Pixels], size: int) -> NDArray[np.float32]:
        """(len(pictures), E, E) logits, in a batch of ``size``."""
        images = [fit_picture(picture, self.card.edge_px, self.card.channels) for picture in pictures]
        x = to_device(stack_padded(images, size), self.device)
        with torch.inference_mode(), autocast(self.device):
            logits = self.network(x) / self.card.temperature  # (B, 1, E, E)
        return np.asarray(logits[: len(pictures), 0].float().cpu().numpy())
