"""The result of a slide as its folder knows it: what was found is decided once more, nothing is looked at again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from gloinone.annotations.columns import CIRCLES
from gloinone.annotations.csv_text import read_table
from gloinone.annotations.saved_result import SavedResult, read_saved_result
from gloinone.errors import AnnotationError
from gloinone.pipeline.distrust import Cuts, with_answers
from gloinone.pipeline.keeping import kept_places
from gloinone.pipeline.measure import measure_glomerulus
from gloinone.pipeline.run_slide import on_pieces
from gloinone.pipeline.save import CIRCLES_CSV, CONTACT, CROPS, THUMBNAIL, TISSUE, Earlier, crop_name
from gloinone.records import Crop, Glomerulus, Overview, SlideResult
from gloinone.segmentation.outline import circle_outline


@dataclass(frozen=True)
class Restored:
    """All that is left of a slide after its run."""

    saved: SavedResult
    overview: Overview
    earlier: Earlier
    """Its contact sheet holds for the glomeruli that ``shown`` names."""
    shown: frozenset[int]
    """Places of the candidates that are glomeruli as the folder stands."""

    def earlier_for(self, kept: Sequence[int], with_crops: bool) -> Earlier:
        """What stays when these are kept: the contact sheet only where its crops lie nowhere else."""
        return (
            self.earlier
            if not with_crops and self.shown == set(kept)
            else replace(self.earlier, contact=None)
        )

    def kept(self, min_score: float, keep_nonglomerular: bool) -> list[int]:
        """Places of the candidates that a run with these options keeps."""
        return kept_places(self.saved.candidates, min_score, keep_nonglomerular)

    def result(self, kept: Sequence[int], min_score: float) -> SlideResult:
        """As a run gives it that keeps these at that threshold.

        A circle that the segmenter never saw is its own outline, and only the networks' answers can be doubted.
        """
        saved, outlined = self.saved, self.earlier.outlined
        numbered = (
            replace(outlined[place], number=number) if place in outlined else _stand_in(saved, place, number)
            for number, place in enumerate(kept, start=1)
        )
        cuts = Cuts(min_score, saved.rule, saved.voters)
        glomeruli = tuple(replace(g, doubts=with_answers(g.doubts, g.candidate, cuts)) for g in numbered)
        placed = on_pieces(glomeruli, self.overview, saved.info)
        return SlideResult(
            info=saved.info,
            overview=self.overview,
            tissue_mm2=saved.tissue_mm2,
            tissue_read_fraction=saved.tissue_read_fraction,
            candidates=saved.candidates,
            glomeruli=placed.glomeruli,
            notes=saved.notes,
            unread=saved.unread,
            subtype_validated=saved.subtype_validated,
            voters=saved.voters,
            pieces=placed.pieces,
            origin=saved.origin,
            piece_map=placed.piece_map,
            doubts=saved.doubts,
            rule=saved.rule,
        )


def restore(folder: Path) -> Restored:
    """Read a slide's folder. Raises AnnotationError for what is missing or cannot be understood."""
    saved = read_saved_result(folder)
    thumbnail = _read(folder / THUMBNAIL)
    window = saved.overview
    size = (window.width_px, window.height_px)
    pixels = cv2.resize(
        _picture(thumbnail, folder / THUMBNAIL, cv2.IMREAD_COLOR_RGB), size, interpolation=cv2.INTER_AREA
    )
    tissue = _picture(_read(folder / TISSUE), folder / TISSUE, cv2.IMREAD_GRAYSCALE) > 0
    if tissue.shape != (window.height_px, window.width_px):
        raise AnnotationError(
            f"{folder / TISSUE}: is not as large as the overview; run that slide again with --overwrite"
        )
    ids = _ids(folder, saved)
    earlier = Earlier(thumbnail, _outlined(folder, saved, ids), _read(folder / CONTACT))
    shown = frozenset(place for place, known in enumerate(ids) if known)
    return Restored(saved, Overview(window, np.asarray(pixels, np.uint8), tissue), earlier, shown)


def _ids(folder: Path, saved: SavedResult) -> list[str]:
    """Of the glomerulus that each candidate is; empty where it is none."""
    rows = read_table(folder / CIRCLES_CSV, CIRCLES)
    if len(rows) != len(saved.candidates):
        raise AnnotationError(
            f"{folder / CIRCLES_CSV}: {len(rows)} rows of {len(saved.candidates)} circles; "
            "run that slide again with --overwrite"
        )
    return [str(row["glomerulus"] or "") for row in rows]


def _outlined(folder: Path, saved: SavedResult, ids: Sequence[str]) -> Mapping[int, Glomerulus]:
    """What the segmenter has seen, by place among the candidates; numbers are those of the places."""
    found = {}
    for place, known in saved.outlines.items():
        path = folder / CROPS / crop_name(place, ids[place])
        candidate = saved.candidates[place]
        crop = None
        if path.is_file():
            crop = Crop(known.outline.window, _picture(_read(path), path, cv2.IMREAD_COLOR_RGB))
        measured = measure_glomerulus(place + 1, candidate, known.outline, crop, saved.info)
        # neither the scanner's own border nor pens and folds of the overview are in the crop
        found[place] = replace(measured, at_edge=known.at_edge, doubts=known.doubts)
    return found


def _stand_in(saved: SavedResult, place: int, number: int) -> Glomerulus:
    candidate, info = saved.candidates[place], saved.info
    outline = circle_outline(candidate.window, candidate.detection, (info.width, info.height))
    return measure_glomerulus(number, candidate, outline, None, info)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise AnnotationError(
            f"{path}: cannot be read ({error.strerror}); run that slide again with --overwrite"
        ) from error


def _picture(data: bytes, path: Path, mode: int) -> NDArray[np.uint8]:
    """(H, W) or (H, W, 3)."""
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), mode) if data else None
    if pixels is None:
        raise AnnotationError(f"{path}: is damaged; run that slide again with --overwrite")
    return np.asarray(pixels, np.uint8)
