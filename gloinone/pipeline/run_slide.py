"""The whole method on one page: a slide in, every glomerulus found, named and outlined."""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from gloinone.doubts import Doubts
from gloinone.labels import ClassRule, classify, combined_score
from gloinone.levelling import MOST, Level, raised, shift_of
from gloinone.pipeline.clock import Clock
from gloinone.pipeline.distrust import (
    Covered,
    Cuts,
    doubts_of_glomerulus,
    doubts_of_slide,
    find_covered,
    with_answers,
)
from gloinone.pipeline.keeping import is_kept, kept_places
from gloinone.pipeline.measure import measure_glomerulus
from gloinone.pipeline.outlining import Outlined, Segment, outline_all
from gloinone.pipeline.overlay import picture_um_per_px
from gloinone.pipeline.unread import Core, box_of, notes_of, read_share
from gloinone.records import (
    Candidate,
    Crop,
    Detection,
    Glomerulus,
    Overview,
    Piece,
    PieceMap,
    SlideInfo,
    SlideResult,
)
from gloinone.slide.crops import READERS, lit_crops, stream_crops
from gloinone.slide.pieces import find_pieces, measure_pieces, place_on_pieces
from gloinone.slide.reader import Slide
from gloinone.slide.tissue import overview_um_per_px, tissue_mm2, tissue_overview
from gloinone.slide.tissue_samples import sample_tissue
from gloinone.study.on_slide import with_levels

logger = logging.getLogger(__name__)

CLASSIFIED_AT_ONCE = 64
"""Crops held in memory while they are classified; only those of circles that may be kept stay."""

OnTile = Callable[[int, int], None]
Classify = Callable[[Sequence[Crop]], NDArray[np.float64]]


class Tiles(Protocol):
    """What the detector is going to see of a slide, being read."""

    def close(self) -> None:
        """Stop reading."""


class Found(Protocol):
    """What the detector says of a slide."""

    @property
    def circles(self) -> NDArray[np.float64]:
        """(N, 4) cx, cy, radius (level-0 px), score; or (N, 5) with the votes of several detectors or views."""

    @property
    def unread(self) -> tuple[Core, ...]:
        """x0, y0, x1, y1 in level-0 px of what could not be read."""


@dataclass(frozen=True)
class Stages:
    """The three networks at work and the numbers of their cards that decide what is kept."""

    read: Callable[[Slide, Overview], Tiles]
    """Begins to read for `detect`."""
    detect: Callable[[Any, OnTile], Found]
    """Of what `read` began."""
    classify: Classify
    """-> (N, 5), or (N, 5 + C) with what `unlike` looks at."""
    segment: Segment
    rule: ClassRule
    score_combination: str
    min_score: float
    keep_nonglomerular: bool = False
    subtype_validated: bool = False
    voters: int = 1
    """Detectors, each as often as it has views."""
    level: Level | None = None
    """What the detector's scores usually are; None: nobody knows, and scores stay as they are."""
    adapt: Callable[[Sequence[Crop]], Classify] | None = None
    """What stands in for `classify` on a slide, from the crops of its best circles; None: nothing does."""
    unlike: Callable[[NDArray[np.float64]], float | None] | None = None
    """How unlike the training slides one is, from the (N, C) of its circles; None: nobody knows."""


class OnPieces(NamedTuple):
    """Fields of a SlideResult that follow from its tissue and its glomeruli."""

    glomeruli: tuple[Glomerulus, ...]
    pieces: tuple[Piece, ...]
    piece_map: PieceMap


@dataclass(frozen=True)
class _Classified:
    """A candidate and, where it is good enough to be kept or may become so, its crop."""

    candidate: Candidate
    crop: Crop | None

    def raised(self, shift: float) -> "_Classified":
        """With a score that is higher by so many log-odds."""
        return replace(self, candidate=replace(self.candidate, score=raised(self.candidate.score, shift)))


