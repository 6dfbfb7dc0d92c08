"""The three networks of a run: known by their cards at once, built and filled when the first slide needs them."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from gloinone.detection.views import AS_IT_IS, TTA_VIEWS
from gloinone.detection.voting import VoteConfig, common_threshold
from gloinone.errors import UsageError, WeightsError
from gloinone.labels import SCORE_COMBINATIONS, ClassRule
from gloinone.levelling import Level
from gloinone.pipeline.run_slide import Begun, Classify, Stages
from gloinone.pipeline.state import Json
from gloinone.slide.reader import Slide
from gloinone.weights.card import ModelCard, Task, read_card
from gloinone.weights.features import KnownFeatures, load_features
from gloinone.weights.store import ModelPaths, find_model, load_state, model_dirs

if TYPE_CHECKING:
    import torch

    from gloinone.classification.predict import Classifier

SECOND_STAGE: tuple[Task, ...] = ("classifier", "segmenter")
REPORTED = ("name", "sha256", "licence", "training_data", "split", "measured", "not_validated")
"""What run.json and the report say of each model."""


@dataclass(frozen=True)
class StagesConfig:
    """Which models, where, and what of their cards the user overrides."""

    detectors: tuple[str, ...] = ("detector",)
    """Names, or folders; of several, circles that enough of them find are kept."""
    classifier: str = "classifier"
    segmenter: str = "segmenter"
    models: tuple[Path, ...] = ()
    """Folders searched before those that ship."""
    device: str = "auto"
    min_score: float | None = None
    """Circles below this are not kept; 0..1. None: the threshold on the detector's card, of several their mean."""
    keep_nonglomerular: bool = False
    tta: bool = False
    """Whether each detector also looks at turned and mirrored tiles, each view with a vote of its own."""
    min_votes: int | None = None
    """How many detectors or views must find a circle; None: the usual number."""

    def __post_init__(self) -> None:
        if self.min_votes is not None and not 1 <= self.min_votes <= self.voters:
            raise UsageError(
                f"--min-votes {self.min_votes}: there are {self.voters} votes; pass 1 to {self.voters}"
            )
        if self.min_score is not None and not 0 <= self.min_score <= 1:
            raise UsageError(f"--min-score {self.min_score:g}: a score lies in 0 to 1, e.g. --min-score 0.3")

    @property
    def voters(self) -> int:
        """Detectors, each as often as it has views."""
        return len(self.detectors) * (len(TTA_VIEWS) if self.tta else 1)


@dataclass
class Networks:
    """The method as a run sees it; nothing is loaded before `load`."""

    config: StagesConfig
    device: str = field(default="", init=False)
    """Where the networks run; empty until they are loaded."""

    @cached_property
    def detectors(self) -> tuple[tuple[ModelPaths, ModelCard], ...]:
        """Where each detector lies, and its card, by identity: the order in which they were named is nothing.

        Raises WeightsError for one that is not there.
        """
        dirs = model_dirs(self.config.models)
        found = [find_model(name, "detector", dirs) for name in self.config.detectors]
        pairs = sorted(((p, read_card(p.card)) for p in found), key=lambda pair: pair[1].identity)
        if len({card.sha256 for _, card in pairs}) < len(pairs):
            names = ", ".join(card.identity for _, card in pairs)
            raise UsageError(f"--detector: {names}: the same weights twice; each has one vote")
        return tuple(pairs)

    @cached_property
    def paths(self) -> dict[Task, ModelPaths]:
        """Where each model lies, of several detectors the first. Raises WeightsError for one that is not there."""
        dirs = model_dirs(self.config.models)
        paths: dict[Task, ModelPaths] = {"detector": self.detectors[0][0]}
        return paths | {task: find_model(getattr(self.config, task), task, dirs) for task in SECOND_STAGE}

    @cached_property
    def model_cards(self) -> dict[Task, ModelCard]:
        """By task, of several detectors the first."""
        return {task: read_card(paths.card) for task, paths in self.paths.items()}

    @property
    def models(self) -> Mapping[str, str]:
        """detector, classifier, segmenter: name@first 12 of sha256, several detectors joined by +."""
        models = {str(task): card.identity for task, card in self.model_cards.items()}
        models["detector"] = " + ".join(card.identity for _, card in self.detectors)
        return models

    @property
    def cards(self) -> Mapping[str, Mapping[str, object]]:
        """What is reported of each model; further detectors are counted from 2."""
        cards = {str(task): card for task, card in self.model_cards.items()}
        cards |= {f"detector {n}": card for n, (_, card) in enumerate(self.detectors[1:], start=2)}
        return {task: {name: asdict(card)[name] for name in REPORTED} for task, card in cards.items()}

    @property
    def settings(self) -> Mapping[str, Json]:
        """What changes results; the device's kind too, since its arithmetic does."""
        return {
            "min_score": self.min_score,
            "keep_nonglomerular": self.config.keep_nonglomerular,
            "device": self.config.device.partition(":")[0],
            "model_cards": self._cards_print,
            **self._voting,
        }

    @property
    def _cards_print(self) -> str:
        """Changes with every number on a card that changes results: a user may edit one, the weights stay the same."""
        cards = [*(card for _, card in self.detectors), *(self.model_cards[task] for task in SECOND_STAGE)]
        return hashlib.sha256(json.dumps([card.used for card in cards]).encode()).hexdigest()[:12]

    @property
    def _voting(self) -> Mapping[str, Json]:
        """What was chosen of several votes; nothing with one."""
        if self.config.voters == 1:
            return {}
        return {"tta": self.config.tta, "min_votes": self.config.min_votes}

    @property
    def thresholds(self) -> tuple[float, ...]:
        """On the card of each detector. Raises WeightsError where there is none."""
        thresholds = []
        for _, card in self.detectors:
            if card.threshold is None:
                raise WeightsError(f"card {card.name}: a detector's card states threshold; it does not")
            thresholds.append(card.threshold)
        return tuple(thresholds)

    @property
    def min_score(self) -> float:
        """The user's, else the detector card's; of several the one that their scores are brought to."""
        return common_threshold(self.thresholds) if self.config.min_score is None else self.config.min_score

    @property
    def level(self) -> Level | None:
        """What the detector's scores usually are; None with several voters, whose mean is lower than each."""
        card = self.detectors[0][1]
        if self.config.voters > 1 or card.threshold is None or card.kept_log_odds is None:
            return None
        return Level(card.threshold, card.kept_log_odds)

    def load(self) -> Callable[[Slide], Begun]:
        """Build and fill the networks on the device. Raises WeightsError, or UsageError for the device."""
        stages, self.device = load_stages(self)
        return lambda slide: Begun(slide, stages)


