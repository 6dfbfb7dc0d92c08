"""What calls a result into question, in numbers, and from where on a reader should look."""

import math
from dataclasses import dataclass

USUAL_NUCLEI_UM = 4.4
"""Median of what gloinone.slide.nuclei measures on the real slides at hand, whose own mpp are estimates."""

LIMITS = {
    "blur_um": 2.5,
    "pen_share": 0.02,
    "fold_share": 0.05,
    "stain_distance": 15.0,
    "nuclei_um": 0.6,
    "near_cut": 0.9,
    "votes_missing": 0.5,
    "feature_distance": 1.0,
    "score_shift": 0.5,
}
"""From here on a number is a flag. Of nuclei_um: the octaves between it and the usual."""

WORDS = {
    "blur_um": "blur",
    "pen_share": "pen",
    "fold_share": "fold",
    "stain_distance": "stain",
    "nuclei_um": "mpp",
    "near_cut": "near the cut",
    "votes_missing": "few votes",
    "feature_distance": "unlike training",
    "score_shift": "low scores",
}
"""What the flags are called."""


@dataclass(frozen=True)
class Doubts:
    """Of a slide or a glomerulus; None where nothing can be said."""

    blur_um: float | None = None
    """Sigma of the Gaussian that blurs a sharp slide as much."""
    pen_share: float | None = None
    """0..1 of the area."""
    fold_share: float | None = None
    """0..1 of the area."""
    stain_distance: float | None = None
    """Slides only; degrees from the nearest of the training slides' stains."""
    nuclei_um: float | None = None
    """Slides only."""
    near_cut: float | None = None
    """Glomeruli only: 1 on the border between two answers, 0 as far from it as can be."""
    votes_missing: float | None = None
    """Glomeruli only: 0..1 of the detectors or views, that did not find it; None where there is but one."""
    feature_distance: float | None = None
    """Slides only: from the classifier's training slides, in its own features, over the limit on its card."""
    score_shift: float | None = None
    """Slides only: log-odds by which the scores were raised, since they lay lower than usual; None: nobody looked."""

    @property
    def ratios(self) -> dict[str, float]:
        """Each number that is known over its limit."""
        known = {name: value for name in LIMITS if (value := getattr(self, name)) is not None}
        if "nuclei_um" in known:
            known["nuclei_um"] = abs(math.log2(known["nuclei_um"] / USUAL_NUCLEI_UM))
        return {name: value / LIMITS[name] for name, value in known.items()}

    @property
    def doubt(self) -> float | None:
        """The largest ratio; None where nothing is known."""
        return max(self.ratios.values(), default=None)

    @property
    def flags(self) -> tuple[str, ...]:
        """Words for the ratios from 1 on, the largest first."""
        over = sorted((-ratio, WORDS[name]) for name, ratio in self.ratios.items() if ratio >= 1)
        return tuple(word for _, word in over)
