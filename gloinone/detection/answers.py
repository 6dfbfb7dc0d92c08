"""What a trained detector finds on slides that it never saw, and how that is scored."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from gloinone.detection.build import build_detector
from gloinone.detection.cases import Case
from gloinone.detection.make import START_FLOOR
from gloinone.detection.validate import predict_case
from gloinone.learning.answers import Answers, Measure
from gloinone.learning.device import pick_device
from gloinone.metrics import CircleImage, at_threshold, average_precision, mean_average_precision
from gloinone.weights.card import read_card
from gloinone.weights.store import ModelPaths, load_state


def circle_answers(folder: Path, cases: Sequence[Case], device: str) -> Answers:
    """Of the model in a folder, as it ships: circles and truth, px of each case's picture.

    Tables: found (n, 4), true (n, 3), ignored (n, 3), and facts (1, 2): the model's threshold, and whether precision
    can be told.
    """
    card = read_card(ModelPaths(folder).card)
    detector = build_detector(card, load_state(ModelPaths(folder), card), pick_device(device))
    # A higher floor would end the curve early, and one that differs from slide to slide is for runs
    detector.config = replace(detector.config, floor=START_FLOOR, deepest_floor=None)
    images = [predict_case(case, detector) for case in cases]
    facts = [np.array([[card.threshold, not case.is_partial]], np.float64) for case in cases]
    tables = {
        "found": tuple(image.predicted for image in images),
        "true": tuple(image.truth for image in images),
        "ignored": tuple(image.ignored for image in images),
        "facts": tuple(facts),
    }
    return Answers(tuple(case.patient for case in cases), ("",) * len(cases), tables)


def measures_of(answers: Answers) -> list[Measure]:
    """AP where the truth is complete; recall and precision at the threshold that each model chose for itself."""
    names = ("found", "true", "ignored")
    images = [CircleImage(*circles) for circles in zip(*(answers.tables[n] for n in names), strict=True)]
    facts = np.concatenate(answers.tables["facts"])
    kept = [
        replace(image, predicted=image.predicted[image.predicted[:, 3] >= threshold])
        for image, threshold in zip(images, facts[:, 0], strict=True)
    ]
    everything, complete = np.arange(len(images)), np.flatnonzero(facts[:, 1])

    def measure(
        what: str,
        items: np.ndarray[tuple[int], np.dtype[np.intp]],
        of: list[CircleImage],
        score: Callable[[list[CircleImage]], float],
    ) -> Measure:
        return Measure(what, items, lambda numbers: score([of[i] for i in numbers]))

    return [
        measure("AP50", complete, images, average_precision),
        measure("AP .50:.90", complete, images, mean_average_precision),
        measure("recall at its threshold", everything, kept, lambda of: at_threshold(of, 0).recall),
        measure("precision at its threshold", complete, kept, lambda of: at_threshold(of, 0).precision),
    ]
