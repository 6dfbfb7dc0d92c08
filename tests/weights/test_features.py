"""How unlike the training slides a slide is: on made-up features whose answer is known, and on disk."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from test_card import a_card

from gloinone.errors import WeightsError
from gloinone.weights.features import (
    FEATURES,
    MIN_CROPS,
    Floats,
    KnownFeatures,
    fit_features,
    load_features,
    save_features,
)
from gloinone.weights.store import ModelPaths

SPREAD = np.array([4.0, 1.0, 0.5, 1.0])


def slides(count: int, seed: int, shift: float = 0.0) -> list[Floats]:
    """Slides differ from each other by SPREAD, crops of one by less; ``shift`` is along the third number."""
    rng = np.random.default_rng(seed)
    centres = rng.normal([7, 7, 7 + shift, 7], SPREAD, (count, 4))
    return [centre + rng.normal(0, 0.1, (8, 4)) for centre in centres]


@pytest.fixture(scope="module")
def known() -> KnownFeatures:
    fitted = fit_features(slides(200, 0), slides(100, 1))
    assert fitted is not None
    return fitted


def unlike(known: KnownFeatures, some: list[Floats]) -> Floats:
    return np.array([known.unlikeness(own) for own in some], np.float64)


def test_one_in_a_hundred_is_beyond_the_limit_and_what_is_shifted_nearly_always(known: KnownFeatures) -> None:
    assert (unlike(known, slides(100, 1)) >= 1).sum() == 1
    assert (unlike(known, slides(300, 2)) >= 1).mean() < 0.05
    # six of its own standard deviations, but less than two of those of the first number
    assert (unlike(known, slides(100, 3, 6 * SPREAD[2])) >= 1).mean() > 0.95


def test_a_number_weighs_by_how_much_it_differs_between_slides(known: KnownFeatures) -> None:
    at = [np.tile(known.mean + np.eye(4)[axis] * 3, (MIN_CROPS, 1)) for axis in range(4)]
    far = [known.distance(own) for own in at]
    assert far[0] == pytest.approx(3 / 4 / 2, rel=0.2)  # root mean square over four numbers
    assert far[1] == pytest.approx(3 / 1 / 2, rel=0.2)


def test_of_few_crops_or_slides_nothing_is_said(known: KnownFeatures) -> None:
    assert known.unlikeness(np.full((MIN_CROPS - 1, 4), 99.0)) is None
    assert known.unlikeness(np.empty((0, 0))) is None
    assert fit_features(slides(1, 0), slides(5, 1)) is None
    assert fit_features(slides(5, 0), []) is None
    assert fit_features(slides(5, 0), [own[:2] for own in slides(5, 1)]) is None


def test_they_lie_beside_the_weights_they_belong_to(known: KnownFeatures, tmp_path: Path) -> None:
    paths, card = ModelPaths(tmp_path), a_card(feature_limit=known.limit)
    with pytest.raises(WeightsError, match="copy the model's folder again"):
        load_features(paths, card)  # the card promises what is not there
    save_features(paths, known, card)
    loaded = load_features(paths, card)
    assert loaded is not None
    some = slides(10, 4)
    assert unlike(loaded, some) == pytest.approx(unlike(known, some), rel=1e-4)
    assert load_features(paths, replace(card, feature_limit=None)) is None
    with pytest.raises(WeightsError, match="belongs to other weights"):
        load_features(paths, replace(card, sha256="cd" * 32))
    save_file(load_file(tmp_path / FEATURES), tmp_path / FEATURES)  # without saying whose they are
    with pytest.raises(WeightsError, match="belongs to other weights"):
        load_features(paths, card)
    (tmp_path / FEATURES).write_bytes(b"no")
    with pytest.raises(WeightsError, match="cannot be read"):
        load_features(paths, card)
