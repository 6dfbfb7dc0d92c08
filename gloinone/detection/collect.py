"""From folders of slides and truth to cached cases: the only part of detector training that opens slides."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gloinone.annotations.truth import find_truth, read_truth
from gloinone.detection.cases import Case, cache_key, load_case, sample_tissue, save_case
from gloinone.errors import UsageError
from gloinone.slide.discover import find_slides
from gloinone.slide.reader import open_slide
from gloinone.slide.resolution import MppTable, read_mpp_csv, resolution_for
from gloinone.slide.tissue import tissue_mm2, tissue_overview


@dataclass(frozen=True)
class Source:
    """One pair of --slides and --truth."""

    slides: Path
    truth: Path
    mpp_csv: Path | None = None
    mpp: float | None = None
    unlabelled: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    """Slide name -> (N, 3) circles to ignore, level-0 px."""

    @property
    def name(self) -> str:
        """What batches are balanced by."""
        return self.slides.resolve().name


def collect_cases(
    sources: Sequence[Source],
    cache: Path,
    cache_mpp: float,
    left_out: frozenset[str],
    say: Callable[[str], None],
) -> list[Case]:
    """Every slide of every source that is not left out (by name, file stem or patient), read once."""
    cases = []
    for source in sources:
        table = read_mpp_csv(source.mpp_csv) if source.mpp_csv else None
        found = find_slides(source.slides, None).slides
        if not found:
            raise UsageError(f"{source.slides}: no slides in it")
        for path, name in ((s.path, s.name) for s in found):
            patient = _patient(name, table)
            if left_out & {name, Path(name).stem, patient}:
                say(f"{name}: left out")
                continue
            cases.append(_collect(source, path, name, patient, table, cache, cache_mpp))
            say(f"{name}: {len(cases[-1].circles)} glomeruli, {cases[-1].tissue_mm2:.1f} mm2 of tissue")
    return cases


def _collect(
    source: Source,
    path: Path,
    name: str,
    patient: str,
    table: MppTable | None,
    cache: Path,
    cache_mpp: float,
) -> Case:
    truth_path = find_truth(name, source.truth)
    stamps = [p.stat() for p in (path, truth_path)]
    said = resolution_for(name, table, source.mpp)
    unlabelled = source.unlabelled.get(name, np.zeros((0, 3)))
    key = cache_key(
        [
            *(name, source.name, patient, said, cache_mpp, unlabelled.tolist()),
            *((s.st_size, s.st_mtime_ns) for s in stamps),
        ]
    )
    cached = load_case(cache, key)
    if cached is not None:
        return cached
    with open_slide(path, name, said) as slide:
        truth = read_truth(truth_path).ignoring(unlabelled)
        # never finer than the slide itself: enlarging adds bytes and no detail
        picture = slide.overview(max(cache_mpp, slide.info.mpp))
        overview = tissue_overview(slide)
        down = picture.window.downsample
        scale = overview.window.downsample / down
        case = Case(
            name=name,
            source=source.name,
            patient=patient,
            mpp=slide.info.mpp * down,
            pixels=picture.pixels,
            circles=truth.circles() / down,
            ignored=truth.ignored_circles() / down,
            tissue=sample_tissue(overview.tissue, scale, seed=0),
            tissue_mm2=tissue_mm2(overview, slide.info.mpp),
        )
    save_case(cache, key, case)
    again = load_case(cache, key)
    assert again is not None
    return again


def _patient(name: str, table: MppTable | None) -> str:
    """The table's patient, else every slide is its own."""
    row = table.row(name) if table else None
    return (row.columns.get("patient") if row else None) or Path(name).stem
