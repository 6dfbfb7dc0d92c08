"""What to distrust of a slide and of each glomerulus: numbers that say where a reader should look first."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gloinone.doubts import LIMITS, Doubts
from gloinone.labels import ClassRule, p_nonglomerular, p_sclerosed
from gloinone.learning.stains import stain_basis
from gloinone.records import Candidate, Crop, Mask, Overview, Pixels
from gloinone.slide.nuclei import nuclei_um
from gloinone.slide.sharpness import blur_um, sharpness
from gloinone.slide.tissue import dilate_um, find_folds, find_ink
from gloinone.slide.tissue_samples import TissueSamples

TRAINING_STAINS = Path(__file__).with_name("training_stains.json")
"""Directions of the stains of slides that the shipped weights learned from; ``benchmarks.flags`` writes it."""
STAIN_PIXELS = 20_000
PEN_REACH_UM = 200.0
"""A stroke so near to tissue may hide some."""


@dataclass(frozen=True)
class Covered:
    """What hides tissue, on the overview."""

    overview: Overview
    mpp: float
    """Of level 0."""
    pen: Mask
    """Strokes on the tissue and near it."""
    folds: Mask

    @property
    def pen_share(self) -> float:
        """Of the tissue and the strokes on it; 0..1."""
        return _share(self.pen, self.overview.tissue | self.pen)

    @property
    def fold_share(self) -> float:
        """Of the tissue; 0..1."""
        return _share(self.folds, self.overview.tissue)

    def shares(self, candidate: Candidate) -> tuple[float, float]:
        """Of a circle, under a pen's stroke and folded; 0..1."""
        circle, window = candidate.detection, self.overview.window
        (x, y), radius = (
            window.image_from_l0(np.array([[circle.cx, circle.cy]]))[0],
            circle.radius / window.downsample,
        )
        left, top = max(0, int(x - radius)), max(0, int(y - radius))
        place = np.s_[top : int(y + radius) + 1, left : int(x + radius) + 1]
        rows, columns = np.indices(self.pen[place].shape)
        inside = np.hypot(columns + left + 0.5 - x, rows + top + 0.5 - y) <= max(radius, 0.75)
        return _share(self.pen[place], inside), _share(self.folds[place], inside)


def find_covered(overview: Overview, mpp: float) -> Covered:
    """Look at the overview; ``mpp`` of level 0."""
    um_per_px = mpp * overview.window.downsample
    near = dilate_um(overview.tissue, PEN_REACH_UM, um_per_px)
    pen = find_ink(overview.pixels, um_per_px) & near
    return Covered(overview, mpp, pen, find_folds(overview, um_per_px))


def doubts_of_slide(samples: TissueSamples, covered: Covered) -> Doubts:
    """Of the slide as a whole, from windows of its tissue and its overview. Nuclei are not judged in a blur."""
    pictures = samples.pictures
    ratios = [ratio for p in pictures if (ratio := sharpness(p, samples.um_per_px)) is not None]
    blur = blur_um(float(np.median(ratios))) if ratios else None
    sharp = blur is not None and blur < LIMITS["blur_um"]
    return Doubts(
        blur_um=blur,
        pen_share=covered.pen_share,
        fold_share=covered.fold_share,
        stain_distance=stain_distance(stain_directions(pictures), training_stains()),
        nuclei_um=nuclei_um(pictures, samples.um_per_px) if sharp else None,
    )


def doubts_of_glomerulus(candidate: Candidate, crop: Crop, covered: Covered) -> Doubts:
    """What its picture says against one glomerulus; `with_answers` adds the rest."""
    ratio = sharpness(crop.pixels, covered.mpp * crop.window.downsample)
    pen_share, fold_share = covered.shares(candidate)
    return Doubts(
        blur_um=None if ratio is None else blur_um(ratio), pen_share=pen_share, fold_share=fold_share
    )


@dataclass(frozen=True)
class Cuts:
    """What the networks' answers about a candidate are held against."""

    min_score: float
    rule: ClassRule
    voters: int = 1
    """Detectors, each as often as it has views."""


def with_answers(doubts: Doubts, candidate: Candidate, cuts: Cuts) -> Doubts:
    """With what the networks' own answers say against a glomerulus."""
    missing = None if cuts.voters == 1 else 1 - candidate.detection.votes / cuts.voters
    near_cut = nearness(candidate, cuts.min_score, cuts.rule)
    return replace(doubts, near_cut=near_cut, votes_missing=missing)


def nearness(candidate: Candidate, min_score: float, rule: ClassRule) -> float:
    """How near a candidate is to another answer, 0..1; 1: on a cut.

    Each number's way from its cut is a share of the whole way on its side, so that cuts need not lie in the middle.
    """
    p = candidate.probabilities
    ways = [_way(candidate.score, min_score)]
    if rule.name == "argmax":
        first, second = sorted(p, reverse=True)[:2]
        ways.append(first - second)
    else:
        ways.append(_way(p_nonglomerular(p), rule.nonglomerular_cut))
        ways.append(_way(p_sclerosed(p) / max(1 - p_nonglomerular(p), 1e-9), rule.sclerosed_cut))
    return 1 - min(1.0, *ways)


def _way(value: float, cut: float) -> float:
    room = 1 - cut if value >= cut else cut
    return abs(value - cut) / room if room > 0 else 0.0


def stain_directions(pictures: Sequence[Pixels]) -> NDArray[np.float64] | None:
    """(2, 3) unit optical densities of the two stains; None where there are not two."""
    if not pictures:
        return None
    pixels = np.concatenate([picture.reshape(-1, 3) for picture in pictures])
    basis = stain_basis(pixels[:: max(1, len(pixels) // STAIN_PIXELS)])
    if basis is None:
        return None
    stains = basis[:2].astype(np.float64)
    return np.asarray(stains / np.linalg.norm(stains, axis=1, keepdims=True), np.float64)


def stain_distance(stains: NDArray[np.float64] | None, known: NDArray[np.float64]) -> float | None:
    """Degrees by which the less alike of two stains differs from that of the nearest slide; ``known``: (N, 2, 3)."""
    if stains is None or not len(known):
        return None
    cosines = np.clip((known * stains).sum(axis=2), -1, 1)
    return float(np.degrees(np.arccos(cosines)).max(axis=1).min())


@cache
def training_stains() -> NDArray[np.float64]:
    """(N, 2, 3) of the slides that the shipped weights learned from."""
    known = np.array(json.loads(TRAINING_STAINS.read_text("utf-8")), np.float64).reshape(-1, 2, 3)
    return np.asarray(known / np.linalg.norm(known, axis=2, keepdims=True), np.float64)  # they are rounded


def _share(part: Mask, whole: Mask) -> float:
    return float(np.count_nonzero(part & whole)) / max(1, int(np.count_nonzero(whole)))
