"""From slides with truth to the detector's cached cases: each slide is opened once."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gloinone.detection.cases import Case, cache_key, load_case, sample_tissue, save_case
from gloinone.slide.light import lit
from gloinone.slide.reader import open_slide
from gloinone.slide.tissue import tissue_mm2, tissue_overview
from gloinone.training.sources import Say, TruthSlide


def collect_cases(slides: Sequence[TruthSlide], cache: Path, cache_mpp: float, say: Say) -> list[Case]:
    """A case of every slide, its picture at ``cache_mpp`` um/px or as fine as the slide is."""
    cases = []
    for slide in slides:
        cases.append(_collect(slide, cache, cache_mpp))
        say(f"{slide.name}: {len(cases[-1].circles)} glomeruli, {cases[-1].tissue_mm2:.1f} mm2 of tissue")
    return cases


def _collect(source: TruthSlide, cache: Path, cache_mpp: float) -> Case:
    key = _key(source, cache_mpp)
    cached = load_case(cache, key)
    if cached is not None:
        return cached
    with open_slide(source.path, source.name, source.said) as slide:
        truth = source.read_truth(slide.info)
        # never finer than the slide itself: enlarging adds bytes and no detail
        picture = slide.overview(max(cache_mpp, slide.info.mpp))
        overview = tissue_overview(slide)
        down = picture.window.downsample
        scale = overview.window.downsample / down
        case = Case(
            name=source.name,
            source=source.folder.name,
            patient=source.patient,
            mpp=slide.info.mpp * down,
            pixels=lit(picture.pixels, overview.gain),
            circles=truth.circles() / down,
            ignored=truth.ignored_circles() / down,
            tissue=sample_tissue(truth.complete_part(overview.tissue, overview.window), scale, seed=0),
            tissue_mm2=tissue_mm2(overview, slide.info.mpp),
            slide_tissue=None if truth.complete is None else sample_tissue(overview.tissue, scale, seed=0),
            complete=None if truth.complete is None else tuple(area.ring / down for area in truth.complete),
            holes=tuple(hole.ring / down for hole in truth.holes),
        )
    save_case(cache, key, case)
    again = load_case(cache, key)
    assert again is not None
    return again


def _key(source: TruthSlide, cache_mpp: float) -> str:
    """Changes with everything the case is made from."""
    folder = source.folder
    stamps = [p.stat() for p in (source.path, source.truth_path)]
    unlabelled = folder.unlabelled.get(source.name, np.zeros((0, 3)))
    parts: list[object] = [
        source.name,
        folder.name,
        source.patient,
        source.said,
        cache_mpp,
        unlabelled.tolist(),
    ]
    parts += [(s.st_size, s.st_mtime_ns) for s in stamps]
    if folder.classes.ours is not None or folder.complete is False:
        parts += [sorted((folder.classes.ours or {}).items()), folder.complete]
    return cache_key(parts)
