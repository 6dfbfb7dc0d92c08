"""What fusion and test-time views add to the detectors, and what they cost.

    python -m benchmarks.votes ../shared/data/hubmap-wsi/pas-b.tif ../shared/data/hubmap-wsi
    python -m benchmarks.votes SLIDE TRUTH --models models/ --detector detector --detector mine

Every detector looks at the slide in the four views of `--tta`, once; all rows are then made from these circles, so
the table compares nothing but the voting. Scores are the detectors' own, without the classifier; recall and
precision are those at the best F1. Seconds are of reading and detection.
"""

import argparse
import time
from pathlib import Path

import numpy as np

from gloinone.annotations.truth import find_truth, read_truth
from gloinone.detection.build import build_detector, detect_config
from gloinone.detection.fuse import Scored
from gloinone.detection.views import TTA_VIEWS
from gloinone.detection.voting import VoteConfig, common_threshold, rescaled, vote
from gloinone.learning.device import pick_device, use_available_threads
from gloinone.metrics import CircleImage, at_threshold, average_precision, best_f1, mean_average_precision
from gloinone.pipeline.stages import Networks, StagesConfig
from gloinone.slide.reader import open_slide
from gloinone.slide.resolution import Resolution
from gloinone.slide.tissue import tissue_overview
from gloinone.weights.store import load_state


def views_of(networks: Networks, slide: Path, mpp: float | None) -> tuple[list[tuple[Scored, ...]], float]:
    """Of each detector the circles of each view, and the smallest IoU of doubles on their cards."""
    device = pick_device(networks.config.device)
    said = Resolution() if mpp is None else Resolution(mpp, "option")
    found = []
    with open_slide(slide, slide.name, said) as opened:
        overview = tissue_overview(opened)
        for paths, card in networks.detectors:
            detector = build_detector(card, load_state(paths, card), device, TTA_VIEWS)
            began = time.monotonic()
            found.append(detector.detect(detector.read(opened, overview), lambda *_: None).views)
            print(f"{card.identity}: {time.monotonic() - began:.0f} s for {len(TTA_VIEWS)} views", flush=True)
    return found, min(detect_config(card).max_iou for _, card in networks.detectors)


def show(what: str, voters: list[Scored], votes: int, max_iou: float, truth: CircleImage) -> None:
    """A row of the table."""
    circles = vote(voters, VoteConfig(min_votes=votes), max_iou)[:, :4]
    images = [CircleImage(circles, truth.truth, truth.ignored)]
    threshold, f1 = best_f1(images)
    at = at_threshold(images, threshold)
    print(
        f"{what:<28} {votes:>2} of {len(voters):<2} {average_precision(images):6.3f} "
        f"{mean_average_precision(images):6.3f} {at.recall:6.3f} {at.precision:9.3f} {f1:6.3f} {threshold:6.2f}",
        flush=True,
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("slide", type=Path)
    parser.add_argument("truth", type=Path, help="folder of truth files named as the slides")
    parser.add_argument("--mpp", type=float)
    parser.add_argument("--models", type=Path, action="append", default=[])
    parser.add_argument("--detector", action="append", default=[])
    parser.add_argument("--device", default="auto")
    given = parser.parse_args()
    use_available_threads()
    names = tuple(given.detector) or ("detector",)
    networks = Networks(StagesConfig(detectors=names, models=tuple(given.models), device=given.device))
    known = read_truth(find_truth(given.slide.stem, given.truth))
    truth = CircleImage(np.zeros((0, 4)), known.circles(), known.ignored_circles())
    found, max_iou = views_of(networks, given.slide, given.mpp)
    print(
        f"{'':<28} {'votes':>7} {'AP50':>7} {'AP':>6} {'recall':>6} {'precision':>9} {'F1':>6} {'score':>6}"
    )
    for (_, card), views in zip(networks.detectors, found, strict=True):
        show(card.name, [views[0]], 1, max_iou, truth)
        for votes in range(1, len(views) + 1):
            show(f"{card.name} --tta", list(views), votes, max_iou, truth)
    if len(found) > 1:
        common = common_threshold(networks.thresholds)
        found = [
            tuple(rescaled(view, threshold, common) for view in views)
            for views, threshold in zip(found, networks.thresholds, strict=True)
        ]
        for votes in range(1, len(found) + 1):
            show("all", [views[0] for views in found], votes, max_iou, truth)
        for votes in range(1, len(found) * len(TTA_VIEWS) + 1):
            show("all --tta", [view for views in found for view in views], votes, max_iou, truth)


if __name__ == "__main__":
    main()
