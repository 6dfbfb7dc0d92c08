"""The first layers' normalisation, shifted to each slide.

Batch normalisation subtracts means that were measured on the training slides. Another hospital's stain and scanner
have others, and then scores are low all over a slide. So they are measured on pictures of the slide itself as well and
mixed with those of the training, which weigh as much as ``norm_prior`` pictures (Schneider et al. 2020, *Improving
robustness against common corruptions by covariate shift adaptation*, section 2): for a detector windows of the slide's
tissue, for a classifier the crops of its surest circles, each being what that network was taught on. Unlike there, only
the layers that see colours and contrasts are shifted: what deeper ones see depends on how many glomeruli there are, and
a slide shows fewer than the tiles of the training. And only means are: the deviations of the training are those of many
slides in many colours, which no single slide has. Measured: docs/evaluation.md, Adapting to each slide.

A slide is adapted to by its own pixels alone, so that its result does not depend on the other slides of a batch.
"""

import copy
from typing import TypeVar

import torch
from torch import Tensor, nn

from gloinone.errors import WeightsError

TOGETHER = 8
"""Pictures in a batch, as many as in one of the training, or half of it."""


Network = TypeVar("Network", bound=nn.Module)


@torch.no_grad()
def adapted(network: Network, pictures: Tensor, weight: float) -> Network:
    """A copy in use whose first layers have the means of (N, 3, H, W) pictures for ``weight`` of their own."""
    ours = copy.deepcopy(network)
    first = ours.first
    assert isinstance(first, nn.Module)
    for norm in first.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.reset_running_stats()
            norm.momentum = None  # the plain mean over batches
            norm.train()
    for batch in pictures.tensor_split(-(-len(pictures) // TOGETHER)):
        first(batch)
    measured = ours.state_dict()
    ours.load_state_dict(
        {
            name: torch.lerp(value, measured[name], weight) if name.endswith("running_mean") else value
            for name, value in network.state_dict().items()
        }
    )
    return ours.eval()


def check_adaptable(first: nn.Module | None, prior: float | None, name: str, architecture: str) -> None:
    """Raises WeightsError where a card asks for what its network cannot do."""
    if prior is not None and first is None:
        raise WeightsError(
            f"card {name}: norm_prior is {prior:g}, but {architecture} cannot be adapted to slides; make it null"
        )
