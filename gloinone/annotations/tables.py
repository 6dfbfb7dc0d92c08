"""Rows of summary.csv, glomeruli.csv and circles.csv from the result of a slide."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from gloinone.annotations.class_counts import class_counts
from gloinone.annotations.columns import CIRCLES, GLOMERULI, SUMMARY
from gloinone.annotations.csv_text import Row, make_row
from gloinone.annotations.piece_tables import piece_summary
from gloinone.doubts import Doubts
from gloinone.geometry import weibel_gomez_um3
from gloinone.labels import CLASSES, NONGLOMERULAR, p_sclerosed
from gloinone.records import UNSAID, Candidate, Glomerulus, Origin, SlideInfo, SlideResult, Window

PROBABILITY_COLUMNS = tuple(f"p_{name.replace('-', '')}" for name in CLASSES)


@dataclass(frozen=True)
class MadeWith:
    """What made a result, as summary.csv has it."""

    detector: str = ""
    """name@first 12 of sha256, as the next two; empty if it did not come to that."""
    classifier: str = ""
    segmenter: str = ""
    version: str = ""
    min_score: float | None = None
    """The threshold, 0..1."""


def summary_row(result: SlideResult, made_with: MadeWith, reason: str = "") -> Row:
    """Row of a slide that is done or partial; for the latter the reason is made up if none is given."""
    info = result.info
    whole = [g for g in result.glomeruli if g.label != NONGLOMERULAR and not g.at_edge]
    n = result.n_glomeruli
    area_um2 = median(g.area_um2 for g in whole) if whole else None
    read = result.tissue_read_fraction
    return make_row(
        SUMMARY,
        {
            **_slide_values(info, made_with),
            **vars(result.origin),
            "status": result.status,
            "reason": reason or (_unread_reason(read) if result.status == "partial" else ""),
            "tissue_mm2": result.tissue_mm2,
            "tissue_read_fraction": read if read >= 1 else min(read, 0.9999),
            "n_circles": len(result.candidates),
            **class_counts([g.label for g in result.glomeruli]),
            **piece_summary(result),
            "glomeruli_per_mm2": n / result.tissue_mm2 if result.tissue_mm2 > 0 else None,
            "diameter_um_median": median(g.diameter_um for g in whole) if whole else None,
            "area_um2_median": area_um2,
            "volume_um3_weibel_gomez": None if area_um2 is None else weibel_gomez_um3(area_um2),
            **_doubt_values(
                result.doubts, ("stain_distance", "nuclei_um", "feature_distance", "score_shift")
            ),
            "n_flagged": sum(bool(g.doubts.flags) for g in result.glomeruli if g.label != NONGLOMERULAR),
        },
    )


def summary_row_without_result(
    slide: str,
    status: Literal["failed", "skipped", "pending"],
    reason: str,
    made_with: MadeWith,
    info: SlideInfo | None = None,
    origin: Origin = UNSAID,
) -> Row:
    """Row of a slide that gave no result, with what is known of it; everything else is empty."""
    known = _slide_values(info, made_with) if info else {**vars(made_with)}
    return make_row(SUMMARY, {**known, **vars(origin), "slide": slide, "status": status, "reason": reason})


def glomerulus_rows(
    result: SlideResult, folder: str | None = None, crops: bool = True, masks: bool = True
) -> list[Row]:
    """Rows of glomeruli.csv, by number; ``folder``: the slide's, relative to OUT, if not slides/<name>.

    ``crops`` and ``masks``: whether these pictures are written, so that their paths stand in the row.
    """
    folder = f"slides/{result.info.name}" if folder is None else folder
    cores: dict[int | None, tuple[int | None, int | None]]
    cores = {piece.number: (piece.core, piece.level) for piece in result.pieces}
    rows = []
    for g in sorted(result.glomeruli, key=lambda glomerulus: glomerulus.number):
        values = {
            **_candidate_values(g.candidate, result.info, g.outline.window),
            **vars(result.origin),
            "id": g.id,
            "subtype_validated": result.subtype_validated,
            "diameter_um": g.diameter_um,
            "area_um2": g.area_um2,
            "perimeter_um": g.perimeter_um,
            "circularity": g.circularity,
            "at_edge": g.at_edge,
            "outline": g.outline.source,
            "mpp": result.info.mpp,
            "crop": f"{folder}/crops/{g.id}.png" if crops and g.crop is not None else None,
            "mask": f"{folder}/masks/{g.id}.png" if masks else None,
            "outline_flagged": g.outline.flagged,
            "piece": g.piece,
            "core": cores.get(g.piece, (None, None))[0],
            "level": cores.get(g.piece, (None, None))[1],
            "glomerulus_track": g.track,
            **_doubt_values(g.doubts, ("near_cut", "votes_missing")),
        }
        rows.append(make_row(GLOMERULI, values))
    return rows


def circle_rows(result: SlideResult) -> list[Row]:
    """Rows of circles.csv, in the order of the candidates."""
    kept = by_candidate(result.candidates, result.glomeruli)
    return [
        make_row(
            CIRCLES,
            {
                **_candidate_values(candidate, result.info, candidate.window),
                "glomerulus": kept[place].id if place in kept else "",
            },
        )
        for place, candidate in enumerate(result.candidates)
    ]


def by_candidate(candidates: Sequence[Candidate], glomeruli: Sequence[Glomerulus]) -> dict[int, Glomerulus]:
    """Glomeruli by the place of their candidates; equal candidates are told apart by their order."""
    left = sorted(glomeruli, key=lambda glomerulus: glomerulus.number)
    found = {}
    for place, candidate in enumerate(candidates):
        at = next((i for i, g in enumerate(left) if g.candidate == candidate), None)
        if at is not None:
            found[place] = left.pop(at)
    return found


def _slide_values(info: SlideInfo, made_with: MadeWith) -> dict[str, object]:
    return {
        "slide": info.name,
        "width_px": info.width,
        "height_px": info.height,
        "mpp": info.mpp,
        "mpp_source": info.mpp_source,
        "vendor": info.vendor,
        **vars(made_with),
    }


def _candidate_values(candidate: Candidate, info: SlideInfo, window: Window) -> dict[str, object]:
    """The columns that glomeruli.csv and circles.csv share; ``window`` of the crop."""
    detection = candidate.detection
    return {
        "slide": info.name,
        "x": detection.cx,
        "y": detection.cy,
        "radius": detection.radius,
        "det_score": detection.score,
        "votes": detection.votes,
        "score": candidate.score,
        "class": candidate.label,
        **dict(zip(PROBABILITY_COLUMNS, candidate.probabilities, strict=True)),
        "p_sclerosed": p_sclerosed(candidate.probabilities),
        "crop_x": window.x,
        "crop_y": window.y,
        "crop_width": window.width,
        "crop_height": window.height,
        "crop_mpp": info.mpp * window.downsample,
    }


def _doubt_values(doubts: Doubts, own: Sequence[str]) -> dict[str, object]:
    """The columns that tables share, and those of the one."""
    shared = ("blur_um", "pen_share", "fold_share")
    return {
        **{name: getattr(doubts, name) for name in (*shared, *own)},
        "doubt": doubts.doubt,
        "flags": "; ".join(doubts.flags),
    }


def _unread_reason(read_fraction: float) -> str:
    percent = 100 * (1 - read_fraction)
    decimals = max(1, 1 - math.floor(math.log10(percent))) if percent > 0 else 1
    return f"{percent:.{decimals}f} % of the tissue could not be read"