def analyse(slide: Slide, stages: Stages, on_tile: OnTile) -> SlideResult:
    """Everything the tool says of one slide. Raises SlideError for one that cannot be analysed."""
    with closing(Begun(slide, stages)) as begun:
        return begun.finish(on_tile)


class Begun:
    """A slide of which all is known that needs no network, and whose first tiles are being read.

    The networks follow in ``finish``, when they have done with the slide before. Close it before the slide.
    """

    def __init__(self, slide: Slide, stages: Stages) -> None:
        self.slide, self.stages = slide, stages
        self.clock = Clock()
        with self.clock("tissue"), ThreadPoolExecutor(1, thread_name_prefix="picture") as beside:
            picture = beside.submit(_picture, slide)
            self.overview = tissue_overview(slide)
            self.picture = picture.result()
        with self.clock("tissue samples"):
            self.tiles = stages.read(slide, self.overview)

    def close(self) -> None:
        """Stop reading."""
        self.tiles.close()

    def finish(self, on_tile: OnTile) -> SlideResult:
        """The networks' part."""
        slide, stages, overview, clock = self.slide, self.stages, self.overview, self.clock
        with clock("detect"):
            found = stages.detect(self.tiles, on_tile)
        circles = in_reading_order(found.circles)
        with clock("classify"):
            classified, features, lost = _classify(slide, overview.gain, circles, stages)
        shift = None if stages.level is None else _shift_of(classified, stages.level)
        classified = [c.raised(shift or 0.0) for c in classified]
        candidates = tuple(c.candidate for c in classified)
        places = kept_places(candidates, stages.min_score, stages.keep_nonglomerular)
        kept = [(c.candidate, c.crop) for place in places if (c := classified[place]).crop is not None]
        with clock("segment"):
            circled = [(candidate.detection, crop) for candidate, crop in kept]
            outlined = outline_all(slide, overview.gain, circled, stages.segment)
        with clock("distrust"):
            covered = find_covered(overview, slide.info.mpp)
            doubts = doubts_of_slide(sample_tissue(slide, overview), covered)
            distance = stages.unlike(features) if stages.unlike else None
            doubts = replace(doubts, feature_distance=distance, score_shift=shift)
            glomeruli = _measure(
                kept, outlined, slide.info, lambda one, crop: _doubts(one, crop, covered, stages)
            )
        with clock("levels"):
            placed = on_pieces(glomeruli, overview, slide.info)
        unread = (*found.unread, *(box_of(circle) for circle in lost))
        return SlideResult(
            info=slide.info,
            overview=overview,
            picture=self.picture,
            tissue_mm2=tissue_mm2(overview, slide.info.mpp),
            tissue_read_fraction=read_share(overview, unread),
            candidates=candidates,
            glomeruli=placed.glomeruli,
            notes=notes_of(slide.info, overview, found.unread, lost),
            unread=unread,
            subtype_validated=stages.subtype_validated,
            voters=stages.voters,
            seconds=clock.seconds,
            pieces=placed.pieces,
            piece_map=placed.piece_map,
            doubts=doubts,
            rule=stages.rule,
        )


def on_pieces(glomeruli: Sequence[Glomerulus], overview: Overview, info: SlideInfo) -> OnPieces:
    """The glomeruli with the pieces of tissue that they lie on, and the levels and tracks that follow."""
    pieces = find_pieces(overview.tissue, info.mpp * overview.window.downsample)
    placed = place_on_pieces(glomeruli, pieces, overview.window)
    measured = measure_pieces(pieces, overview.window, info)
    return OnPieces(*with_levels(placed, measured, pieces, overview.window, info.mpp), pieces)


