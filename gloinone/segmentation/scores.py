"""How well outlines agree with those a person drew."""

import numpy as np
from numpy.typing import NDArray

from gloinone.learning.bootstrap import interval
from gloinone.learning.patch_training import as_detected, by_source
from gloinone.learning.patches import UNKNOWN, Patches, cut_mask, cut_pixels
from gloinone.records import Detection, Window
from gloinone.segmentation.outline import make_outline
from gloinone.segmentation.predict import Segmenter
from gloinone.weights.card import Measured

CROP_PX = 256


def dice(found: NDArray[np.bool_], truth: NDArray[np.uint8]) -> float:
    """2 |A and B| / (|A| + |B|) where the truth is known; 1 where both are empty.

    >>> dice(np.array([[True, True, False]]), np.array([[1, 0, 255]], np.uint8))
    0.6666666666666666
    """
    known = truth != UNKNOWN
    a, b = found & known, truth == 1
    total = int(a.sum()) + int(b.sum())
    return 2 * int((a & b).sum()) / total if total else 1.0


def dice_of_patches(segmenter: Segmenter, patches: Patches) -> NDArray[np.float64]:
    """(N,) Dice of the outline of each patch, framed as if a detector had found it; the same every time."""
    found, truth, windows, circles = [], [], [], []
    for i in range(len(patches)):
        affine = as_detected(patches, i, CROP_PX)
        found.append(cut_pixels(patches.pixels[i], affine, CROP_PX))
        truth.append(cut_mask(patches.masks[i], affine, CROP_PX))
        edge = float(affine[0, 0]) * CROP_PX  # patch px
        windows.append(Window(0, 0, edge, edge, CROP_PX, CROP_PX))
        margin = 100.0 - float(patches.radius[i])
        circles.append(Detection(edge / 2, edge / 2, edge / 2 - margin, 1.0))
    outlines = (
        make_outline(probability, window, circle, segmenter.config)
        for probability, window, circle in zip(segmenter.probabilities(found), windows, circles, strict=True)
    )
    return np.array([dice(o.mask, t) for o, t in zip(outlines, truth, strict=True)], np.float64)


def measured_dice(values: NDArray[np.float64], patches: Patches, on: str) -> list[Measured]:
    """Mean Dice of all and of each source, with intervals over patients."""
    rows = []
    for where, own in by_source(patches, on):
        mine = values[own]
        known = interval(lambda i, v=mine: float(v[i].mean()), [patches.groups[i] for i in own])  # type: ignore[misc]
        what = "mean Dice per glomerulus"
        rows.append(Measured.within(what, where, len(own), float(mine.mean()), known))
    return rows
