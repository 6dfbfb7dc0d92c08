"""From maps to circles: local maxima of the heatmap, the K highest, centre + offset, radius, times the stride."""

import torch
from torch import Tensor
from torch.nn import functional

from gloinone.detection.circlenet import STRIDE, CircleMaps

TOP_K = 100
"""Peaks per tile (the published number)."""


def decode(maps: CircleMaps, top_k: int = TOP_K) -> Tensor:
    """Maps of B tiles -> (B, K, 4) cx, cy, radius (tile px, continuous), score, best first.

    A peak is a cell that is the highest of its 3 x 3 neighbours (Zhou et al. 2019, section 4).
    """
    heat = maps.heat.float().sigmoid()
    batch, _, height, width = heat.shape
    peaks = heat * (functional.max_pool2d(heat, 3, stride=1, padding=1) == heat)
    scores, cells = peaks.flatten(1).topk(min(top_k, height * width))  # (B, K)
    rows, columns = cells // width, cells % width

    def at_peaks(values: Tensor) -> Tensor:
        flat = values.float().flatten(2)  # (B, C, H*W)
        return flat.gather(2, cells[:, None].expand(batch, flat.shape[1], -1))

    offset = at_peaks(maps.offset)
    radius = at_peaks(maps.radius)[:, 0].clamp(min=0.5)
    cx, cy = columns + offset[:, 0], rows + offset[:, 1]
    return torch.stack([cx * STRIDE, cy * STRIDE, radius * STRIDE, scores], dim=2)
