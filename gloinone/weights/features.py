"""What training slides looked like to a classifier, beside its weights: how unlike them a slide is.

The numbers are the mean activations of the network's first stage over the crops of a slide. Later stages do not see
what we ask: they learned to overlook colours, and the last one says class and little else (`benchmarks.features`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gloinone.errors import WeightsError
from gloinone.weights.card import ModelCard
from gloinone.weights.store import ModelPaths, write_whole

Floats = NDArray[np.float64]
FEATURES = "features.safetensors"
SHRINK = 0.05
"""Of the covariance, towards one of equal axes: fewer slides than numbers must do."""
MIN_CROPS = 5
"""Of fewer a mean says little."""
LIMIT_PERCENTILE = 99
"""Of the slides held out of training: as far as these may lie."""


@dataclass(frozen=True, eq=False)
class KnownFeatures:
    """Of the training slides."""

    mean: Floats
    """(C,)."""
    whiten: Floats
    """(C, C): (features - mean) @ whiten has variance 1 along every axis."""
    limit: float
    """Distance from which a slide is unlike them; stands on the card."""

    def distance(self, features: Floats) -> float | None:
        """Of the mean of (N, C), in standard deviations; None of too few."""
        if len(features) < MIN_CROPS:
            return None
        away = (features.mean(axis=0) - self.mean) @ self.whiten
        return float(np.sqrt((away**2).mean()))

    def unlikeness(self, features: Floats) -> float | None:
        """The distance over the limit."""
        distance = self.distance(features)
        return None if distance is None else distance / self.limit


def fit_features(slides: Sequence[Floats], held_out: Sequence[Floats]) -> KnownFeatures | None:
    """From the (N, C) of each training slide, with the limit that of ``held_out`` a few lie beyond.

    None of fewer than two training slides, or where no slide that was held out has enough crops.
    """
    if len(slides) < 2:
        return None
    means = np.array([own.mean(axis=0) for own in slides], np.float64)
    covariance = np.cov(means.T)
    even = np.eye(len(covariance)) * max(float(np.trace(covariance)) / len(covariance), 1e-12)
    values, axes = np.linalg.eigh((1 - SHRINK) * covariance + SHRINK * even)
    known = KnownFeatures(means.mean(axis=0), axes / np.sqrt(values), 1.0)
    distances = [away for own in held_out if (away := known.distance(own)) is not None]
    return replace(known, limit=float(np.percentile(distances, LIMIT_PERCENTILE))) if distances else None


def save_features(paths: ModelPaths, known: KnownFeatures, card: ModelCard) -> None:
    """Beside the weights that ``card`` describes."""
    from safetensors.numpy import save

    arrays = {"mean": known.mean.astype(np.float32), "whiten": known.whiten.astype(np.float32)}
    write_whole(paths.folder / FEATURES, save(arrays, {"weights": card.sha256}))


def load_features(paths: ModelPaths, card: ModelCard) -> KnownFeatures | None:
    """None where the card states no limit. Raises WeightsError for a file that is missing, damaged or another's."""
    if card.feature_limit is None:
        return None
    from safetensors import SafetensorError, safe_open

    path = paths.folder / FEATURES
    try:
        with safe_open(path, framework="numpy") as stored:
            if (stored.metadata() or {}).get("weights") != card.sha256:
                raise WeightsError(f"{path}: belongs to other weights; copy the model's folder again")
            mean, whiten = (np.asarray(stored.get_tensor(name), np.float64) for name in ("mean", "whiten"))
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path}: cannot be read, {error}; copy the model's folder again") from error
    return KnownFeatures(mean, whiten, card.feature_limit)
