"""Which circles become glomeruli: rows of glomeruli.csv, regions, masks."""

from collections.abc import Sequence

import numpy as np

from gloinone.detection.fuse import suppress
from gloinone.geometry import share_of_smaller
from gloinone.labels import NONGLOMERULAR
from gloinone.records import Candidate

NESTED_SHARE = 0.7
"""Of the smaller of two circles in the larger: both would be the same glomerulus, or one of them none."""


def is_kept(candidate: Candidate, min_score: float, keep_nonglomerular: bool) -> bool:
    """Whether a circle is good enough, whatever lies beside it."""
    return candidate.score >= min_score and (candidate.label != NONGLOMERULAR or keep_nonglomerular)


def kept_places(candidates: Sequence[Candidate], min_score: float, keep_nonglomerular: bool) -> list[int]:
    """Places of those that are kept, in order; of two that lie one in the other only the better.

    The detector's circles may: a circle IoU of .35 leaves a small one in a large one. Their ranking needs both, a
    count does not.
    """
    rows = [
        [c.detection.cx, c.detection.cy, c.detection.radius, c.score + (c.label != NONGLOMERULAR), place]
        for place, c in enumerate(candidates)
        if is_kept(c, min_score, keep_nonglomerular)
    ]
    alone = suppress(np.array(rows, np.float64).reshape(-1, 5), NESTED_SHARE, overlap=share_of_smaller)
    return sorted(int(place) for place in alone[:, 4])
