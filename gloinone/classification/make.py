"""From patches to a classifier that can be shipped: train, calibrate and measure on patients left out, card."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from gloinone import __version__
from gloinone.classification.build import build_classifier
from gloinone.classification.predict import Classifier
from gloinone.classification.resnet import build_network
from gloinone.classification.scores import (
    COMPARED,
    LEVELS,
    calls_of,
    class_measures,
    fit_temperature,
    likelihood,
    measured_classes,
    score_of_level,
    softmax,
)
from gloinone.classification.train import LearnConfig, classifier_task
from gloinone.errors import UsageError
from gloinone.labels import CLASSES, NORMAL, SCLEROSED, SCLEROSED_KINDS, ClassRule
from gloinone.learning.answers import Measure
from gloinone.learning.comparison import Compared, compare, tell_comparison
from gloinone.learning.device import pick_device
from gloinone.learning.folded import folded_norms
from gloinone.learning.patch_training import MEAN, STD, PatchSet, as_detected, by_source
from gloinone.learning.patches import Patches, cut_pixels, some_of_each_slide
from gloinone.learning.training import SupervisedOptions, train
from gloinone.records import Pixels
from gloinone.slide.crops import CONTEXT_UM, CROP_PX
from gloinone.weights.card import Architecture, Measured, ModelCard
from gloinone.weights.features import fit_features, save_features
from gloinone.weights.starting import backbone_name, shipped_model, start, starting_card
from gloinone.weights.store import ModelPaths, save_model

NOT_VALIDATED = (
    "No pathologist has validated these weights.",
    "The kind of sclerosis (obsolescent, solidified, disappearing) rests on the labels counted under training data; it "
    "has been compared with no pathologist's reading.",
)
CAUTIOUS_RULE, CAUTIOUS_COMBINATION = ClassRule(nonglomerular_cut=0.95), "odds"
"""Of a classifier that starts from a backbone. At a hospital that it has not seen it may call many glomeruli none: a
cut of .5 and the product left an AP50 of .46 on regions of two such hospitals, this cut and `damped` .72, the detector
alone .72. Why `odds`: docs/evaluation.md, How both scores combine."""
NORM_PRIOR = 16.0
"""Crops of a slide; docs/evaluation.md, Adapting to each slide."""
BINARY = "Trained to tell normal from sclerosed alone: the probability of non-glomerular means nothing."
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class MakeConfig(SupervisedOptions):
    """What a user may choose; see `gloinone train classifier --help`."""

    learn: LearnConfig = field(default_factory=LearnConfig)
    backbone: str | None = None
    """None: that of the weights to start from."""
    linear: bool = False
    """The backbone stays as it is: linear evaluation of its features."""
    binary: bool = False
    """Normal against sclerosed alone."""
    rule: ClassRule | None = None
    """None: that of the model to start from."""


def make_classifier(parts: PatchSet, config: MakeConfig, say: Say) -> ModelCard:
    """Trains, and leaves weights.safetensors and card.json in ``config.out``.

    ``parts``: with ``config.binary`` as ``two_classes`` leaves them.
    """
    device = pick_device(config.device)
    if not len(parts.train):
        raise UsageError(
            "no crops to train on: with --binary, none is named normal or sclerosed; see --classes"
        )
    card = start_card(parts, config)
    torch.manual_seed(config.recipe.seed)
    network = build_network(card)
    start(network, network.backbone, config.init, "classifier")
    if config.linear:
        network.freeze_backbone()

    def judge(averaged: nn.Module) -> dict[str, float]:
        return validation_scores(
            logits_of(Classifier(averaged, card, device), parts.validation), parts.validation
        )

    task = classifier_task(parts, config.recipe, config.learn, device, judge, config.references)
    folded = folded_norms(network.backbone)
    trained = train(network, task, config.recipe, config.out, device, say, folded)
    logits = logits_of(Classifier(trained, card, device), parts.validation)
    if len(parts.validation):
        card = replace(card, temperature=fit_temperature(logits, parts.validation.labels))
    say(f"temperature {card.temperature:.2f}")
    classifier = Classifier(trained, card, device)
    rows = measure(logits, parts.validation, card, "validation patients (temperature fitted on them)")
    rows += measure(logits_of(classifier, parts.test), parts.test, card, "test patients")
    for row in rows:
        say(f"{row.on}: {row.what} {row.told}, n {row.n}")
    known = fit_features(*(slide_features(classifier, part) for part in (parts.train, parts.validation)))
    card = replace(card, measured=tuple(rows), feature_limit=known.limit if known else None)
    card = save_model(config.out, trained.state_dict(), card)
    if known:
        save_features(ModelPaths(config.out), known, card)
    tell_comparison(against_shipped(classifier, parts, device), config.out, say)
    return card


def two_classes(patches: Patches) -> Patches:
    """Those named normal or sclerosed, the kinds of sclerosis under that one name."""
    names = [SCLEROSED if label in SCLEROSED_KINDS else label for label in patches.labels]
    kept = np.array([i for i, name in enumerate(names) if name in (NORMAL, SCLEROSED)], np.intp)
    return replace(patches, labels=tuple(names)).take(kept)


def logits_of(classifier: Classifier, patches: Patches) -> NDArray[np.float64]:
    """(N, 5) of each patch."""
    return classifier.logits(detected_crops(patches, range(len(patches))))


def detected_crops(patches: Patches, numbers: Iterable[int]) -> list[Pixels]:
    """Of these patches, framed as if a detector had found each; the same every time."""
    return [cut_pixels(patches.pixels[i], as_detected(patches, i, CROP_PX), CROP_PX) for i in numbers]


def slide_features(classifier: Classifier, patches: Patches) -> list[NDArray[np.float64]]:
    """The first features of some patches of each slide."""
    return [
        classifier.logits_and_features(detected_crops(patches, own))[1] for own in some_of_each_slide(patches)
    ]


def validation_scores(logits: NDArray[np.float64], patches: Patches) -> dict[str, float]:
    """By which the best weights are kept, and what else is worth a curve."""
    fitted = softmax(logits, fit_temperature(logits, patches.labels))
    everything = np.arange(len(patches))
    values = {name: score_of_level(fitted, patches.labels, name, everything) for name in LEVELS}
    return {"likelihood": likelihood(fitted, patches.labels), **values}


def measure(logits: NDArray[np.float64], patches: Patches, card: ModelCard, on: str) -> list[Measured]:
    """Scores of all patches and of each source."""
    assert card.class_rule is not None
    rows = []
    for where, own in by_source(patches, on):
        labels, groups = [patches.labels[i] for i in own], [patches.groups[i] for i in own]
        found = softmax(logits[own], card.temperature)
        rows += measured_classes(found, labels, groups, card.class_rule, where)
    return rows


def against_shipped(retrained: Classifier, parts: PatchSet, device: torch.device) -> list[Compared]:
    """The scores COMPARED of shipped and retrained weights on held-out patients."""
    patches, on = parts.held_out
    found = shipped_model("classifier")
    if found is None or not len(patches):
        return []
    rows = []
    measures = [
        held_out_measures(classifier, patches) for classifier in (build_classifier(*found, device), retrained)
    ]
    for shipped, ours in zip(*measures, strict=True):
        own = shipped.items
        groups = [patches.groups[i] for i in own]
        scores = (lambda i, m=m, o=own: m.score(o[i]) for m in (shipped, ours))
        rows += compare(f"{ours.what}, {on}", groups, *scores)
    return rows


def held_out_measures(classifier: Classifier, patches: Patches) -> list[Measure]:
    """COMPARED of a classifier, as far as there are patches that tell."""
    found = softmax(logits_of(classifier, patches), classifier.card.temperature)
    assert classifier.card.class_rule is not None
    measures = class_measures(found, patches.labels, calls_of(found, classifier.card.class_rule))
    return [m for m in measures if m.what in COMPARED and len(m.items)]


def start_card(parts: PatchSet, config: MakeConfig) -> ModelCard:
    """Everything that is known before the training."""
    train_on = parts.train
    cells = [f"{source}: {label}" for source, label in zip(train_on.sources, train_on.labels, strict=True)]
    model, recipe = starting_card(config.init, "classifier"), config.recipe
    rule = config.rule or (model.class_rule if model else None) or CAUTIOUS_RULE
    kind = " --linear" * config.linear + " --binary" * config.binary
    backbone = config.backbone or (
        model.architecture.name if model else backbone_name(config.init, "classifier")
    )
    combination = (model.score_combination if model else None) or CAUTIOUS_COMBINATION
    return ModelCard(
        name=config.out.resolve().name,
        task="classifier",
        architecture=Architecture(backbone),
        edge_px=config.learn.edge_px,
        mean=MEAN,
        std=STD,
        labels=CLASSES,
        licence=config.licence,
        training_data=tuple(f"{cell} {cells.count(cell)}" for cell in sorted(set(cells))),
        split=parts.split,
        created_by=(
            f"gloinone {__version__} train classifier{kind}, {recipe.steps} steps of {recipe.batch}, "
            f"seed {recipe.seed}, from {model.identity if model else config.init}"
        ),
        context_um=CONTEXT_UM,
        score_combination="detector" if config.binary else combination,
        class_rule=rule,
        temperature=model.temperature if model else 1.0,
        norm_prior=model.norm_prior if model else NORM_PRIOR,
        subtype_validated=False,
        not_validated=(*NOT_VALIDATED, BINARY) if config.binary else NOT_VALIDATED,
    )
