"""How well a trained segmenter outlines patches that it never saw."""

from pathlib import Path

import numpy as np

from gloinone.learning.answers import Answers, Measure
from gloinone.learning.device import pick_device
from gloinone.learning.patches import Patches
from gloinone.segmentation.build import build_segmenter
from gloinone.segmentation.scores import dice_of_patches
from gloinone.weights.card import read_card
from gloinone.weights.store import ModelPaths, load_state


def outline_answers(folder: Path, patches: Patches, device: str) -> Answers:
    """Dice (1, 1) of the model in a folder, as it ships."""
    card = read_card(ModelPaths(folder).card)
    segmenter = build_segmenter(card, load_state(ModelPaths(folder), card), pick_device(device))
    dice = dice_of_patches(segmenter, patches).reshape(-1, 1, 1)
    return Answers(patches.groups, patches.labels, {"dice": tuple(dice)})


def measures_of(answers: Answers) -> list[Measure]:
    """Mean Dice."""
    dice = np.concatenate(answers.tables["dice"])[:, 0]
    return [Measure("mean Dice per glomerulus", np.arange(len(dice)), lambda i: float(dice[i].mean()))]
