"""What a detector gets wrong on its own training slides: circles that are no glomeruli, glomeruli it hardly sees."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gloinone.detection.cases import Case, case_identity
from gloinone.detection.predict import Detector
from gloinone.detection.validate import found_circles
from gloinone.geometry import circle_iou
from gloinone.learning.whole import written_whole

TOUCHES_IOU = 0.1
"""A circle with less of this to every glomerulus, cut and ignored ones too, is false."""
FOUND_IOU = 0.5
"""A glomerulus is found by a circle with at least this much of it."""
PER_GLOMERULUS = 2
"""So many are kept for each glomerulus of a slide, and at least MIN_KEPT: the rest are harmless."""
MIN_KEPT = 10


def false_circles(circles: NDArray[np.float64], case: Case) -> NDArray[np.float64]:
    """Those of (N, 4) cx, cy, radius, score that touch nothing known, best first; px of the case's picture."""
    known = np.concatenate([case.circles, case.ignored])
    free = circles[circle_iou(circles, known).max(axis=1, initial=0) < TOUCHES_IOU]
    best = np.argsort(-free[:, 3], kind="stable")[: max(MIN_KEPT, PER_GLOMERULUS * len(case.circles))]
    return np.asarray(free[best], np.float64)


def found_scores(circles: NDArray[np.float64], case: Case) -> NDArray[np.float64]:
    """(N,) the best score that one of (M, 4) cx, cy, radius, score has on each glomerulus; 0 where it is missed."""
    fits = circle_iou(case.circles, circles) >= FOUND_IOU
    return np.asarray(np.where(fits, circles[:, 3], 0.0).max(axis=1, initial=0.0), np.float64)


def mined(cases: Sequence[Case], detector: Detector, kept: Path, say: Callable[[str], None]) -> list[Case]:
    """The cases with the detector's false circles in them, and how surely it finds each glomerulus.

    ``kept``: file both are left in, and taken from when the training goes on: it must see the same tiles. What was
    mined from other slides, other truth or by other weights is not taken.
    """
    identity = _identity(cases, detector)
    learned = _load(kept, identity)
    if learned is None:
        learned = []
        for case in cases:
            circles = found_circles(case, detector)
            judged = circles[case.is_scored(circles)]
            learned.append((false_circles(judged, case), found_scores(circles, case)))
            wrong, scores = learned[-1]
            say(
                f"{case.name}: {len(wrong)} false circles to learn from; "
                f"{np.count_nonzero(scores)} of {len(scores)} glomeruli found"
            )
        rows = {
            "circles": [wrong.tolist() for wrong, _ in learned],
            "found": [scores.tolist() for _, scores in learned],
        }
        with written_whole(kept) as aside:
            aside.write_text(json.dumps({"identity": identity, **rows}), encoding="utf-8")
    return [
        replace(case, false_circles=wrong, found=scores)
        for case, (wrong, scores) in zip(cases, learned, strict=True)
    ]


def _load(kept: Path, identity: str) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]] | None:
    if not kept.is_file():
        return None
    rows = json.loads(kept.read_text(encoding="utf-8"))
    if rows["identity"] != identity:
        return None
    return [
        (np.array(wrong, np.float64).reshape(-1, 4), np.array(scores, np.float64))
        for wrong, scores in zip(rows["circles"], rows["found"], strict=True)
    ]


def _identity(cases: Sequence[Case], detector: Detector) -> str:
    config = detector.config
    seen = f"mined 6, {config.norm_prior}, {config.peak_reach}, {config.scales}"
    digest = hashlib.sha256("".join([seen, *map(case_identity, cases)]).encode())
    for values in detector.network.state_dict().values():
        digest.update(values.cpu().numpy().tobytes())
    return digest.hexdigest()
