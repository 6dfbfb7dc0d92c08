"""The first layers' normalisation, shifted to the tissue of each slide.

Batch normalisation subtracts means that were measured on the training slides. Another hospital's stain and scanner
have others, and then scores are low all over a slide. So they are measured on windows of the slide's own tissue as well
and mixed with those of the training, which weigh as much as ``prior`` windows (Schneider et al. 2020, *Improving
robustness against common corruptions by covariate shift adaptation*, section 2). Unlike there, only the layers that see
colours and contrasts are shifted: what deeper ones see depends on how many glomeruli there are, and a slide shows fewer
than the tiles of the training. And only means are: the deviations of the training are those of many slides in many
colours, which no single slide has. Measured: docs/evaluation.md, Adapting to each slide.

A slide is adapted to by its own pixels alone, so that its result does not depend on the other slides of a batch.
"""

import copy

import torch
from torch import Tensor, nn

from gloinone.detection.circlenet import CircleNetwork

WINDOWS = 32
"""Of a slide's tissue, at most."""
EDGE_PX = 288
"""Of each, at the network's mpp: near the size of the tiles that the networks learn from."""
TOGETHER = 8
"""Windows in a batch, as many as in one of the training."""


def weight_of(windows: int, tissue_mm2: float, mpp: float, prior: float) -> float:
    """What the slide's own means count for, 0 to 1; windows that show the same tissue count once.

    >>> weight_of(32, 50.0, 2.0, 8.0), weight_of(32, 0.0, 2.0, 8.0)
    (0.8, 0.0)
    """
    apart = min(windows, tissue_mm2 / (EDGE_PX * mpp / 1000) ** 2)
    return apart / (apart + prior) if apart else 0.0


@torch.no_grad()
def adapted(network: CircleNetwork, windows: Tensor, weight: float) -> CircleNetwork:
    """A copy in use whose first layers have the means of (N, 3, H, W) windows for ``weight`` of their own."""
    ours = copy.deepcopy(network)
    assert ours.first is not None
    for norm in ours.first.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.reset_running_stats()
            norm.momentum = None  # the plain mean over batches
            norm.train()
    for batch in windows.tensor_split(-(-len(windows) // TOGETHER)):
        ours.first(batch)
    measured = ours.state_dict()
    ours.load_state_dict(
        {
            name: torch.lerp(value, measured[name], weight) if name.endswith("running_mean") else value
            for name, value in network.state_dict().items()
        }
    )
    return ours.eval()
