"""A tile seen at several sizes, each time turned another way, and the mean of what a network says of it.

What a glomerulus of a hospital that the training never saw looks like, a network knows less well: it may find it at one
size, or this way up, and miss it at the next. The mean of several looks has the glomeruli in a better order than any of
them. Measured: docs/evaluation.md, Looking more than once.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from gloinone.detection.circlenet import DEEPEST_STRIDE, STRIDE, CircleMaps, CircleNetwork
from gloinone.detection.views import TTA_VIEWS, View

ONCE = (1.0,)


def mean_maps(network: CircleNetwork, tiles: Tensor, scales: Sequence[float] = ONCE) -> CircleMaps:
    """(B, 3, H, W) RGB 0..255 -> maps of (H/4, W/4): the mean over a look at the tiles times each of ``scales``.

    The first look is turned as the tiles are, each other in a view of its own, so that there are at most four (else
    ValueError). Heat is averaged as logits, places and radii in px of the tiles. H and W: multiples of 4; the edges of
    what is looked at are rounded to 32 px.
    """
    if tuple(scales) == ONCE:
        return network(tiles)  # type: ignore[no-any-return]
    looks = [_look(network, tiles, *look) for look in zip(scales, TTA_VIEWS[: len(scales)], strict=True)]
    mean = torch.stack(looks).mean(dim=0)
    return CircleMaps(mean[:, :1], mean[:, 1:3] / STRIDE + 0.5, mean[:, 3:] / STRIDE)


def _look(network: CircleNetwork, tiles: Tensor, scale: float, view: View) -> Tensor:
    """(B, 4, H/4, W/4) on the tiles' own cells: logit; x, y from the middle of a cell, and radius, px of the tiles."""
    seen = view.of(tiles)
    height, width = seen.shape[-2:]
    if scale != 1:
        size = [max(1, round(edge * scale / DEEPEST_STRIDE)) * DEEPEST_STRIDE for edge in (height, width)]
        seen = functional.interpolate(seen.float(), size, mode="bilinear", antialias=True)
    maps = network(seen.contiguous(memory_format=torch.channels_last))
    cell_x, cell_y = STRIDE * width / seen.shape[-1], STRIDE * height / seen.shape[-2]
    x, y = (maps.offset.float() - 0.5).unbind(dim=1)
    radius = maps.radius.float()[:, 0] * (cell_x * cell_y) ** 0.5
    said = torch.stack([maps.heat.float()[:, 0], x * cell_x, y * cell_y, radius], dim=1)
    said = _undone(said, view)
    cells = [edge // STRIDE for edge in tiles.shape[-2:]]
    return said if list(said.shape[-2:]) == cells else functional.interpolate(said, cells, mode="bilinear")


def _undone(said: Tensor, view: View) -> Tensor:
    """(B, 4, h, w) of `_look`, of what the view shows -> of the tiles: maps turn back, and so do x and y."""
    heat, x, y, radius = (said.flip(3) if view.mirrored else said).unbind(dim=1)
    if view.mirrored:
        x = -x
    for _ in range(view.turns):
        x, y = -y, x
    return torch.stack([heat, x, y, radius], dim=1).rot90(-view.turns, (2, 3))
