"""The stains of a picture, and tissue shown in the stains of another."""

import numpy as np
import pytest
from numpy.typing import NDArray

from gloinone.learning.augment import mix_densities
from gloinone.learning.stains import stain_basis, transfer

HEMATOXYLIN = np.array([0.65, 0.70, 0.29]) / np.linalg.norm([0.65, 0.70, 0.29])
EOSIN = np.array([0.07, 0.99, 0.11]) / np.linalg.norm([0.07, 0.99, 0.11])
PAS = np.array([0.18, 0.85, 0.45]) / np.linalg.norm([0.18, 0.85, 0.45])


def _tissue(stains: tuple[NDArray[np.float64], NDArray[np.float64]], strengths: tuple[float, float]):
    """(80, 80, 3): every mixture of two stains, from none to full strength of either."""
    first, second = np.meshgrid(np.linspace(0, 1, 80), np.linspace(0, 1, 80))
    keep = np.where(first + second > 1, 0.0, 1.0)  # no place is full of both
    density = (
        first[..., None] * strengths[0] * stains[0] + (second * keep)[..., None] * strengths[1] * stains[1]
    )
    return np.clip(256 * np.exp(-density) - 1, 0, 255).round().astype(np.uint8)


def _angle(a: NDArray[np.float32], b: NDArray[np.float64]) -> float:
    return float(np.degrees(np.arccos(a @ b / np.linalg.norm(a) / np.linalg.norm(b))))


@pytest.mark.parametrize("second", [EOSIN, PAS])
def test_the_two_stains_of_a_picture_are_found(second):
    basis = stain_basis(_tissue((HEMATOXYLIN, second), (1.6, 1.2)))
    assert basis is not None
    assert _angle(basis[0], HEMATOXYLIN) < 4
    assert _angle(basis[1], second) < 4
    # a hundredth of the first stain lies above .99 of its strength; of the second, in half the picture, above .9
    assert np.linalg.norm(basis[0]) == pytest.approx(0.99 * 1.6, rel=0.06)
    assert np.linalg.norm(basis[1]) == pytest.approx(0.9 * 1.2, rel=0.06)


def test_tissue_shown_in_other_stains_looks_as_if_stained_with_them():
    he, pas = _tissue((HEMATOXYLIN, EOSIN), (1.6, 1.2)), _tissue((HEMATOXYLIN, PAS), (1.2, 1.8))
    own, other = stain_basis(he), stain_basis(pas)
    assert own is not None
    assert other is not None
    shown = mix_densities(he, transfer(own, other))
    assert np.abs(shown.astype(int) - pas).mean() < 5
    assert np.abs(he.astype(int) - pas).mean() > 15


def test_its_own_stains_change_nothing():
    he = _tissue((HEMATOXYLIN, EOSIN), (1.6, 1.2))
    own = stain_basis(he)
    assert own is not None
    assert np.abs(mix_densities(he, transfer(own, own)).astype(int) - he).max() <= 2


@pytest.mark.parametrize("colour", ["glass", "one stain", "too little"])
def test_a_picture_without_two_stains_has_none(colour):
    picture = {
        "glass": np.full((80, 80, 3), 244, np.uint8),
        "one stain": _tissue((HEMATOXYLIN, HEMATOXYLIN), (1.0, 1.0)),
        "too little": _tissue((HEMATOXYLIN, EOSIN), (1.6, 1.2))[:20, :20],
    }[colour]
    assert stain_basis(picture) is None
