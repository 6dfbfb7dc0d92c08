"""The five classes, their colours, and the one rule that turns probabilities into a class."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

NORMAL = "normal"
OBSOLESCENT = "obsolescent"
SOLIDIFIED = "solidified"
DISAPPEARING = "disappearing"
NONGLOMERULAR = "non-glomerular"

CLASSES = (NORMAL, OBSOLESCENT, SOLIDIFIED, DISAPPEARING, NONGLOMERULAR)
"""Order of the five probabilities everywhere; it is the published classifier's order."""

SCLEROSED_KINDS = (OBSOLESCENT, SOLIDIFIED, DISAPPEARING)
GLOMERULAR = (NORMAL, *SCLEROSED_KINDS)

SCLEROSED = "sclerosed"
"""Truth that knows global sclerosis but not its kind."""
GLOMERULUS = "glomerulus"
"""Truth that knows a glomerulus but not its state."""

COLOURS: dict[str, tuple[int, int, int]] = {
    NORMAL: (255, 0, 0),
    OBSOLESCENT: (255, 255, 0),
    SOLIDIFIED: (0, 128, 255),
    DISAPPEARING: (0, 255, 0),
    NONGLOMERULAR: (160, 160, 160),
}
"""RGB; the first four are Glo-In-One's layer colours."""

RuleName = Literal["hierarchy", "argmax"]


@dataclass(frozen=True)
class ClassRule:
    """How five probabilities become one class; it stands on the classifier's card.

    ``hierarchy``: non-glomerular if its probability is at or over ``nonglomerular_cut``; else sclerosed if
    p_sclerosed / (1 - p_nonglomerular) is at or over ``sclerosed_cut``, and then the likeliest kind; else
    normal. ``argmax``: the likeliest of the five (published Glo-In-One weights).
    """

    name: RuleName = "hierarchy"
    nonglomerular_cut: float = 0.5
    sclerosed_cut: float = 0.5

    def __post_init__(self) -> None:
        if self.name not in ("hierarchy", "argmax"):
            raise ValueError(f"unknown class rule {self.name!r}; known: hierarchy, argmax")


def p_sclerosed(probabilities: Sequence[float]) -> float:
    """Sum of the three kinds of global sclerosis."""
    return float(sum(probabilities[1:4]))


def p_nonglomerular(probabilities: Sequence[float]) -> float:
    """Probability that the crop shows no glomerulus."""
    return float(probabilities[4])


SCORE_COMBINATIONS = ("detector", "product", "damped", "geometric", "odds")
CERTAIN_LOG_ODDS, TRUST = 3.0, 0.25
"""Of ``odds``: where a classifier is certain, and what its log-odds count for beside the detector's."""


def combined_score(det_score: float, probabilities: Sequence[float], combination: str) -> float:
    """What circles are ranked by and cut at the threshold; the classifier's card names the combination.

    ``detector``: the detector's score alone; ``product``: times (1 - p_nonglomerular); ``damped``: times the
    root of that, for a classifier that is surer than it should be; ``geometric``: the root of the product; ``odds``:
    its log-odds are lower by a quarter of what those of a glomerulus lack to 3, which is .953, at most by 1.5: what
    shows a glomerulus for certain keeps `det_score`. Compared: docs/evaluation.md, How both scores combine.
    """
    p_glomerulus = min(1.0, max(0.0, 1.0 - p_nonglomerular(probabilities)))
    if combination == "detector":
        return det_score
    if combination == "product":
        return det_score * p_glomerulus
    if combination == "damped":
        return float(det_score * p_glomerulus**0.5)
    if combination == "geometric":
        return float((det_score * p_glomerulus) ** 0.5)
    if combination == "odds":
        if not 0.0 < det_score < 1.0:
            return det_score
        lacking = CERTAIN_LOG_ODDS - _limited_log_odds(p_glomerulus, CERTAIN_LOG_ODDS)
        return 1.0 / (1.0 + (1.0 - det_score) / det_score * math.exp(TRUST * lacking))
    raise ValueError(f"unknown score combination {combination!r}; known: {', '.join(SCORE_COMBINATIONS)}")


def _limited_log_odds(p: float, most: float) -> float:
    """Of a probability, between -``most`` and ``most``."""
    least = 1.0 / (1.0 + math.exp(most))
    inside = min(1.0 - least, max(least, p))
    return math.log(inside / (1.0 - inside))


def classify(probabilities: Sequence[float], rule: ClassRule) -> str:
    """Name of the class of five probabilities in the order of ``CLASSES``.

    >>> classify((.40, .25, .20, .10, .05), ClassRule("hierarchy"))
    'obsolescent'
    >>> classify((.40, .25, .20, .10, .05), ClassRule("argmax"))
    'normal'
    """
    if len(probabilities) != len(CLASSES):
        raise ValueError(f"expected {len(CLASSES)} probabilities, got {len(probabilities)}")
    if rule.name == "argmax":
        return CLASSES[max(range(len(CLASSES)), key=lambda i: probabilities[i])]
    p_non = p_nonglomerular(probabilities)
    if p_non >= rule.nonglomerular_cut or p_non >= 1.0:
        return NONGLOMERULAR
    if p_sclerosed(probabilities) / (1.0 - p_non) >= rule.sclerosed_cut:
        return max(SCLEROSED_KINDS, key=lambda name: probabilities[CLASSES.index(name)])
    return NORMAL
