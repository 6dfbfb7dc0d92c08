"""The outlines of what is kept; a glomerulus that does not fit its crop is looked at again in a larger one."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gloinone.records import Crop, Detection, Outline, Points
from gloinone.segmentation.outline import reaches_border
from gloinone.slide.crops import READERS, lit_crops, read_crops
from gloinone.slide.reader import Slide

MOST_LOOKS = 5
"""At one glomerulus; what meets the border of the last crop too stays flagged."""

Segment = Callable[[Sequence[Crop], Sequence[Detection], tuple[int, int]], Sequence[Outline]]
"""Crops, circles, and the slide's width and height; an outline each."""


class Outlined(NamedTuple):
    """A glomerulus and the crop that its outline was drawn in."""

    outline: Outline
    crop: Crop


def outline_all(
    slide: Slide, gain: float, kept: Sequence[tuple[Detection, Crop]], segment: Segment
) -> list[Outlined]:
    """In order. A crop fits a round glomerulus, but a long one reaches over it; ``gain`` of the slide's overview."""
    size = (slide.info.width, slide.info.height)

    def look(crops: Mapping[int, Crop]) -> dict[int, Outlined]:
        outlines = segment(lit_crops(crops.values(), gain), [kept[place][0] for place in crops], size)
        seen = zip(crops.items(), outlines, strict=True)
        return {place: Outlined(outline, crop) for (place, crop), outline in seen}

    latest = outlined = look({place: crop for place, (_, crop) in enumerate(kept)})
    for _ in range(MOST_LOOKS - 1):
        cut = [place for place, one in latest.items() if reaches_border(one.outline.mask)]
        if not cut:
            break
        circles = np.array([around(outlined[place].outline.ring) for place in cut])
        read = zip(cut, read_crops(slide, circles, READERS), strict=True)
        again = look({place: crop for place, crop in read if crop is not None})
        latest = {place: one for place, one in again.items() if one.outline.source == "mask"}
        outlined = outlined | latest
    return [outlined[place] for place in range(len(kept))]


def around(ring: Points) -> NDArray[np.float64]:
    """(3,) cx, cy, radius of the circle whose box is the ring's, or the longer side of it; frame of the ring.

    A crop of it has the context anew where the last one ended, and no more: an outline grows with its crop.
    """
    low, high = ring.min(axis=0), ring.max(axis=0)
    return np.append((low + high) / 2, (high - low).max() / 2)
