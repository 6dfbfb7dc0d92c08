"""A slide and the networks that work on it: what every benchmark starts from."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

from gloinone.cli.inspect import resolution_of, the_slide
from gloinone.detection.build import build_detector
from gloinone.detection.predict import Detector
from gloinone.learning.device import pick_device
from gloinone.pipeline.run_slide import Begun, Stages
from gloinone.pipeline.stages import Networks, StagesConfig, load_stages
from gloinone.slide.discover import SlidePath
from gloinone.slide.reader import Slide, open_slide
from gloinone.slide.resolution import Resolution
from gloinone.weights.store import load_state


@dataclass
class Loaded(Networks):
    """Loaded once, for any number of runs."""

    stages: Stages | None = field(default=None, init=False)

    def load(self) -> Callable[[Slide], Begun]:
        """What was loaded already."""
        assert self.stages is not None
        return partial(Begun, stages=self.stages)


@dataclass(frozen=True)
class Subject:
    """The slide and what works on it."""

    slide: SlidePath
    resolution: Resolution
    networks: Loaded
    stages: Stages
    detector: Detector

    def open(self) -> Slide:
        """The caller closes it."""
        return open_slide(self.slide.path, self.slide.name, self.resolution)


def subject_of(given: argparse.Namespace) -> Subject:
    """The slide found, the networks loaded."""
    found = the_slide(given.slide)
    resolution = resolution_of(given.slide, found, given.mpp, given.mpp_csv)
    networks = Loaded(StagesConfig(device=given.device, models=tuple(given.models)))
    stages, networks.device = load_stages(networks)
    (paths, card), *_ = networks.detectors
    state = load_state(paths, card)
    detector = build_detector(card, state, pick_device(given.device))
    networks.stages = replace(stages, read=detector.read, detect=detector.detect)
    return Subject(found, resolution, networks, networks.stages, detector)
