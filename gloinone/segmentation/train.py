"""What a segmenter learns: the outline of the glomerulus in the middle of a crop."""

import json
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from gloinone.learning.augment import ColourConfig
from gloinone.learning.device import autocast
from gloinone.learning.patch_training import Looks, PatchSet, cut_crops, patch_stains, patches_identity
from gloinone.learning.patches import FramingConfig, balanced_shares, cut_mask
from gloinone.learning.stains import Basis
from gloinone.learning.training import Recipe, Task
from gloinone.segmentation.losses import mask_loss

Batch = tuple[Tensor, Tensor]
SCORES = ("dice",)
TIGHT_AND_WIDE = Looks(FramingConfig(scale=(0.8, 1.6)), ColourConfig())
"""A glomerulus that reaches over its crop is outlined in a larger one."""


def segmenter_task(
    parts: PatchSet,
    recipe: Recipe,
    edge_px: int,
    device: torch.device,
    judge: Callable[[nn.Module], dict[str, float]],
    references: Sequence[Basis] = (),
) -> Task[Batch]:
    """The task of a segmenter.

    ``judge`` gives SCORES of averaged weights on the validation patches; ``references`` are stains that some crops are
    shown in, beside those of the slides.
    """
    patches = parts.train
    shares, stains = balanced_shares(patches), patch_stains(patches, references)

    def draw(step: int) -> Batch:
        rng = np.random.default_rng((recipe.seed, step))
        numbers = rng.choice(len(patches), recipe.batch, p=shares)
        drawn = cut_crops(patches, numbers, edge_px, rng, TIGHT_AND_WIDE, stains)
        cut = zip(drawn.numbers, drawn.affines, strict=True)
        masks = np.stack([cut_mask(patches.masks[number], affine, edge_px) for number, affine in cut])
        return torch.from_numpy(drawn.images), torch.from_numpy(masks)

    def losses(network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        images, masks = batch
        x = images.to(device).contiguous(memory_format=torch.channels_last)
        with autocast(device):
            logits = network(x)
        return {"loss": mask_loss(logits, masks.to(device))}

    return Task(
        draw=draw,
        losses=losses,
        parts=("loss",),
        validate=judge if len(parts.validation) else None,
        scores=SCORES,
        best_by="dice",
        identity=patches_identity(parts, json.dumps({"edge_px": edge_px}), references),
    )
