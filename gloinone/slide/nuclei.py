"""How large nuclei are at the mpp that is stated: the one thing in kidney tissue of a known size."""

from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from gloinone.records import Pixels

COARSEST_UM_PER_PX = 1.4
"""Coarser than this nuclei cannot be seen."""
SIGMA_UM = 0.5 * 2 ** np.arange(0, 3.6, 0.25)
"""Widths of the Gaussians whose differences find blobs."""
PER_SAMPLE = 30
MIN_BLOBS = 60
MIN_CONTRAST = 0.05
"""Optical density by which a blob stands out."""


def nuclei_um(pictures: Sequence[Pixels], um_per_px: float) -> float | None:
    """Median diameter of the most distinct dark blobs; None where too few are seen.

    In red light, which hematoxylin takes away and eosin, Schiff's reagent and light green less. A blob's width is
    that of the difference of Gaussians that answers most (Lindeberg 1998): its diameter is 2 sqrt(2) sigma.
    """
    if um_per_px > COARSEST_UM_PER_PX:
        return None
    found = [_blobs(picture, um_per_px) for picture in pictures]
    sigma = np.concatenate(found) if found else np.empty(0)
    return float(2 * np.sqrt(2) * np.median(sigma)) if len(sigma) >= MIN_BLOBS else None


def _blobs(picture: Pixels, um_per_px: float) -> NDArray[np.float64]:
    """(N,) sigma in um of the strongest blobs of one picture."""
    density = -np.log((picture[..., 0].astype(np.float32) + 1) / 256)
    smooth = [cv2.GaussianBlur(density, (0, 0), float(sigma / um_per_px)) for sigma in SIGMA_UM]
    answers = np.stack([fine - coarse for fine, coarse in pairwise(smooth)])
    strongest, scale = answers.max(axis=0), answers.argmax(axis=0)
    peaks = (strongest == cv2.dilate(strongest, np.ones((5, 5), np.uint8))) & (strongest >= MIN_CONTRAST)
    peaks &= (scale > 0) & (scale < len(answers) - 1)
    border = int(np.ceil(SIGMA_UM[-1] / um_per_px))
    peaks[:border] = peaks[-border:] = False
    peaks[:, :border] = peaks[:, -border:] = False
    y, x = np.nonzero(peaks)
    best = np.argsort(-strongest[y, x], kind="stable")[:PER_SAMPLE]
    middle = SIGMA_UM[:-1] * 2**0.125
    return np.asarray(middle[scale[y[best], x[best]]], np.float64)
