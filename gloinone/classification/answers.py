"""What a trained classifier says of patches that it never saw, and how that is scored."""

from pathlib import Path

import numpy as np

from gloinone.classification.build import build_classifier
from gloinone.classification.make import logits_of
from gloinone.classification.scores import calls_of, class_measures, softmax
from gloinone.learning.answers import Answers, Measure
from gloinone.learning.device import pick_device
from gloinone.learning.patches import Patches
from gloinone.weights.card import read_card
from gloinone.weights.store import ModelPaths, load_state


def class_answers(folder: Path, patches: Patches, device: str) -> Answers:
    """Of the model in a folder, as it ships: probabilities (1, 5), and calls (1, 2) by its own rule."""
    card = read_card(ModelPaths(folder).card)
    assert card.class_rule is not None
    classifier = build_classifier(card, load_state(ModelPaths(folder), card), pick_device(device))
    found = softmax(logits_of(classifier, patches), card.temperature)
    calls = calls_of(found, card.class_rule).astype(np.float64)
    tables = {"probabilities": tuple(found[:, None]), "calls": tuple(calls[:, None])}
    return Answers(patches.groups, patches.labels, tables)


def measures_of(answers: Answers) -> list[Measure]:
    """AUC, balanced accuracy and calibration."""
    found, calls = (np.concatenate(answers.tables[name]) for name in ("probabilities", "calls"))
    return class_measures(found, answers.labels, calls > 0)
