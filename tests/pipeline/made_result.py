"""Results of made-up slides for the tests of what is written."""

from dataclasses import replace

import numpy as np

from gloinone.geometry import circle_ring, ring_mask
from gloinone.labels import CLASSES
from gloinone.pipeline.measure import measure_glomerulus
from gloinone.records import (
    Candidate,
    Crop,
    Detection,
    Glomerulus,
    Outline,
    Overview,
    Points,
    SlideInfo,
    SlideResult,
    Window,
)

CROP_PX = 256
INFO = SlideInfo("case 1/a.svs", 6000, 4000, 0.5, "file", "aperio")


def blob(cx: float, cy: float, radius: float, seed: int = 0) -> Points:
    """A ring that is no circle, but nearly."""
    ring = circle_ring(cx, cy, radius, 60) - [cx, cy]
    angle = np.arange(60) * 2 * np.pi / 60
    return ring * (1 + 0.12 * np.sin(3 * angle + seed))[:, None] + [cx, cy]


def made_glomerulus(number: int, ring: Points, label: str = "normal", info: SlideInfo = INFO) -> Glomerulus:
    """A glomerulus as the pipeline makes it of a ring: crop, mask, measures."""
    (x0, y0), (x1, y1) = ring.min(axis=0), ring.max(axis=0)
    cx, cy, radius = float(x0 + x1) / 2, float(y0 + y1) / 2, float(max(x1 - x0, y1 - y0)) / 2
    edge = 2 * (radius + info.l0_from_um(12.5))
    window = Window(cx - edge / 2, cy - edge / 2, edge, edge, CROP_PX, CROP_PX)
    noise = np.random.default_rng(number).integers(120, 255, (CROP_PX, CROP_PX, 3), np.uint8)
    probabilities = np.full(5, 0.05)
    probabilities[CLASSES.index(label)] = 0.8
    candidate = Candidate(Detection(cx, cy, radius, 0.6), tuple(probabilities), 0.9, label, window)
    if number % 3 == 0:  # outlined in a larger crop than it was classified in
        window = Window(window.x - 30, window.y - 40, edge + 60, edge + 60, CROP_PX, CROP_PX)
    inside = ring_mask(window.image_from_l0(ring), CROP_PX, CROP_PX)
    outline = Outline(ring, "mask", False, inside, window)
    return measure_glomerulus(number, candidate, outline, Crop(window, noise), info)


def made_result(n: int = 6, info: SlideInfo = INFO) -> SlideResult:
    """n glomeruli in a row or more, every third one sclerosed; tissue in the left three quarters."""
    glomeruli = []
    for i in range(n):
        x, y = 400 + 700 * (i % 8), 500 + 700 * (i // 8)
        label = ("normal", "normal", "obsolescent", "normal", "solidified", "disappearing")[i % 6]
        glomeruli.append(made_glomerulus(i + 1, blob(x + 0.3, y - 0.2, 150 + 10 * (i % 5), i), label, info))
    width, height = round(info.width * info.mpp / 10), round(info.height * info.mpp / 10)
    pixels = np.full((height, width, 3), 245, np.uint8)
    tissue = np.zeros((height, width), bool)
    tissue[20:-20, 20 : 3 * width // 4] = True
    pixels[tissue] = (214, 160, 200)
    overview = Overview(Window(0, 0, info.width, info.height, width, height), pixels, tissue)
    circles = tuple(g.candidate for g in glomeruli)
    return SlideResult(info, overview, float(tissue.sum() * 1e-4), 1.0, circles, tuple(glomeruli))


def renamed(result: SlideResult, name: str) -> SlideResult:
    """The same of a slide of another name."""
    return replace(result, info=replace(result.info, name=name))
