"""Rows of summary.csv, glomeruli.csv and circles.csv from the result of a slide."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from gloinone.annotations.columns import CIRCLES, GLOMERULI, SUMMARY
from gloinone.annotations.csv_text import Row, make_row
from gloinone.doubts import Doubts
from gloinone.geometry import wilson_interval
from gloinone.labels import CLASSES, GLOMERULAR, NONGLOMERULAR, SCLEROSED_KINDS, p_sclerosed
from gloinone.records import Candidate, Glomerulus, SlideInfo, SlideResult

PROBABILITY_COLUMNS = tuple(f"p_{name.replace('-', '')}" for name in CLASSES)


@dataclass(frozen=True)
class MadeWith:
    """What made a result: the last columns of summary.csv."""

    detector: str = ""
    """name@first 12 of sha256, as the next two; empty if it did not come to that."""
    classifier: str = ""
    segmenter: str = ""
    version: str = ""


def summary_row(result: SlideResult, made_with: MadeWith, reason: str = "") -> Row:
    """Row of a slide that is done or partial; for the latter the reason is made up if none is given."""
    info = result.info
    glomeruli = [g for g in result.glomeruli if g.label != NONGLOMERULAR]
    counts = {f"n_{name}": result.count(name) for name in GLOMERULAR}
    n_sclerosed = sum(result.count(name) for name in SCLEROSED_KINDS)
    n = len(glomeruli)
    low, high = wilson_interval(n_sclerosed, n)
    read = result.tissue_read_fraction
    return make_row(
        SUMMARY,
        {
            **_slide_values(info, made_with),
            "status": result.status,
            "reason": reason or (_unread_reason(read) if result.status == "partial" else ""),
            "tissue_mm2": result.tissue_mm2,
            "tissue_read_fraction": read if read >= 1 else min(read, 0.9999),
            "n_circles": len(result.candidates),
            "n_glomeruli": n,
            **counts,
            "n_sclerosed": n_sclerosed,
            "percent_sclerosed": 100 * n_sclerosed / n if n else None,
            "percent_sclerosed_low": 100 * low,
            "percent_sclerosed_high": 100 * high,
            "glomeruli_per_mm2": n / result.tissue_mm2 if result.tissue_mm2 > 0 else None,
            "diameter_um_median": median(g.diameter_um for g in glomeruli) if n else None,
            "area_um2_median": median(g.area_um2 for g in glomeruli) if n else None,
            **_doubt_values(result.doubts, ("stain_distance", "nuclei_um")),
            "n_flagged": sum(bool(g.doubts.flags) for g in glomeruli),
        },
    )


def summary_row_without_result(
    slide: str,
    status: Literal["failed", "skipped", "pending"],
    reason: str,
    made_with: MadeWith,
    info: SlideInfo | None = None,
) -> Row:
    """Row of a slide that gave no result, with what is known of it; everything else is empty."""
    known = _slide_values(info, made_with) if info else {**vars(made_with)}
    return make_row(SUMMARY, {**known, "slide": slide, "status": status, "reason": reason})


def glomerulus_rows(
    result: SlideResult, folder: str | None = None, crops: bool = True, masks: bool = True
) -> list[Row]:
    """Rows of glomeruli.csv, by number; ``folder``: the slide's, relative to OUT, if not slides/<name>.

    ``crops`` and ``masks``: whether these pictures are written, so that their paths stand in the row.
    """
    folder = f"slides/{result.info.name}" if folder is None else folder
    rows = []
    for g in sorted(result.glomeruli, key=lambda glomerulus: glomerulus.number):
        values = {
            **_candidate_values(g.candidate, result.info),
            "id": g.id,
            "subtype_validated": result.subtype_validated,
            "diameter_um": g.diameter_um,
            "area_um2": g.area_um2,
            "perimeter_um": g.perimeter_um,
            "circularity": g.circularity,
            "at_edge": g.at_edge,
            "outline": g.outline.source,
            "mpp": result.info.mpp,
            "crop": f"{folder}/crops/{g.id}.png" if crops else None,
            "mask": f"{folder}/masks/{g.id}.png" if masks else None,
            "outline_flagged": g.outline.flagged,
            **_doubt_values(g.doubts, ("near_cut",)),
        }
        rows.append(make_row(GLOMERULI, values))
    return rows


def circle_rows(result: SlideResult) -> list[Row]:
    """Rows of circles.csv, in the order of the candidates."""
    ids = _glomerulus_ids(result.candidates, result.glomeruli)
    return [
        make_row(CIRCLES, {**_candidate_values(candidate, result.info), "glomerulus": glomerulus})
        for candidate, glomerulus in zip(result.candidates, ids, strict=True)
    ]


def _glomerulus_ids(candidates: Sequence[Candidate], glomeruli: Sequence[Glomerulus]) -> list[str]:
    """Id of each candidate that was kept, else empty; equal candidates are told apart by their order."""
    kept = sorted(glomeruli, key=lambda glomerulus: glomerulus.number)
    ids = []
    for candidate in candidates:
        place = next((i for i, g in enumerate(kept) if g.candidate == candidate), None)
        ids.append("" if place is None else kept.pop(place).id)
    return ids


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


def _candidate_values(candidate: Candidate, info: SlideInfo) -> dict[str, object]:
    """The columns that glomeruli.csv and circles.csv share."""
    detection, window = candidate.detection, candidate.window
    return {
        "slide": info.name,
        "x": detection.cx,
        "y": detection.cy,
        "radius": detection.radius,
        "det_score": detection.score,
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
