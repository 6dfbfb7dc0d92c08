"""Each step of a job on its own: what the whole job is measured against."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.subject import Subject
from gloinone.detection.predict import PlacedTile
from gloinone.pipeline.run_slide import CLASSIFIED_AT_ONCE, Stages
from gloinone.records import Crop, Detection, SlideResult
from gloinone.slide.crops import read_crops
from gloinone.slide.reader import Slide
from gloinone.slide.sampling import choose_level
from gloinone.slide.stream import TileStream
from gloinone.slide.tiles import TilePlan

T = TypeVar("T")

MOST_HELD_PX = 60_000_000
"""Network pixels held to time the detector alone: 180 MB. Of a larger slide, tiles evenly spread."""
READERS = 2


@dataclass(frozen=True)
class Alone:
    """Seconds of each step on its own, for all that was planned, and its rates."""

    decode: float
    level_px: float
    """Decoded, of the pyramid level."""
    detect: float
    crops: float
    classify: float
    segment: float
    n_classified: int
    n_segmented: int


def median_of(repeat: int, action: Callable[[], T]) -> tuple[float, T]:
    """Seconds, and the last answer."""
    seconds = []
    for _ in range(repeat):
        start = time.monotonic()
        answer = action()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        seconds.append(time.monotonic() - start)
    return statistics.median(seconds), answer


def classify(stages: Stages, crops: Sequence[Crop]) -> NDArray[np.float64]:
    """As a run does: adapted to the slide where the card asks for it."""
    ask = stages.adapt(crops[:CLASSIFIED_AT_ONCE]) if stages.adapt else stages.classify
    return ask(crops)


def measure_alone(subject: Subject, slide: Slide, plan: TilePlan, result: SlideResult, repeat: int) -> Alone:
    """Each step of the job with nothing beside it."""
    config = subject.detector.config
    queue = READERS + 2 * subject.detector.batch_size

    def decode() -> None:
        with slide.reopen() as fresh:  # whose cache is empty
            for _ in TileStream(fresh, plan, READERS, queue):
                pass

    decoding, _ = median_of(repeat, decode)
    step = max(1, -(-plan.network_px // MOST_HELD_PX))
    some = replace(plan, tiles=plan.tiles[::step])
    tiles = [
        PlacedTile(read.pixels, read.window, read.tile.core)
        for read in TileStream(slide, some, READERS, queue)
        if read.pixels is not None
    ]
    detecting, _ = median_of(repeat, lambda: subject.detector.circles_of(tiles))
    circles = circles_of([c.detection for c in result.candidates])
    reading, crops = median_of(repeat, lambda: read_crops(slide, circles, READERS))
    known = [crop for crop in crops if crop is not None]
    classifying, _ = median_of(repeat, lambda: classify(subject.stages, known))
    kept = {id(glomerulus.candidate) for glomerulus in result.glomeruli}
    pairs = [
        (crop, c.detection)
        for crop, c in zip(crops, result.candidates, strict=True)
        if crop is not None and id(c) in kept
    ]
    size = (slide.info.width, slide.info.height)
    segmenting, _ = median_of(
        repeat, lambda: subject.stages.segment([crop for crop, _ in pairs], [d for _, d in pairs], size)
    )
    return Alone(
        decode=decoding,
        level_px=_level_area(slide, config.mpp, sum(t.window.width * t.window.height for t in plan.tiles)),
        detect=detecting * plan.network_px / max(1, some.network_px),
        crops=reading,
        classify=classifying,
        segment=segmenting,
        n_classified=len(known),
        n_segmented=len(pairs),
    )


def _level_area(slide: Slide, mpp: float, area_l0: float) -> float:
    """Level-0 px as pixels of the level that the detector's tiles are read from."""
    level = slide.levels[choose_level(slide.levels, mpp / slide.info.mpp)]
    return float(area_l0 / level.downsample**2)


def joined(decode: float, networks: float, on_gpu: bool) -> float:
    """Time of both: on a processor they share the cores, beside a GPU the slower one decides."""
    return max(decode, networks) if on_gpu else decode + networks


def circles_of(detections: Sequence[Detection]) -> NDArray[np.float64]:
    """(N, 3) cx, cy, radius, level-0 px."""
    return np.array([[d.cx, d.cy, d.radius] for d in detections], np.float64).reshape(-1, 3)
