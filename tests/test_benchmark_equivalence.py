"""The fast path finds what plain arithmetic finds; and the comparison sees it when it does not."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.equivalence import compare, plain_arithmetic
from gloinone.drawn.write import write_tiff
from gloinone.geometry import circle_ring, ring_mask
from gloinone.labels import NORMAL, OBSOLESCENT
from gloinone.learning.device import precision_of
from gloinone.pipeline.run_slide import Begun
from gloinone.pipeline.stages import Networks, StagesConfig
from gloinone.records import (
    Candidate,
    Detection,
    Glomerulus,
    Outline,
    Overview,
    SlideInfo,
    SlideResult,
    Window,
)
from gloinone.slide.reader import open_slide
from gloinone.slide.resolution import Resolution

PLACE_PX = (5600, 3600, 2600, 1900)
"""x, y, width, height of the region of pas-b that is compared."""
MPP = 0.65


def _glomerulus(x: float, radius: float = 100.0, score: float = 0.8, label: str = NORMAL) -> Glomerulus:
    window = Window(x - 150, 850, 300, 300, 64, 64)
    ring = circle_ring(x, 1000.0, radius)
    detection = Detection(x, 1000.0, radius, score)
    candidate = Candidate(detection, (0.9, 0.1, 0.0, 0.0, 0.0), score, label, window)
    mask = ring_mask(window.image_from_l0(ring), 64, 64)
    crop = np.zeros((64, 64, 3), np.uint8)
    outline = Outline(ring, "mask", False, mask, window)
    return Glomerulus(1, candidate, outline, crop, 1.0, 1.0, 1.0, 1.0, False)


def _result(*glomeruli: Glomerulus) -> SlideResult:
    overview = Overview(Window(0, 0, 80, 80, 8, 8), np.zeros((8, 8, 3), np.uint8), np.ones((8, 8), np.bool_))
    info = SlideInfo("a.tif", 80, 80, 0.5, "file", "x", (1.0,), None)
    return SlideResult(info, overview, 1.0, 1.0, tuple(g.candidate for g in glomeruli), glomeruli)


def test_what_differs_is_seen() -> None:
    base = [_glomerulus(1000.0 * i) for i in range(1, 5)]
    same = compare(_result(*base), _result(*base))
    assert (same.circles, same.classes, same.dice, same.n) == (1.0, 1.0, 1.0, 4)
    other_class = _glomerulus(2000.0, label=OBSOLESCENT)
    found = compare(_result(*base), _result(base[0], other_class, *base[2:]))
    assert (found.circles, found.classes) == (1.0, 0.75)
    for changed in (_glomerulus(2000.0, score=0.77), _glomerulus(2000.0, radius=80), _glomerulus(2030.0)):
        found = compare(_result(*base), _result(base[0], changed, *base[2:]))
        assert (found.circles, found.n) == (0.6, 5), "three partners, and one on either side without"
    assert compare(_result(*base), _result()).circles == 0
    assert compare(_result(), _result()).circles == 1
    smaller = replace(base[0], outline=_glomerulus(1000.0, radius=50).outline)
    assert compare(_result(base[0]), _result(smaller)).dice == pytest.approx(0.4, abs=0.01)


def test_plain_arithmetic_is_float32_and_ends_with_its_block() -> None:
    before = precision_of(torch.device("cpu"))
    with plain_arithmetic():
        assert precision_of(torch.device("cpu")) == torch.float32
    assert precision_of(torch.device("cpu")) == before


@pytest.mark.shared
@pytest.mark.slow
def test_the_fast_path_finds_what_plain_arithmetic_finds(shared_data: Path, tmp_path: Path) -> None:
    x, y, width, height = PLACE_PX
    with open_slide(shared_data / "hubmap-wsi" / "pas-b.tif", "pas-b.tif", Resolution()) as slide:
        write_tiff(tmp_path / "part.tif", slide.read_window(x, y, width, height, width, height).pixels, MPP)

    def result() -> SlideResult:
        begin = Networks(StagesConfig(device="cpu")).load()
        with open_slide(tmp_path / "part.tif", "part.tif", Resolution()) as part:
            begun = begin(part)
            assert isinstance(begun, Begun)
            return begun.finish(lambda *_: None)

    fast = result()
    with plain_arithmetic():
        plain = result()
    found = compare(fast, plain)
    assert found.n > 5
    assert found.circles >= 0.99
    assert found.classes >= 0.99
    assert found.dice >= 0.99
