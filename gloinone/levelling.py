"""One threshold for all slides: where a detector is less sure than it usually is, its scores are raised.

At a hospital that the training never saw, glomeruli have lower scores all over a slide, and what lies beside them does
not: at the usual threshold hardly anything is false, and half is missed. How sure the detector is of a slide, its own
scores (`det_score`) say of the circles that are kept all the same; what another classifier makes of these is another
matter. Measured: docs/evaluation.md, One threshold for all slides.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

PRIOR_CIRCLES = 5
"""As many circles of the usual scores a slide is thought to have beside its own: a few may be low by chance."""
MOST = 1.0
"""Log-odds: no slide is raised by more, however unsure of it a detector is."""
TIMES = 2
"""A slide is asked; a third time adds next to nothing (docs/evaluation.md, One threshold for all slides)."""
_LEAST = 1e-6


@dataclass(frozen=True)
class Level:
    """What a detector's scores usually are."""

    threshold: float
    kept_log_odds: float
    """Mean of the `det_score` of circles that are kept at the threshold, on the slides that it was chosen on."""


def log_odds(scores: ArrayLike) -> NDArray[np.float64]:
    """Of scores 0..1; those of 0 and 1 are taken for near it."""
    inside = np.clip(np.asarray(scores, np.float64), _LEAST, 1 - _LEAST)
    return np.asarray(np.log(inside / (1 - inside)))


def mean_log_odds(kept: Sequence[float]) -> float | None:
    """Of the `det_score` of the circles that are kept; None where there are none."""
    return float(log_odds(kept).mean()) if len(kept) else None


def shift_of(kept_at: Callable[[float], Sequence[float]], usual: float) -> float:
    """By how much a slide's scores are to be raised, log-odds, 0 to ``MOST``.

    ``kept_at``: `det_score` of the circles that are kept when scores are raised by so much; ``usual``: of a `Level`.
    First by what is kept as scores are, then by what is kept when they are raised: that is the slide's too, and mostly
    lower. What was lacking stays so where it is not.

    >>> round(shift_of(lambda shift: [0.3] * 15, 0.0), 3)  # 15 of 20 parts of 0.847
    0.635
    >>> shift_of(lambda shift: [], 0.0), shift_of(lambda shift: [0.9], 0.0)
    (0.0, 0.0)
    """
    shift = 0.0
    for _ in range(TIMES):
        kept = kept_at(shift)
        own = mean_log_odds(kept)
        if own is not None:
            shift = min(MOST, max(shift, len(kept) / (len(kept) + PRIOR_CIRCLES) * (usual - own)))
    return shift


def raised(score: float, shift: float) -> float:
    """A score whose log-odds are higher by ``shift``: order stays, so do 0 and 1.

    >>> raised(0.2, 0.0), round(raised(0.2, 1.0), 3), raised(0.0, 1.0), raised(1.0, 1.0)
    (0.2, 0.405, 0.0, 1.0)
    """
    if not shift or not score:
        return score
    # Each step rounds monotonously, so that no two scores change places
    return max(score, 1 / (1 + (1 - score) / float(np.exp(shift)) / score))
