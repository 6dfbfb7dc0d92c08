"""From patches to a segmenter that can be shipped: train, measure on patients left out, write the card."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from gloinone import __version__
from gloinone.errors import UsageError
from gloinone.labels import GLOMERULUS
from gloinone.learning.comparison import Compared, compare, tell_comparison
from gloinone.learning.device import pick_device
from gloinone.learning.folded import folded_norms
from gloinone.learning.patch_training import MEAN, STD, PatchSet
from gloinone.learning.patches import Patches
from gloinone.learning.training import SupervisedOptions, train
from gloinone.segmentation.build import build_segmenter
from gloinone.segmentation.networks import build_network, options_of
from gloinone.segmentation.predict import Segmenter
from gloinone.segmentation.scores import dice_of_patches, measured_dice
from gloinone.segmentation.train import segmenter_task
from gloinone.slide.crops import CONTEXT_UM
from gloinone.weights.card import Architecture, ModelCard
from gloinone.weights.starting import backbone_name, shipped_model, start, starting_card
from gloinone.weights.store import save_model

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class MakeConfig(SupervisedOptions):
    """What a user may choose; see `gloinone train segmenter --help`."""

    edge_px: int = 192
    architecture: str | None = None
    """None: that of the model to start from, else deeplabv3plus."""
    encoder: str | None = None
    """None: that of the weights to start from."""


def make_segmenter(parts: PatchSet, config: MakeConfig, say: Say) -> ModelCard:
    """Trains, and leaves weights.safetensors and card.json in ``config.out``; all ``parts`` are ``outlined``."""
    device = pick_device(config.device)
    if not len(parts.train):
        raise UsageError("no outlines to train on; give --truth with outlines, or --masks")
    card = start_card(parts, config)
    if config.recipe.batch < 2 and card.architecture.name != "unet":
        raise UsageError(
            f"--batch-size {config.recipe.batch}: {card.architecture.name} normalises a batch together; give 2 or more"
        )
    torch.manual_seed(config.recipe.seed)
    network = build_network(card)
    start(network, network.encoder, config.init, "segmenter")

    def judge(averaged: nn.Module) -> dict[str, float]:
        return {"dice": float(dice_of_patches(Segmenter(averaged, card, device), parts.validation).mean())}

    task = segmenter_task(parts, config.recipe, config.edge_px, device, judge, config.references)
    folded = folded_norms(network.encoder)
    trained = train(network, task, config.recipe, config.out, device, say, folded)
    segmenter = Segmenter(trained, card, device)
    rows = []
    for patches, on in ((parts.validation, "validation patients"), (parts.test, "test patients")):
        if len(patches):
            rows += measured_dice(dice_of_patches(segmenter, patches), patches, on)
    for row in rows:
        say(f"{row.on}: Dice {row.told}, n {row.n}")
    card = save_model(config.out, trained.state_dict(), replace(card, measured=tuple(rows)))
    tell_comparison(against_shipped(segmenter, parts, device), config.out, say)
    return card


def outlined(patches: Patches) -> Patches:
    """Those with an outline."""
    middle = patches.masks[:, ::4, ::4]
    return patches.take(np.flatnonzero((middle == 1).any(axis=(1, 2))))


def against_shipped(retrained: Segmenter, parts: PatchSet, device: torch.device) -> list[Compared]:
    """Mean Dice of shipped and retrained weights on held-out patients."""
    patches, on = parts.held_out
    found = shipped_model("segmenter")
    if found is None or not len(patches):
        return []
    before = dice_of_patches(build_segmenter(*found, device), patches)
    after = dice_of_patches(retrained, patches)
    what = f"mean Dice per glomerulus, {on}"
    return compare(what, patches.groups, lambda i: float(before[i].mean()), lambda i: float(after[i].mean()))


def start_card(parts: PatchSet, config: MakeConfig) -> ModelCard:
    """Everything that is known before the training."""
    sources = sorted(set(parts.train.sources))
    counts = [f"{name}: {parts.train.sources.count(name)} outlines" for name in sources]
    model, recipe = starting_card(config.init, "segmenter"), config.recipe
    ours = Architecture("deeplabv3plus", {"encoder_name": backbone_name(config.init, "segmenter")})
    named = model.architecture if model else ours
    name = config.architecture or named.name
    encoder = config.encoder or str(named.options["encoder_name"])
    return ModelCard(
        name=config.out.resolve().name,
        task="segmenter",
        architecture=Architecture(name, options_of(name, encoder)),
        edge_px=config.edge_px,
        mean=MEAN,
        std=STD,
        labels=(GLOMERULUS,),
        licence=config.licence,
        training_data=tuple(counts),
        split=parts.split,
        created_by=(
            f"gloinone {__version__} train segmenter, {recipe.steps} steps of {recipe.batch}, "
            f"seed {recipe.seed}, from {model.identity if model else config.init}"
        ),
        context_um=CONTEXT_UM,
        threshold=0.5,
        not_validated=("No pathologist has validated these weights.",),
    )
