"""From patches to a segmenter that can be shipped: train, measure on patients left out, write the card."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from gloinone import __version__
from gloinone.errors import UsageError
from gloinone.labels import GLOMERULUS
from gloinone.learning.device import pick_device
from gloinone.learning.patches import Patches
from gloinone.segmentation.deeplab import build_network
from gloinone.segmentation.predict import Segmenter
from gloinone.segmentation.scores import dice_of_patches, measured_dice
from gloinone.segmentation.train import TrainConfig, train_segmenter
from gloinone.slide.crops import CONTEXT_UM
from gloinone.weights.card import Architecture, ModelCard
from gloinone.weights.starting import start
from gloinone.weights.store import save_model

MEAN = (122.782, 117.001, 104.298)
"""Of the CC0 ResNet-34 that trainings start from, RGB 0..255."""
STD = (256.0, 256.0, 256.0)
Say = Callable[[str], None]


@dataclass(frozen=True)
class MakeConfig:
    """What a user may choose; see `gloinone train segmenter --help`."""

    out: Path
    train: TrainConfig
    init: str = "none"
    """A model's name or folder, a .safetensors file of a backbone, or none."""
    architecture: str = "deeplabv3plus"
    encoder: str = "resnet34"
    device: str = "auto"
    licence: str = "not stated"


def make_segmenter(
    train: Patches, validation: Patches, test: Patches, config: MakeConfig, say: Say
) -> ModelCard:
    """Trains, and leaves weights.safetensors and card.json in ``config.out``."""
    device = pick_device(config.device)
    train, validation, test = (outlined(patches) for patches in (train, validation, test))
    if not len(train):
        raise UsageError("no outlines to train on; give --truth with outlines, or --masks")
    card = start_card(train, validation, test, config)
    network = build_network(card)
    start(network, network.encoder, config.init, "segmenter")
    steps = config.train.steps

    def progress(step: int, loss: float) -> None:
        if step % 10 == 0 or step == steps:
            say(f"step {step} of {steps}: loss {loss:.3f}")

    trained = train_segmenter(network, train, config.train, config.out, device, progress)
    segmenter = Segmenter(trained, card, device)
    rows = []
    for patches, on in ((validation, "validation patients"), (test, "test patients")):
        if len(patches):
            rows += measured_dice(dice_of_patches(segmenter, patches), patches, on)
    for row in rows:
        say(f"{row.on}: Dice {row.value:.3f} ({row.low:.3f} to {row.high:.3f}), n {row.n}")
    return save_model(config.out, trained.state_dict(), replace(card, measured=tuple(rows)))


def outlined(patches: Patches) -> Patches:
    """Those with an outline."""
    middle = patches.masks[:, ::4, ::4]
    return patches.take(np.flatnonzero((middle == 1).any(axis=(1, 2))))


def start_card(train: Patches, validation: Patches, test: Patches, config: MakeConfig) -> ModelCard:
    """Everything that is known before the training."""
    sources = sorted(set(train.sources))
    counts = [f"{name}: {train.sources.count(name)} outlines" for name in sources]
    options: dict[str, object] = {"encoder_name": config.encoder, "encoder_output_stride": 16}
    t = config.train
    return ModelCard(
        name=config.out.resolve().name,
        task="segmenter",
        architecture=Architecture(config.architecture, options),
        edge_px=t.edge_px,
        mean=MEAN,
        std=STD,
        labels=(GLOMERULUS,),
        licence=config.licence,
        training_data=tuple(counts),
        split=(
            f"validation: {', '.join(sorted(set(validation.groups))) or 'none'}; "
            f"test, never trained on: {', '.join(sorted(set(test.groups))) or 'none'}"
        ),
        created_by=f"gloinone {__version__} train segmenter, {t.steps} steps of {t.batch}, seed {t.seed}",
        context_um=CONTEXT_UM,
        threshold=0.5,
        not_validated=("No pathologist has validated these weights.",),
    )
