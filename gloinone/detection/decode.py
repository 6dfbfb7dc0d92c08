"""From maps to circles: local maxima of the heatmap, the K highest, centre + offset, radius, times the stride."""

import torch
from torch import Tensor
from torch.nn import functional

from gloinone.detection.circlenet import STRIDE, CircleMaps

TOP_K = 100
"""Peaks per tile (the published number)."""
LEAST_WEIGHT = 1e-6
"""Of a cell that a peak's circle is averaged over: no heatmap is so low that there is no mean."""


def decode(maps: CircleMaps, top_k: int = TOP_K, reach: int = 0) -> Tensor:
    """Maps of B tiles -> (B, K, 4) cx, cy, radius (tile px, continuous), score, best first.

    A peak is a cell that is the highest of its 3 x 3 neighbours (Zhou et al. 2019, section 4). ``reach``: the cells
    so far around a peak say with it where its circle is, by the mean of what each says, weighted by the heatmap; for
    networks that were taught it there (`gloinone.detection.targets`). 0: the peak alone, as published.
    """
    heat = maps.heat.float().sigmoid()
    batch, _, height, width = heat.shape
    peaks = heat * (functional.max_pool2d(heat, 3, stride=1, padding=1) == heat)
    scores, cells = peaks.flatten(1).topk(min(top_k, height * width))  # (B, K)
    corner = torch.stack(
        torch.meshgrid(
            torch.arange(width, device=heat.device), torch.arange(height, device=heat.device), indexing="xy"
        )
    )  # (2, H, W) x, y of each cell
    said = torch.cat([maps.offset.float() + corner, maps.radius.float().clamp(min=0.5)], dim=1)
    if reach:
        weight = heat.clamp(min=LEAST_WEIGHT)
        said = _sum_around(said * weight, reach) / _sum_around(weight, reach)
    circles = said.flatten(2).gather(2, cells[:, None].expand(batch, 3, -1)) * STRIDE  # (B, 3, K)
    return torch.cat([circles.transpose(1, 2), scores[..., None]], dim=2)


def _sum_around(values: Tensor, reach: int) -> Tensor:
    """(B, C, H, W) summed over the cells up to ``reach`` away; there is nothing beyond the border."""
    return functional.avg_pool2d(values, 2 * reach + 1, stride=1, padding=reach, divisor_override=1)