def load_stages(networks: Networks) -> tuple[Stages, str]:
    """The stages, and the device they run on."""
    from gloinone.classification.build import build_classifier
    from gloinone.detection.build import build_detector
    from gloinone.detection.ensemble import Ensemble
    from gloinone.learning.device import (
        describe_device,
        keep_freed_memory,
        pick_device,
        use_available_threads,
    )
    from gloinone.segmentation.build import build_segmenter

    device = pick_device(networks.config.device)
    use_available_threads()
    keep_freed_memory()
    cards = networks.model_cards
    rule, combination = decision_of(cards["classifier"])

    def state(task: Task) -> "dict[str, torch.Tensor]":
        return load_state(networks.paths[task], cards[task])

    config = networks.config
    views = TTA_VIEWS if config.tta else (AS_IT_IS,)
    detectors = [build_detector(card, load_state(p, card), device, views) for p, card in networks.detectors]
    votes = VoteConfig() if config.min_votes is None else VoteConfig(min_votes=config.min_votes)
    classifier = build_classifier(cards["classifier"], state("classifier"), device)
    segmenter = build_segmenter(cards["segmenter"], state("segmenter"), device)
    known = load_features(networks.paths["classifier"], cards["classifier"])
    ensemble = Ensemble(detectors, networks.thresholds, votes)
    stages = Stages(
        read=ensemble.read,
        detect=ensemble.detect,
        classify=_asked(classifier, known),
        adapt=lambda surest: _asked(classifier.adapted(surest), known),
        unlike=known.unlikeness if known else None,
        segment=segmenter.segment,
        rule=rule,
        score_combination=combination,
        min_score=networks.min_score,
        keep_nonglomerular=config.keep_nonglomerular,
        voters=config.voters,
        level=networks.level,
        subtype_validated=cards["classifier"].subtype_validated,
    )
    return stages, describe_device(device)


def _asked(classifier: "Classifier", known: KnownFeatures | None) -> Classify:
    """With its features where there is something to compare them with."""
    return classifier.with_features if known else classifier.classify


def decision_of(card: ModelCard) -> tuple[ClassRule, str]:
    """How a classifier's probabilities become a class and a score. Raises WeightsError where its card is silent."""
    if card.class_rule is None or card.score_combination not in SCORE_COMBINATIONS:
        raise WeightsError(
            f"card {card.name}: a classifier's card states class_rule and score_combination "
            f"({', '.join(SCORE_COMBINATIONS)})"
        )
    return card.class_rule, card.score_combination
