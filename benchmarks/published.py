"""The published pipeline's schedule with our weights: what a slide costs when it is done as it was then.

Every tile of the slide, tissue or glass, half overlapping; each written as PNG and read again; batch 1, float32; one
stage after the other, each of which loads its network. The resolution is that of our detector.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gloinone.classification.build import build_classifier
from gloinone.detection.build import build_detector
from gloinone.detection.circlenet import CircleMaps
from gloinone.detection.decode import decode
from gloinone.learning.batches import stack_padded
from gloinone.learning.device import pick_device
from gloinone.learning.fit import fit_picture
from gloinone.pipeline.stages import Networks
from gloinone.records import Pixels, Window
from gloinone.segmentation.build import build_segmenter
from gloinone.slide.crops import crop_window
from gloinone.slide.reader import Slide
from gloinone.weights.card import Task
from gloinone.weights.store import load_state

EDGE_PX = 512
"""Of a tile of the published detector."""


@dataclass(frozen=True)
class PublishedCost:
    """Of one slide."""

    n_tiles: int
    n_measured: int
    """Tiles that were really done, evenly spread; the time of the detector is scaled to all."""
    seconds: float
    """All three stages."""


def published_tiles(slide: Slide, mpp: float) -> list[Window]:
    """All tiles of the slide, level-0 px, row by row."""
    edge = EDGE_PX * mpp / slide.info.mpp
    across = np.arange(0, max(1.0, slide.info.width - edge / 2), edge / 2)
    down = np.arange(0, max(1.0, slide.info.height - edge / 2), edge / 2)
    return [Window(float(x), float(y), edge, edge, EDGE_PX, EDGE_PX) for y in down for x in across]


def published_cost(
    slide: Slide,
    networks: Networks,
    circles: NDArray[np.float64],
    kept: NDArray[np.float64],
    most_tiles: int,
) -> PublishedCost:
    """``circles``, ``kept``: (N, 3 or more) what is classified and what of it is segmented."""
    device = pick_device(networks.config.device)
    cards = networks.model_cards
    mpp = cards["detector"].mpp
    assert mpp is not None
    tiles = published_tiles(slide, mpp)
    chosen = [tiles[i] for i in np.unique(np.linspace(0, len(tiles) - 1, most_tiles).round().astype(int))]

    def state(task: Task) -> dict[str, Tensor]:
        return load_state(networks.paths[task], cards[task])

    start = time.monotonic()
    detector = build_detector(cards["detector"], state("detector"), device)
    loading = time.monotonic() - start
    start = time.monotonic()
    for picture in _through_png(slide, chosen):
        decode(CircleMaps(*_answer(detector.network, picture, device))).cpu()
    detecting = (time.monotonic() - start) * len(tiles) / len(chosen)

    start = time.monotonic()
    classifier = build_classifier(cards["classifier"], state("classifier"), device)
    for picture in _through_png(slide, _crops(slide, circles)):
        card = classifier.card
        _answer(classifier.network, fit_picture(picture, card.edge_px, card.channels), device).cpu()
    segmenter = build_segmenter(cards["segmenter"], state("segmenter"), device)
    for picture in _through_png(slide, _crops(slide, kept)):
        card = segmenter.card
        _answer(segmenter.network, fit_picture(picture, card.edge_px, card.channels), device).cpu()
    later = time.monotonic() - start
    return PublishedCost(len(tiles), len(chosen), loading + detecting + later)


def _crops(slide: Slide, circles: NDArray[np.float64]) -> list[Window]:
    return [crop_window(float(c[0]), float(c[1]), float(c[2]), slide.info.mpp) for c in circles]


def _through_png(slide: Slide, windows: Sequence[Window]) -> Iterator[Pixels]:
    """As the stages hand pictures to each other: all files first, then one at a time."""
    with TemporaryDirectory() as folder:
        files = [Path(folder) / f"{i}.png" for i in range(len(windows))]
        for file, w in zip(files, windows, strict=True):
            read = slide.read_window(w.x, w.y, w.width, w.height, w.width_px, w.height_px)
            cv2.imwrite(str(file), read.pixels)
        for file in files:
            yield np.asarray(cv2.imread(str(file)), np.uint8)


@torch.inference_mode()
def _answer(network: nn.Module, picture: Pixels, device: torch.device) -> Tensor:
    """Of a batch of one, in float32."""
    answer: Tensor = network(torch.from_numpy(stack_padded([picture], 1)).to(device))
    return answer
