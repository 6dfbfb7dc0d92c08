"""Truth that knows only part of the hierarchy trains only that part."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gloinone.errors import UsageError
from gloinone.labels import CLASSES, GLOMERULAR, GLOMERULUS, SCLEROSED, SCLEROSED_KINDS

ALLOWED: dict[str, tuple[str, ...]] = {
    **{name: (name,) for name in CLASSES},
    SCLEROSED: SCLEROSED_KINDS,
    GLOMERULUS: GLOMERULAR,
}
"""Which of the five classes a truth's name leaves open."""


def allowed_classes(labels: list[str]) -> NDArray[np.bool_]:
    """(N, 5) True where the truth leaves the class open.

    >>> allowed_classes(["normal", "sclerosed"]).astype(int)
    array([[1, 0, 0, 0, 0],
           [0, 1, 1, 1, 0]])
    """
    if unknown := sorted(set(labels) - set(ALLOWED)):
        raise UsageError(f"unknown class {', '.join(unknown)}; known: {', '.join(ALLOWED)}")
    return np.array([[name in ALLOWED[label] for name in CLASSES] for label in labels], np.bool_)


def hierarchical_loss(logits: Tensor, allowed: Tensor, smoothing: float = 0.0, focal: float = 0.0) -> Tensor:
    """Mean of -log p, p being the sum of the allowed classes' probabilities; logits, allowed: (B, 5).

    ``smoothing`` mixes in the same loss for all classes at once (label smoothing, Szegedy et al. 2016), so
    that a wrong label cannot ask for infinite certainty. ``focal`` weighs each crop by (1 - p) to that power
    (Lin et al. 2017), so that rare and hard crops count more than many easy ones.
    """
    total = torch.logsumexp(logits, dim=1)
    open_part = torch.logsumexp(logits.masked_fill(~allowed, float("-inf")), dim=1)
    loss = total - open_part
    if focal > 0:
        # A power of nothing has no slope: a crop that is certain must not give one that is not a number
        loss = loss * (1 - torch.exp(-loss)).clamp(min=1e-6) ** focal
    if smoothing > 0:
        loss = (1 - smoothing) * loss + smoothing * (total[:, None] - logits).mean(dim=1)
    return loss.mean()
