"""A few windows spread over the tissue, by which sharpness, nuclei and stains of a slide are told."""

from contextlib import closing
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gloinone.records import Overview, Pixels, Window
from gloinone.slide.sampling import Slide
from gloinone.slide.stream import WindowStream

COUNT = 16
EDGE_UM = 192.0
FINEST_UM_PER_PX = 0.5
"""Nuclei are a dozen pixels wide then; where the slide has less, what it has."""
READERS, QUEUED = 2, 4


@dataclass(frozen=True)
class TissueSamples:
    """Windows of tissue, all of one size and resolution."""

    pictures: tuple[Pixels, ...]
    um_per_px: float


def sample_tissue(slide: Slide, overview: Overview) -> TissueSamples:
    """``COUNT`` windows evenly spaced over the tissue in reading order; fewer where some cannot be read."""
    um_per_px = max(FINEST_UM_PER_PX, slide.info.mpp)
    edge_px = max(1, round(EDGE_UM / um_per_px))
    return TissueSamples(read_spread(slide, overview, COUNT, edge_px, um_per_px), um_per_px)


def read_spread(
    slide: Slide, overview: Overview, count: int, edge_px: int, um_per_px: float
) -> tuple[Pixels, ...]:
    """``count`` squares of ``edge_px`` that are centred on tissue, or lie as near as the slide's border lets them."""
    info = slide.info
    edge_l0 = info.l0_from_um(edge_px * um_per_px)
    y, x = np.nonzero(overview.tissue)
    places = spread(len(x), count)
    centres = overview.window.l0_from_image(np.stack([x[places] + 0.5, y[places] + 0.5], axis=1))
    room = np.maximum([info.width - edge_l0, info.height - edge_l0], 0)
    corners = np.clip(centres - edge_l0 / 2, 0, room)
    windows = [Window(float(x0), float(y0), edge_l0, edge_l0, edge_px, edge_px) for x0, y0 in corners]
    with closing(WindowStream(slide, windows, READERS, QUEUED)) as reads:
        return tuple(read.pixels for read in reads if read is not None and read.unread is None)


def spread(total: int, count: int) -> NDArray[np.int64]:
    """``count`` indices evenly spaced among ``total``, or all of them.

    >>> spread(10, 3).tolist(), spread(2, 3).tolist(), spread(0, 3).tolist()
    ([1, 5, 8], [0, 1], [])
    """
    count = min(count, total)
    return ((np.arange(count) + 0.5) * total / max(1, count)).astype(np.int64)
