"""CircleNet's loss: focal on the heatmap, L1 on offset, 0.1 L1 on radius (Yang et al. 2020, section 2.2)."""

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor
from torch.nn import functional

from gloinone.detection.circlenet import CircleMaps

RADIUS_WEIGHT = 0.1
OFFSET_WEIGHT = 1.0


class TargetBatch(NamedTuple):
    """Targets of a batch; the N cells of all its tiles stand in one list."""

    heat: Tensor
    """(B, 1, H, W)."""
    counts: Tensor
    """(B, 1, H, W)."""
    tile: Tensor
    """(N,) which tile a cell is in."""
    cell: Tensor
    """(N,) its flat index there."""
    offset: Tensor
    """(N, 2)."""
    radius: Tensor
    """(N,)."""
    weight: Tensor
    """(N,) as in `Targets`."""


class CircleLoss(NamedTuple):
    """Scalars; ``total`` is what is minimised."""

    total: Tensor
    heat: Tensor
    offset: Tensor
    radius: Tensor


def focal_loss(logits: Tensor, heat: Tensor, counts: Tensor) -> Tensor:
    """Penalty-reduced focal loss with alpha 2, beta 4 (Law and Deng 2018, eq. 1), per centre in the batch."""
    log_p, log_not_p = functional.logsigmoid(logits), functional.logsigmoid(-logits)
    p = logits.sigmoid()
    centre = (heat == 1).to(logits.dtype)
    at_centres = (1 - p) ** 2 * log_p * centre
    elsewhere = (1 - heat) ** 4 * p**2 * log_not_p * (1 - centre)
    centres = (centre * counts).sum().clamp(min=1)
    return -((at_centres + elsewhere) * counts).sum() / centres


def circle_loss(maps: CircleMaps, targets: TargetBatch) -> CircleLoss:
    """All three terms in float32."""
    heat = focal_loss(maps.heat.float(), targets.heat, targets.counts)
    if len(targets.cell) == 0:
        nothing = maps.offset.float().sum() * 0 + maps.radius.float().sum() * 0
        return CircleLoss(heat + nothing, heat.detach(), nothing.detach(), nothing.detach())
    at = (targets.tile, slice(None), targets.cell)
    weight = targets.weight / targets.weight.sum()
    offset = ((maps.offset.float().flatten(2)[at] - targets.offset).abs().mean(1) * weight).sum()
    radius = ((maps.radius.float().flatten(2)[at].squeeze(1) - targets.radius).abs() * weight).sum()
    total = heat + OFFSET_WEIGHT * offset + RADIUS_WEIGHT * radius
    return CircleLoss(total, heat.detach(), offset.detach(), radius.detach())


def summed_loss(several: Sequence[CircleMaps], targets: TargetBatch) -> CircleLoss:
    """Of all maps that a network is corrected by, their losses added."""
    first, *others = [circle_loss(maps, targets) for maps in several]
    return CircleLoss(*(sum(parts, part) for part, *parts in zip(first, *others, strict=True)))
