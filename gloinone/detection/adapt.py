"""The first layers' normalisation, measured anew on the tissue of each slide.

Batch normalisation subtracts means and divides by deviations that were measured on the training slides. Another
hospital's stain and scanner have others, and then scores are low all over a slide. So they are measured on windows of
the slide's own tissue as well and mixed with those of the training, which weigh as much as ``prior`` windows (Schneider
et al. 2020, *Improving robustness against common corruptions by covariate shift adaptation*, section 2). That is done
where the network sees colours and contrasts. What deeper layers see depends on how many glomeruli there are, and a
slide shows fewer than the tiles of the training: docs/evaluation.md, Adapting to each slide. A slide is adapted to by
its own pixels alone, so that its result does not depend on the other slides of a batch.
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
    """What the slide's own statistics count for, 0 to 1; windows that show the same tissue count once.

    >>> weight_of(32, 50.0, 2.0, 8.0), weight_of(32, 0.0, 2.0, 8.0)
    (0.8, 0.0)
    """
    apart = min(windows, tissue_mm2 / (EDGE_PX * mpp / 1000) ** 2)
    return apart / (apart + prior) if apart else 0.0


@torch.no_grad()
def adapted(network: CircleNetwork, windows: Tensor, weight: float) -> CircleNetwork:
    """A copy in use, with statistics of (N, 3, H, W) windows in the place of ``weight`` of its first layers' own."""
    ours = copy.deepcopy(network)
    assert ours.first is not None
    norms = [module for module in ours.first.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over batches
        norm.train()
    for batch in windows.tensor_split(-(-len(windows) // TOGETHER)):
        ours.first(batch)
    taught = network.state_dict()
    for name, value in ours.state_dict().items():  # the same numbers where nothing was measured
        if name.endswith(("running_mean", "running_var")):
            value.lerp_(taught[name], 1 - weight)
    return ours.eval()
