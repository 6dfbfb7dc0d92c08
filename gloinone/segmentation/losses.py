"""Cross-entropy for every pixel and Dice for every crop, where the truth is known."""

from torch import Tensor
from torch.nn import functional

from gloinone.learning.patches import UNKNOWN


def mask_loss(logits: Tensor, truth: Tensor) -> Tensor:
    """Binary cross-entropy plus 1 - Dice (Milletari et al. 2016), mean over the crops.

    logits: (B, 1, E, E); truth: (B, E, E) uint8 of 0, 1 and UNKNOWN, which counts for nothing.
    """
    x = logits[:, 0]
    known = (truth != UNKNOWN).to(x.dtype)
    target = (truth == 1).to(x.dtype)
    pixels = known.sum(dim=(1, 2)).clamp(min=1)
    entropy = functional.binary_cross_entropy_with_logits(x, target, reduction="none")
    per_crop = (entropy * known).sum(dim=(1, 2)) / pixels
    inside = x.sigmoid() * known
    shared = (inside * target).sum(dim=(1, 2))
    dice = (2 * shared + 1) / (inside.sum(dim=(1, 2)) + target.sum(dim=(1, 2)) + 1)
    return (per_crop + 1 - dice).mean()
