"""Weighted circle fusion (Yue et al. 2024): several detectors, or views of one, say together where glomeruli are."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean

import numpy as np
from numpy.typing import NDArray

from gloinone.detection.fuse import Scored, suppress
from gloinone.geometry import circle_iou

Voted = NDArray[np.float64]
"""(N, 5) cx, cy, radius, mean score, votes; any one frame."""


@dataclass(frozen=True)
class VoteConfig:
    """When circles are one, and when it is kept."""

    min_iou: float = 0.5
    """Circles of more circle IoU than this with the best of them are one."""
    min_votes: int = 2
    """A circle that so many found is kept (the paper's number of five detectors)."""
    sure_score: float = 0.9
    """So is one to which any voter gives this score, on the scale that they share."""


def common_threshold(thresholds: Sequence[float]) -> float:
    """Of detectors that vote: the mean of those on their cards, and theirs to the digit where they are the same."""
    return mean(thresholds)


def rescaled(circles: Scored, threshold: float, common: float) -> Scored:
    """Scores of a detector on the scale that the voters share: its own threshold becomes the common one.

    The odds of every score are multiplied by odds(common) / odds(threshold), as if the network's last bias had been
    moved: 0 and 1 stay, order stays, and at its threshold a circle of any detector weighs the same. Without this,
    detectors that score low (a card may say .05, another .26) would lose every vote by score. Thresholds of 0 and
    1 have no odds to speak of: such scores stay.

    >>> rescaled(np.array([[0, 0, 9, 0.0], [0, 0, 9, 0.05], [0, 0, 9, 0.5], [0, 0, 9, 1.0]]), 0.05, 0.2)[:, 3].round(4)
    array([0.    , 0.2   , 0.8261, 1.    ])
    """
    if threshold == common or not (0 < threshold < 1 and 0 < common < 1):
        return circles
    factor = common * (1 - threshold) / (threshold * (1 - common))
    shared = circles.copy()
    score = circles[:, 3]
    shared[:, 3] = score * factor / (1 - score + score * factor)
    return shared


def vote(voters: Sequence[Scored], config: VoteConfig, max_iou: float) -> Voted:
    """Circles that several agree on: the score-weighted mean of their places and radii, best first.

    ``voters``: the circles of each, already without doubles; a voter counts once for a circle. Of what is kept,
    circles of a larger IoU than ``max_iou`` are doubles too: the one stays whose votes, each weighing its score,
    add up to more. So two sure votes do not cost four a circle by their better mean, nor do many faint ones
    cost a few sure ones theirs. One voter's circles are kept as they are. The order of the voters changes
    nothing: circles are gone through by score, then place.
    """
    if len(voters) == 1:
        return np.column_stack([voters[0], np.ones(len(voters[0]))])
    circles = np.concatenate([np.asarray(v, np.float64).reshape(-1, 4) for v in voters])
    owner = np.repeat(np.arange(len(voters)), [len(v) for v in voters])
    order = np.lexsort((circles[:, 2], circles[:, 0], circles[:, 1], -circles[:, 3]))
    circles, owner = circles[order], owner[order]
    free = np.ones(len(circles), bool)
    kept = [np.zeros((0, 5))]
    for i in range(len(circles)):
        if not free[i]:
            continue
        near = _agreeing(circles, owner, free, i, config.min_iou)
        free[near] = False
        one = _mean(circles[near])
        # the best score of them: that others agree must not cost a circle its place
        if one[4] >= config.min_votes or circles[near, 3].max() >= config.sure_score:
            kept.append(one[None])
    fused = np.concatenate(kept)
    return suppress(fused, max_iou, fused[:, 3] * fused[:, 4])


def _agreeing(
    circles: Scored, owner: NDArray[np.intp], free: NDArray[np.bool_], i: int, min_iou: float
) -> NDArray[np.intp]:
    """Circle ``i`` and of each other voter the free one that fits it best, in the order of the circles."""
    reach = circles[i, 2] + circles[:, 2]
    close = free & (np.abs(circles[:, 0] - circles[i, 0]) < reach)
    close &= (np.abs(circles[:, 1] - circles[i, 1]) < reach) & (owner != owner[i])
    near = np.flatnonzero(close)
    iou = circle_iou(circles[i : i + 1], circles[near])[0] if len(near) else np.zeros(0)
    best: dict[int, tuple[float, int]] = {}
    for place, fit in zip(near.tolist(), iou.tolist(), strict=True):
        voter = int(owner[place])
        if fit > min_iou and (voter not in best or fit > best[voter][0]):
            best[voter] = (fit, place)
    return np.array(sorted([i, *(place for _, place in best.values())]), np.intp)


def _mean(circles: Scored) -> NDArray[np.float64]:
    """(5,) of circles that are one."""
    scores = circles[:, 3]
    if len(circles) == 1 or not scores.any():
        middle = circles[0, :3]
    else:
        middle = (circles[:, :3] * scores[:, None]).sum(axis=0) / scores.sum()
    return np.array([*middle, scores.mean(), len(circles)])
