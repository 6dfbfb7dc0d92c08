"""What a classifier learns: crops with names that may know only part of the hierarchy."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor, nn

from gloinone.classification.losses import allowed_classes, hierarchical_loss
from gloinone.learning.device import autocast
from gloinone.learning.patch_training import AS_TRAINED, PatchSet, cut_crops, patch_stains, patches_identity
from gloinone.learning.patches import balanced_shares
from gloinone.learning.stains import Basis
from gloinone.learning.training import Recipe, Task

Batch = tuple[Tensor, Tensor]
SCORES = ("likelihood", "auc_glomerulus", "auc_sclerosed")


@dataclass(frozen=True)
class LearnConfig:
    """What is special about a classifier's training."""

    edge_px: int = 192
    """Of the network's input."""
    smoothing: float = 0.05
    """Of the labels."""
    focal: float = 0.0
    """Gamma of the focal loss (Lin et al. 2017); 0: plain cross-entropy."""


def classifier_task(
    parts: PatchSet,
    recipe: Recipe,
    config: LearnConfig,
    device: torch.device,
    judge: Callable[[nn.Module], dict[str, float]],
    references: Sequence[Basis] = (),
) -> Task[Batch]:
    """The task of a classifier.

    ``judge`` gives SCORES of averaged weights on the validation patches; ``references`` are stains that some crops are
    shown in, beside those of the slides.
    """
    patches = parts.train
    shares, stains = balanced_shares(patches), patch_stains(patches, references)
    allowed_of = allowed_classes(list(patches.labels))

    def draw(step: int) -> Batch:
        rng = np.random.default_rng((recipe.seed, step))
        numbers = rng.choice(len(patches), recipe.batch, p=shares)
        drawn = cut_crops(patches, numbers, config.edge_px, rng, AS_TRAINED, stains)
        return torch.from_numpy(drawn.images), torch.from_numpy(allowed_of[drawn.numbers])

    def losses(network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        images, allowed = batch
        x = images.to(device).contiguous(memory_format=torch.channels_last)
        with autocast(device):
            logits = network(x)
        loss = hierarchical_loss(logits.float(), allowed.to(device), config.smoothing, config.focal)
        return {"loss": loss}

    return Task(
        draw=draw,
        losses=losses,
        parts=("loss",),
        validate=judge if len(parts.validation) else None,
        scores=SCORES,
        best_by="likelihood",
        identity=patches_identity(parts, json.dumps(asdict(config), sort_keys=True), references),
    )
