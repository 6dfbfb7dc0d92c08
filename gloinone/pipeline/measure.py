"""A candidate and its outline become a glomerulus with sizes in microns."""

import cv2
import numpy as np

from gloinone.geometry import measure_ring
from gloinone.records import Candidate, Crop, Glomerulus, Outline, Points, SlideInfo

ScannedBounds = tuple[float, float, float, float]
"""x, y, width, height in level-0 px."""


def measure_glomerulus(
    number: int,
    candidate: Candidate,
    outline: Outline,
    crop: Crop | None,
    info: SlideInfo,
    scanned_bounds: ScannedBounds | None = None,
) -> Glomerulus:
    """Fill in area, perimeter, diameter, circularity and whether the border cuts it.

    ``crop``: that of the outline, None where its picture was not kept. ``scanned_bounds``: what the scanner
    recorded, if less than the slide; None: ``info.bounds``.
    """
    ring_l0 = measure_ring(outline.ring)
    at_edge = touches_border(outline.ring, info, outline.window.downsample, scanned_bounds)
    return Glomerulus(
        number=number,
        candidate=candidate,
        outline=outline,
        crop=None if crop is None else crop.pixels,
        area_um2=ring_l0.area * info.mpp**2,
        perimeter_um=info.um_from_l0(ring_l0.perimeter),
        diameter_um=info.um_from_l0(ring_l0.diameter),
        circularity=ring_l0.circularity,
        at_edge=at_edge or (crop is not None and touches_unscanned(outline, crop)),
    )


def touches_border(ring: Points, info: SlideInfo, crop_px: float, scanned: ScannedBounds | None) -> bool:
    """Does the ring (level-0 px) come within a pixel of the border of the slide or of what was scanned?

    ``crop_px``: level-0 px per px of the crop; an outline drawn there is no finer than half of one.
    """
    near = max(1.0, crop_px / 2)
    low, high = np.zeros(2), np.array([info.width, info.height], np.float64)
    bounds = scanned or info.bounds
    if bounds is not None:
        x, y, width, height = bounds
        low = np.maximum(low, [x, y])
        high = np.minimum(high, [x + width, y + height])
    return bool((ring <= low + near).any() or (ring >= high - near).any())


def touches_unscanned(outline: Outline, crop: Crop) -> bool:
    """Does the mask meet a pixel of the crop that the scanner left out (alpha 0)?"""
    if crop.scanned is None or crop.scanned.all():
        return False
    grown = cv2.dilate(outline.mask.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    return bool((grown & ~crop.scanned).any())
