"""How blurred tissue is, at the resolution at which the networks see it.

The variance of the Laplacian over that of the picture falls with blur, and hardly follows stain or contrast. What
it is on real tiles, as they are and blurred by a Gaussian of known width, was measured: a slide's is read off that
curve. ``python -m benchmarks.flags`` measures it again.
"""

import cv2
import numpy as np

from gloinone.records import Pixels
from gloinone.slide.sampling import resample

UM_PER_PX = 2.0
"""Of the detector's tiles."""
SIGMA_UM = (0.0, 1.0, 2.0, 3.0, 4.0, 6.0)
LOG_RATIO = (0.7, -0.2, -1.6, -2.8, -3.7, -4.6)
"""Median over the sources, of real tissue blurred so much."""
FLAT = 1.0
"""Grey levels squared: what varies less shows no tissue to judge by."""


def sharpness(pixels: Pixels, um_per_px: float) -> float | None:
    """Logarithm of the ratio of (H, W, 3) pixels; None where there is nothing to see."""
    height, width = (max(3, round(side * um_per_px / UM_PER_PX)) for side in pixels.shape[:2])
    grey = cv2.cvtColor(resample(pixels, width, height), cv2.COLOR_RGB2GRAY).astype(np.float32)
    variance = float(grey.var())
    if variance < FLAT:
        return None
    laplacian = float(cv2.Laplacian(grey, cv2.CV_32F, borderType=cv2.BORDER_REFLECT).var())
    return float(np.log(max(laplacian, 1e-6) / variance))


def blur_um(log_ratio: float) -> float:
    """Sigma of the Gaussian that leaves a sharp slide with this sharpness, um; from 0 to 6.

    >>> blur_um(LOG_RATIO[0]), blur_um(LOG_RATIO[2])
    (0.0, 2.0)
    """
    return float(np.interp(-log_ratio, -np.array(LOG_RATIO), SIGMA_UM))
