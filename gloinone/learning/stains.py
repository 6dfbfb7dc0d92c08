"""The two stains of a picture, and the same tissue in the stains of another (Macenko et al. 2009, ISBI)."""

import numpy as np
from numpy.typing import NDArray

from gloinone.records import Pixels

Basis = NDArray[np.float32]
"""(3, 3) optical densities of R, G, B in rows: hematoxylin or what is nearest to it, the counterstain, what is neither.
The first two rows are as dark as the darkest hundredth of the tissue."""

MIN_DENSITY = 0.15
"""What is lighter in every channel is glass."""
MIN_PIXELS = 500
MIN_ANGLE = np.deg2rad(8)
"""Stains nearer to each other, as of a picture in one colour, cannot be told apart."""


def stain_basis(pixels: Pixels) -> Basis | None:
    """The stains of (..., 3) uint8 RGB; None where there is too little tissue, or one colour only."""
    density = -np.log((pixels.reshape(-1, 3).astype(np.float64) + 1) / 256)
    density = density[(density > MIN_DENSITY).any(axis=1)]
    if len(density) < MIN_PIXELS:
        return None
    _, axes = np.linalg.eigh(np.cov(density.T))
    plane = axes[:, [2, 1]] * np.sign(axes[:, [2, 1]].sum(axis=0) + 1e-12)  # (3, 2), towards darkness
    u, v = (density @ plane).T
    low, high = np.percentile(np.arctan2(v, u), [1, 99])
    if high - low < MIN_ANGLE:
        return None
    stains = np.stack([plane @ [np.cos(a), np.sin(a)] for a in (low, high)])  # (2, 3)
    stains = np.clip(stains, 0.01, None)
    stains /= np.linalg.norm(stains, axis=1, keepdims=True)
    stains = stains[np.argsort(-stains[:, 0])]  # hematoxylin takes more of the red light
    neither = np.cross(stains[0], stains[1])
    neither /= np.linalg.norm(neither)
    amounts = density @ np.linalg.inv(np.stack([*stains, neither]))
    darkest = np.percentile(amounts[:, :2], 99, axis=0)
    if min(darkest) <= 0:
        return None
    return np.stack([*(stains * darkest[:, None]), neither]).astype(np.float32)


def transfer(own: Basis, other: Basis) -> NDArray[np.float32]:
    """(3, 3) that turns a row of optical densities in one picture's stains into the other's."""
    return np.asarray(np.linalg.inv(own) @ other, np.float32)