def in_reading_order(circles: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 4 or more) top to bottom, then left to right, by centre; whole pixels, so that noise does not reorder."""
    return circles[np.lexsort((circles[:, 0], np.floor(circles[:, 1])))]


def _classify(
    slide: Slide, gain: float, circles: NDArray[np.float64], stages: Stages
) -> tuple[list[_Classified], NDArray[np.float64], list[NDArray[np.float64]]]:
    """Candidates in the order of the circles, (N, C) features, and the circles whose crops could not be read."""
    classified: dict[int, _Classified] = {}
    features: list[NDArray[np.float64]] = []
    lost: dict[int, NDArray[np.float64]] = {}
    waiting: dict[int, Crop] = {}
    ask = stages.classify

    def flush() -> None:
        nonlocal ask
        shown = lit_crops(waiting.values(), gain)
        if stages.adapt and not features:
            ask = stages.adapt(shown)
        rows = ask(shown)
        features.append(rows[:, 5:])
        for (place, crop), row in zip(waiting.items(), rows[:, :5], strict=True):
            classified[place] = _candidate(circles[place], crop, row, stages)
        waiting.clear()

    places = best_first(circles, CLASSIFIED_AT_ONCE)
    with closing(stream_crops(slide, circles[places], READERS)) as crops:  # on an error too nobody reads on
        for place, crop in zip(places.tolist(), crops, strict=True):
            if crop is None:
                lost[place] = circles[place]
                continue
            waiting[place] = crop
            if len(waiting) == CLASSIFIED_AT_ONCE:
                flush()
    if waiting:
        flush()
    in_order = [classified[place] for place in sorted(classified)]
    all_features = np.concatenate(features) if features else np.empty((0, 0))
    return in_order, all_features, [lost[place] for place in sorted(lost)]


def best_first(circles: NDArray[np.float64], count: int) -> NDArray[np.intp]:
    """(N,) places: of the ``count`` highest scores, then of the others; both as they lie, for those who read them."""
    best = np.sort(np.argsort(-circles[:, 3], kind="stable")[:count])
    return np.concatenate([best, np.setdiff1d(np.arange(len(circles)), best)])


def _candidate(
    circle: NDArray[np.float64], crop: Crop, row: NDArray[np.float64], stages: Stages
) -> _Classified:
    cx, cy, radius, det_score = (float(v) for v in circle[:4])
    votes = int(circle[4]) if len(circle) > 4 else 1
    p = tuple(float(v) for v in row)
    assert len(p) == 5
    score = combined_score(det_score, p, stages.score_combination)
    label = classify(p, stages.rule)
    candidate = Candidate(Detection(cx, cy, radius, det_score, votes), p, score, label, crop.window)
    at_most = replace(candidate, score=raised(score, 0.0 if stages.level is None else MOST))
    may_be_kept = is_kept(at_most, stages.min_score, stages.keep_nonglomerular)
    return _Classified(candidate, crop if may_be_kept else None)


def _shift_of(classified: Sequence[_Classified], level: Level) -> float:
    """By how much the slide's scores are to be raised."""

    def kept_at(shift: float) -> list[float]:
        candidates = [c.raised(shift).candidate for c in classified]
        kept = (c for c in candidates if is_kept(c, level.threshold, keep_nonglomerular=False))
        return [candidate.detection.score for candidate in kept]

    return shift_of(kept_at, level.kept_log_odds)


def _measure(
    kept: Sequence[tuple[Candidate, Crop]],
    outlined: Sequence[Outlined],
    info: SlideInfo,
    doubts: Callable[[Candidate, Crop], Doubts],
) -> tuple[Glomerulus, ...]:
    return tuple(
        replace(measure_glomerulus(number, candidate, *own, info), doubts=doubts(candidate, crop))
        for number, ((candidate, crop), own) in enumerate(zip(kept, outlined, strict=True), start=1)
    )


def _doubts(candidate: Candidate, crop: Crop, covered: Covered, stages: Stages) -> Doubts:
    cuts = Cuts(stages.min_score, stages.rule, stages.voters)
    return with_answers(doubts_of_glomerulus(candidate, crop, covered), candidate, cuts)


def _picture(slide: Slide) -> Crop | None:
    """A finer picture than the overview, so that the overlay can be looked at."""
    um_per_px = picture_um_per_px(slide.info, overview_um_per_px(slide.info))
    if um_per_px is None:
        return None
    read = slide.overview(um_per_px)
    return Crop(read.window, read.pixels)
