"""From patches to a classifier that can be shipped: train, calibrate and measure on patients left out, card."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gloinone import __version__
from gloinone.classification.predict import Classifier
from gloinone.classification.resnet import build_network
from gloinone.classification.scores import fit_temperature, measured_classes, softmax
from gloinone.classification.train import TrainConfig, train_classifier
from gloinone.labels import CLASSES, ClassRule
from gloinone.learning.device import pick_device
from gloinone.learning.patches import FramingConfig, Patches, cut_pixels, framing
from gloinone.slide.crops import CONTEXT_UM, CROP_PX
from gloinone.weights.card import Architecture, Measured, ModelCard
from gloinone.weights.starting import start
from gloinone.weights.store import save_model

MEAN = (122.782, 117.001, 104.298)
"""Of the CC0 ResNet-34 that trainings start from, RGB 0..255."""
STD = (256.0, 256.0, 256.0)
AS_DETECTED = FramingConfig(scale=(0.9, 1.1), shift=0.06, aspect=1.0, turn=False)
"""Circles as a detector finds them; median circle IoU about 0.85."""
NOT_VALIDATED = (
    "No pathologist has validated these weights.",
    "No label for the kinds of sclerosis (obsolescent, solidified, disappearing) exists in the training data but in "
    "drawn slides: what the weights say of the kind has been compared with no real glomerulus.",
)
Say = Callable[[str], None]


@dataclass(frozen=True)
class MakeConfig:
    """What a user may choose; see `gloinone train classifier --help`."""

    out: Path
    train: TrainConfig
    init: str = "none"
    """A model's name or folder, a .safetensors file of a backbone, or none."""
    backbone: str = "resnet34"
    device: str = "auto"
    licence: str = "not stated"
    rule: ClassRule = field(default_factory=ClassRule)


def make_classifier(
    train: Patches, validation: Patches, test: Patches, config: MakeConfig, say: Say
) -> ModelCard:
    """Trains, and leaves weights.safetensors and card.json in ``config.out``."""
    device = pick_device(config.device)
    card = start_card(train, validation, test, config)
    network = build_network(card)
    start(network, network.backbone, config.init, "classifier")
    steps = config.train.steps

    def progress(step: int, loss: float) -> None:
        if step % 10 == 0 or step == steps:
            say(f"step {step} of {steps}: loss {loss:.3f}")

    trained = train_classifier(network, train, config.train, config.out, device, progress)
    classifier = Classifier(trained, card, device)
    logits = {name: logits_of(classifier, p) for name, p in (("validation", validation), ("test", test))}
    card = replace(card, temperature=fit_temperature(logits["validation"], validation.labels))
    say(f"temperature {card.temperature:.2f}")
    rows = measure(logits["validation"], validation, card, "validation patients (temperature fitted on them)")
    rows += measure(logits["test"], test, card, "test patients")
    for row in rows:
        say(f"{row.on}: {row.what} {row.value:.3f} ({row.low:.3f} to {row.high:.3f}), n {row.n}")
    return save_model(config.out, trained.state_dict(), replace(card, measured=tuple(rows)))


def logits_of(classifier: Classifier, patches: Patches, seed: int = 0) -> NDArray[np.float64]:
    """(N, 5) of each patch, framed as if a detector had found it; the same every time."""
    crops = []
    for i in range(len(patches)):
        affine = framing(float(patches.radius[i]), CROP_PX, np.random.default_rng((seed, i)), AS_DETECTED)
        crops.append(cut_pixels(patches.pixels[i], affine, CROP_PX))
    return classifier.logits(crops)


def measure(logits: NDArray[np.float64], patches: Patches, card: ModelCard, on: str) -> list[Measured]:
    """Scores of all patches and of each source."""
    assert card.class_rule is not None
    rows = []
    names = sorted(set(patches.sources))
    for name in names if len(names) == 1 else ["", *names]:
        own = np.array([i for i, source in enumerate(patches.sources) if name in ("", source)], np.intp)
        rows += measured_classes(
            softmax(logits[own], card.temperature),
            [patches.labels[i] for i in own],
            [patches.groups[i] for i in own],
            card.class_rule,
            f"{on}, {name or 'all sources'}",
        )
    return rows


def start_card(train: Patches, validation: Patches, test: Patches, config: MakeConfig) -> ModelCard:
    """Everything that is known before the training."""
    cells = [f"{source}: {label}" for source, label in zip(train.sources, train.labels, strict=True)]
    t = config.train
    return ModelCard(
        name=config.out.resolve().name,
        task="classifier",
        architecture=Architecture(config.backbone),
        edge_px=t.edge_px,
        mean=MEAN,
        std=STD,
        labels=CLASSES,
        licence=config.licence,
        training_data=tuple(f"{cell} {cells.count(cell)}" for cell in sorted(set(cells))),
        split=(
            f"validation: {', '.join(sorted(set(validation.groups))) or 'none'}; "
            f"test, never trained on: {', '.join(sorted(set(test.groups))) or 'none'}"
        ),
        created_by=f"gloinone {__version__} train classifier, {t.steps} steps of {t.batch}, seed {t.seed}",
        context_um=CONTEXT_UM,
        score_combination="product",
        class_rule=config.rule,
        subtype_validated=False,
        not_validated=NOT_VALIDATED,
    )
