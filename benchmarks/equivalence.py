"""Whether the fast path finds what plain arithmetic finds: bfloat16 and batches against float32, one at a time.

    python -m benchmarks.equivalence SLIDE

Both go over the same tiles of the slide with the same weights. The lines it prints:

  same circles     share of the glomeruli of both that have a partner in the other: circle IoU over .9, score within .02
  same classes     share of the partners that have the same class
  mask Dice        mean over the partners, of the outlines, level-0 px
  seconds          of each path; of the processor, since that is what they differ in

Wanted: .99 of each. Where the processor has no bfloat16 both compute in float32, and batches alone differ.
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from unittest import mock

import numpy as np
import shapely

import gloinone.classification.build
import gloinone.learning.device
import gloinone.segmentation.build
from benchmarks.first_tile import add_slide_options
from benchmarks.subject import subject_of
from gloinone.geometry import circle_iou
from gloinone.pipeline.run_slide import Stages, analyse
from gloinone.records import Glomerulus, SlideResult
from gloinone.slide.reader import Slide

MIN_IOU = 0.9
MAX_SCORE_APART = 0.02


@dataclass(frozen=True)
class Agreement:
    """Of two results of one slide, each 0..1; 1 where there is nothing to compare."""

    circles: float
    classes: float
    dice: float
    n: int
    """Glomeruli of both, partners counted once."""


@contextmanager
def plain_arithmetic() -> Iterator[None]:
    """Float32, and batches of one of what is built, on a processor, within the ``with`` block."""
    with ExitStack() as stack:
        device = gloinone.learning.device
        stack.enter_context(mock.patch.object(device, "has_fast_bf16", return_value=False))
        for module in (gloinone.classification.build, gloinone.segmentation.build):
            stack.enter_context(mock.patch.object(module, "BATCH", 1))
        yield


def compare(fast: SlideResult, plain: SlideResult) -> Agreement:
    """Partners are the nearest by circle IoU; each has one."""
    pairs = list(partners(fast.glomeruli, plain.glomeruli))
    n = len(fast.glomeruli) + len(plain.glomeruli) - len(pairs)
    same = [a.candidate.label == b.candidate.label for a, b in pairs]
    dices = [dice(a, b) for a, b in pairs]
    return Agreement(
        circles=len(pairs) / n if n else 1.0,
        classes=float(np.mean(same)) if same else 1.0,
        dice=float(np.mean(dices)) if dices else 1.0,
        n=n,
    )


def partners(
    fast: Sequence[Glomerulus], plain: Sequence[Glomerulus]
) -> Iterator[tuple[Glomerulus, Glomerulus]]:
    """Pairs of nearly the same circle and score."""
    if not fast or not plain:
        return
    circles = [
        np.array([[d.cx, d.cy, d.radius] for d in (g.candidate.detection for g in some)])
        for some in (fast, plain)
    ]
    iou = circle_iou(circles[0], circles[1])
    for i, j in enumerate(iou.argmax(axis=1)):
        near = iou[i, j] > MIN_IOU and iou[:, j].argmax() == i
        if near and abs(fast[i].candidate.score - plain[j].candidate.score) <= MAX_SCORE_APART:
            yield fast[i], plain[j]


def dice(a: Glomerulus, b: Glomerulus) -> float:
    """Of two outlines."""
    one, other = (shapely.make_valid(shapely.Polygon(g.outline.ring)) for g in (a, b))
    return float(2 * one.intersection(other).area / (one.area + other.area))


def timed(slide: Slide, stages: Stages) -> tuple[SlideResult, float]:
    """The result, and seconds of the processor."""
    began = time.process_time()
    result = analyse(slide, stages, lambda *_: None)
    return result, time.process_time() - began


def main(arguments: Sequence[str] | None = None) -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_slide_options(parser)
    parser.set_defaults(device="cpu")
    given = parser.parse_args(arguments)
    subject = subject_of(given)
    with subject.open() as slide:
        fast, fast_s = timed(slide, subject.stages)
        with plain_arithmetic():
            plain, plain_s = timed(slide, subject_of(given).stages)
    found = compare(fast, plain)
    print(f"{slide.info.name}: {len(fast.glomeruli)} glomeruli fast, {len(plain.glomeruli)} plain")
    print(f"same circles: {found.circles:.4f} of {found.n}")
    print(f"same classes: {found.classes:.4f}")
    print(f"mask Dice: {found.dice:.4f}")
    print(f"seconds: {fast_s:.1f} fast, {plain_s:.1f} plain")


if __name__ == "__main__":
    main()
