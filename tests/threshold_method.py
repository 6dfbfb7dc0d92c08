"""A method without networks that obeys --min-score and --keep-nonglomerular; its numbers have every digit."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from folder_fakes import config_for, tree
from numpy.typing import NDArray

from gloinone.labels import ClassRule
from gloinone.pipeline.run_folder import Outcome, run_folder
from gloinone.pipeline.run_slide import Begun, Stages
from gloinone.pipeline.save import SaveOptions
from gloinone.pipeline.state import Json
from gloinone.records import Crop, Detection, Outline, Overview
from gloinone.segmentation.outline import OutlineConfig, make_outline
from gloinone.slide.reader import Slide

FIRST = 0.3
"""Threshold of the first run."""
CIRCLES = 14


@dataclass(frozen=True)
class Found:
    """What the detector says."""

    circles: NDArray[np.float64]
    unread: tuple[tuple[float, float, float, float], ...] = ()


@dataclass(frozen=True)
class Reading:
    """No tile is read."""

    slide: Slide
    overview: Overview

    def close(self) -> None:
        """Nothing to close."""


@dataclass
class ThresholdMethod:
    """Circles, classes and outlines follow from a slide's name."""

    min_score: float = FIRST
    keep_nonglomerular: bool = False
    voters: int = 1
    seen: list[str] = field(default_factory=list)
    models: dict[str, str] = field(default_factory=lambda: {"detector": "fake@0123456789ab"})
    cards: dict[str, dict[str, object]] = field(default_factory=dict)
    device: str = "cpu"

    @property
    def settings(self) -> dict[str, Json]:
        return {"min_score": self.min_score, "keep_nonglomerular": self.keep_nonglomerular, "device": "cpu"}

    def load(self) -> Callable[[Slide], Begun]:
        stages = Stages(
            Reading,
            partial(_detect, self.voters),
            _classify,
            _segment,
            ClassRule(),
            "product",
            self.min_score,
            self.keep_nonglomerular,
            voters=self.voters,
        )

        def job(slide: Slide) -> Begun:
            self.seen.append(slide.info.name)
            return Begun(slide, stages)

        return job


def run_at(
    source: Path, out: Path, method: ThresholdMethod | None = None, save: SaveOptions | None = None
) -> Outcome:
    """A run with these options."""
    return run_folder(config_for(source, out, save=save or SaveOptions()), method or ThresholdMethod())


def comparable(out: Path) -> dict[str, bytes]:
    """What a run and an export have in common: crops that are kept for later, and what knows of them, aside."""
    files = {}
    for name, data in tree(out).items():
        if "/crops/circle-" in name or name == "runs/export.json":
            continue
        if name.endswith("result.json"):
            data = json.dumps({**json.loads(data), "outlines": None}).encode()
        if name.endswith("state.json"):
            state = json.loads(data)
            outputs = [path for path in state["outputs"] if "crops/circle-" not in path]
            data = json.dumps({**state, "outputs": outputs}).encode()
        files[name] = data
    return files


def _detect(voters: int, reading: Reading, on_tile: Callable[[int, int], None]) -> Found:
    random = np.random.default_rng(len(reading.slide.info.name))
    place = random.uniform(5, 500, (CIRCLES, 2))  # some are cut by the border of the slide
    columns = [place, random.uniform(15, 40, CIRCLES), random.uniform(0.1, 1, CIRCLES)]
    return Found(np.column_stack([*columns, 1 + np.arange(CIRCLES) % voters]))


def _classify(crops: Sequence[Crop]) -> NDArray[np.float64]:
    rows = []
    for crop in crops:
        weights = np.random.default_rng(int(crop.window.x * 1000) % 2**31).exponential(size=5)
        rows.append(weights / weights.sum())
    return np.array(rows)


def _segment(crops: Sequence[Crop], detections: Sequence[Detection], size: tuple[int, int]) -> list[Outline]:
    outlines = []
    for crop, d in zip(crops, detections, strict=True):
        window = crop.window
        y, x = np.mgrid[: window.height_px, : window.width_px] + 0.5
        middle = window.image_from_l0(np.array([[d.cx, d.cy]]))[0]
        angle = np.arctan2(y - middle[1], x - middle[0])
        radius_px = d.radius / window.downsample * (1 + 0.15 * np.sin(3 * angle + d.cx))
        faint = 0.4 if int(d.cx) % 7 == 0 else 1.0  # nothing is left of a few
        away = np.hypot(x - middle[0], y - middle[1]) - radius_px
        probability = (faint / (1 + np.exp(np.clip(away, -30, 30)))).astype(np.float32)
        outlines.append(make_outline(probability, window, d, OutlineConfig(), size))
    return outlines
