"""Slides whose white is dark, shown to the networks as if it were white.

A scanner or camera may leave blank glass at anything from 105 to 255. What is written and shown of a slide stays as
the file has it.
"""

import cv2
import numpy as np

from gloinone.records import Pixels
from gloinone.slide.sampling import Read

USUAL_WHITE = 245.0
"""Grey level, of 0..255, of the glass on most slides."""
MOST_GAIN = 1.8
"""A picture of nothing but dark tissue has no white."""
PERCENTILE = 99.0
"""Of the brightest channel; lumina in a field without glass are about a hundredth of it."""
EVERY = 4
"""Rows and columns looked at."""


def gain_of(overview: Read) -> float:
    """What a slide's pixels are multiplied by so that its white is as usual: 1 to `MOST_GAIN`.

    One factor for the three channels: the colour of the light cannot be told from that of the tissue.
    """
    known = overview.scanned if overview.unread is None else overview.scanned & ~overview.unread
    brightest = overview.pixels[::EVERY, ::EVERY].max(axis=2)[known[::EVERY, ::EVERY]]
    if not len(brightest):
        return 1.0
    white = max(1.0, float(np.percentile(brightest, PERCENTILE)))
    return float(np.clip(USUAL_WHITE / white, 1.0, MOST_GAIN))


def lit(pixels: Pixels, gain: float) -> Pixels:
    """(H, W, 3) as a network is to see it; the same array where there is nothing to do."""
    return pixels if gain == 1.0 else np.asarray(cv2.convertScaleAbs(pixels, alpha=gain), np.uint8)
