"""A circle's surroundings as the second-stage networks see them: one framing for training and for use.

The segmenter alone looks again at what reaches over its crop, in the crop of a larger circle
(gloinone.pipeline.outlining), and is taught on both.
"""

from collections.abc import Generator, Iterable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gloinone.records import Crop, Mask, Window
from gloinone.slide.light import lit
from gloinone.slide.sampling import Read, Slide
from gloinone.slide.stream import WindowStream

CONTEXT_UM = 12.5
"""Around the circle's box on every side: the published 50 px at 0.25 um/px."""
CROP_PX = 256
"""Edge of a crop's image."""
READERS = 2
"""Threads that a run reads crops with."""
QUEUED_PER_WORKER = 4


def crop_window(cx: float, cy: float, radius: float, mpp: float, edge_px: int = CROP_PX) -> Window:
    """The square of a circle (level-0 px) and its context as an image of ``edge_px``; ``mpp`` of level 0.

    >>> crop_window(100, 200, 50, 0.25)
    Window(x=0.0, y=100.0, width=200.0, height=200.0, width_px=256, height_px=256)
    """
    half = radius + CONTEXT_UM / mpp
    return Window(cx - half, cy - half, 2 * half, 2 * half, edge_px, edge_px)


def lit_crops(crops: Iterable[Crop], gain: float) -> list[Crop]:
    """Crops as the networks are to see them; ``gain`` of the slide's overview."""
    return [replace(crop, pixels=lit(crop.pixels, gain)) for crop in crops]


def stream_crops(
    slide: Slide, circles: NDArray[np.floating[Any]], workers: int
) -> Generator[Crop | None, None, None]:
    """Crops of circles (N, 3 or more columns: cx, cy, radius, ...; level-0 px), in their order.

    None where the circle itself could not be read: nothing is said of what was not seen. Unread context is background.
    """
    windows = (crop_window(float(c[0]), float(c[1]), float(c[2]), slide.info.mpp) for c in circles)
    reads = WindowStream(slide, windows, workers, workers * QUEUED_PER_WORKER)
    try:
        for read in reads:
            lost = read is None or (
                read.unread is not None and (read.unread & _in_circle(read, slide.info.mpp)).any()
            )
            yield None if read is None or lost else Crop(read.window, read.pixels, read.scanned)
    finally:
        reads.close()


def _in_circle(read: Read, mpp: float) -> Mask:
    """(H, W) the pixels of a crop that lie in its circle."""
    y, x = np.ogrid[: read.window.height_px, : read.window.width_px]
    half = (read.window.width_px - 1) / 2
    share = 1 - 2 * CONTEXT_UM / mpp / read.window.width
    return np.asarray(np.hypot(x - half, y - half) <= share * half, np.bool_)


def read_crops(slide: Slide, circles: NDArray[np.floating[Any]], workers: int) -> list[Crop | None]:
    """All crops of ``stream_crops`` at once."""
    return list(stream_crops(slide, circles, workers))
