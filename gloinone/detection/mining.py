"""Hard negatives: what a detector takes for glomeruli on its own training slides."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gloinone.detection.cases import Case, case_identity
from gloinone.detection.predict import Detector
from gloinone.detection.validate import predict_case
from gloinone.geometry import circle_iou
from gloinone.learning.whole import written_whole

TOUCHES_IOU = 0.1
"""A circle with less of this to every glomerulus, cut and ignored ones too, is false."""
PER_GLOMERULUS = 2
"""So many are kept for each glomerulus of a slide, and at least MIN_KEPT: the rest are harmless."""
MIN_KEPT = 10


def false_circles(circles: NDArray[np.float64], case: Case) -> NDArray[np.float64]:
    """Those of (N, 4) cx, cy, radius, score that touch nothing known, best first; px of the case's picture."""
    known = np.concatenate([case.circles, case.ignored])
    free = circles[circle_iou(circles, known).max(axis=1, initial=0) < TOUCHES_IOU]
    best = np.argsort(-free[:, 3], kind="stable")[: max(MIN_KEPT, PER_GLOMERULUS * len(case.circles))]
    return np.asarray(free[best], np.float64)


def mined(cases: Sequence[Case], detector: Detector, kept: Path, say: Callable[[str], None]) -> list[Case]:
    """The cases with the detector's false circles in them.

    ``kept``: file they are left in, and taken from when the training goes on: it must see the same tiles. What was
    mined from other slides, other truth or by other weights is not taken.
    """
    identity = _identity(cases, detector)
    rows = _load(kept, identity)
    if rows is None:
        rows = []
        for case in cases:
            rows.append(false_circles(predict_case(case, detector).predicted, case))
            say(f"{case.name}: {len(rows[-1])} false circles to learn from")
        found = {"identity": identity, "circles": [r.tolist() for r in rows]}
        with written_whole(kept) as aside:
            aside.write_text(json.dumps(found), encoding="utf-8")
    return [replace(case, false_circles=r) for case, r in zip(cases, rows, strict=True)]


def _load(kept: Path, identity: str) -> list[NDArray[np.float64]] | None:
    if not kept.is_file():
        return None
    found = json.loads(kept.read_text(encoding="utf-8"))
    if found["identity"] != identity:
        return None
    return [np.array(rows, np.float64).reshape(-1, 4) for rows in found["circles"]]


def _identity(cases: Sequence[Case], detector: Detector) -> str:
    digest = hashlib.sha256("".join(map(case_identity, cases)).encode())
    for values in detector.network.state_dict().values():
        digest.update(values.cpu().numpy().tobytes())
    return digest.hexdigest()
