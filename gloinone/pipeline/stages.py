"""The three networks of a run: known by their cards at once, built and filled when the first slide needs them."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from gloinone.errors import UsageError, WeightsError
from gloinone.labels import SCORE_COMBINATIONS
from gloinone.pipeline.run_slide import Begun, Stages
from gloinone.pipeline.state import Json
from gloinone.slide.reader import Slide
from gloinone.weights.card import ModelCard, Task, read_card
from gloinone.weights.store import ModelPaths, find_model, load_state, model_dirs

if TYPE_CHECKING:
    import torch

TASKS: tuple[Task, ...] = ("detector", "classifier", "segmenter")
REPORTED = ("name", "sha256", "licence", "training_data", "split", "measured", "not_validated")
"""What run.json and the report say of each model."""


@dataclass(frozen=True)
class StagesConfig:
    """Which models, where, and what of their cards the user overrides."""

    detector: str = "detector"
    """A name, or a folder."""
    classifier: str = "classifier"
    segmenter: str = "segmenter"
    models: tuple[Path, ...] = ()
    """Folders searched before those that ship."""
    device: str = "auto"
    min_score: float | None = None
    """Circles below this are not kept; 0..1. None: the threshold on the detector's card."""
    keep_nonglomerular: bool = False

    def __post_init__(self) -> None:
        if self.min_score is not None and not 0 <= self.min_score <= 1:
            raise UsageError(f"--min-score {self.min_score:g}: a score lies in 0 to 1, e.g. --min-score 0.3")


@dataclass
class Networks:
    """The method as a run sees it; nothing is loaded before `load`."""

    config: StagesConfig
    device: str = field(default="", init=False)
    """Where the networks run; empty until they are loaded."""

    @cached_property
    def paths(self) -> dict[Task, ModelPaths]:
        """Where each model lies. Raises WeightsError for one that is not there."""
        dirs = model_dirs(self.config.models)
        return {task: find_model(getattr(self.config, task), task, dirs) for task in TASKS}

    @cached_property
    def model_cards(self) -> dict[Task, ModelCard]:
        """By task."""
        return {task: read_card(paths.card) for task, paths in self.paths.items()}

    @property
    def models(self) -> Mapping[str, str]:
        """detector, classifier, segmenter: name@first 12 of sha256."""
        return {task: card.identity for task, card in self.model_cards.items()}

    @property
    def cards(self) -> Mapping[str, Mapping[str, object]]:
        """What is reported of each model."""
        return {
            task: {name: asdict(card)[name] for name in REPORTED} for task, card in self.model_cards.items()
        }

    @property
    def settings(self) -> Mapping[str, Json]:
        """What changes results; the device's kind too, since its arithmetic does."""
        return {
            "min_score": self.min_score,
            "keep_nonglomerular": self.config.keep_nonglomerular,
            "device": self.config.device.partition(":")[0],
        }

    @property
    def min_score(self) -> float:
        """The user's, else the detector card's."""
        if self.config.min_score is not None:
            return self.config.min_score
        threshold = self.model_cards["detector"].threshold
        if threshold is None:
            raise WeightsError("the detector's card states no threshold; pass --min-score, e.g. 0.3")
        return threshold

    def load(self) -> Callable[[Slide], Begun]:
        """Build and fill the networks on the device. Raises WeightsError, or UsageError for the device."""
        stages, self.device = load_stages(self)
        return lambda slide: Begun(slide, stages)


def load_stages(networks: Networks) -> tuple[Stages, str]:
    """The stages, and the device they run on."""
    from gloinone.classification.build import build_classifier
    from gloinone.detection.build import build_detector
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
    rule, combination = cards["classifier"].class_rule, cards["classifier"].score_combination
    if rule is None or combination not in SCORE_COMBINATIONS:
        raise WeightsError(
            f"card {cards['classifier'].name}: a classifier's card states class_rule and score_combination "
            f"({', '.join(SCORE_COMBINATIONS)})"
        )

    def state(task: Task) -> "dict[str, torch.Tensor]":
        return load_state(networks.paths[task], cards[task])

    detector = build_detector(cards["detector"], state("detector"), device)
    classifier = build_classifier(cards["classifier"], state("classifier"), device)
    segmenter = build_segmenter(cards["segmenter"], state("segmenter"), device)
    stages = Stages(
        read=detector.read,
        detect=detector.detect,
        classify=classifier.classify,
        segment=segmenter.segment,
        rule=rule,
        score_combination=combination,
        min_score=networks.min_score,
        keep_nonglomerular=networks.config.keep_nonglomerular,
        subtype_validated=cards["classifier"].subtype_validated,
    )
    return stages, describe_device(device)
