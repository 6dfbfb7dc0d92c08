"""Whether slides and truth fit together, before hours go into a training: matched, in one frame, of a likely size."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gloinone.annotations.class_names import UNNAMED
from gloinone.annotations.imagescope import read_imagescope
from gloinone.annotations.truth import Truth, find_truth, read_regions, read_truth, shared_stems
from gloinone.errors import AnnotationError, ResolutionError, SlideError
from gloinone.records import Overview, SlideInfo
from gloinone.slide.reader import open_slide
from gloinone.slide.resolution import resolution_for
from gloinone.slide.tissue import tissue_overview
from gloinone.training.sources import Say, SlideFolder, found_slides

DIAMETERS_UM = (60.0, 400.0)
"""Between which the median glomerulus of any human kidney lies."""
MIN_INSIDE, MIN_ON_TISSUE = 0.9, 0.7
"""Of the outlines of a slide; a truth in another frame puts most of them elsewhere."""


@dataclass(frozen=True)
class Checked:
    """What one slide's truth says of it."""

    slide: str
    truth: str = ""
    """Name of the file; empty where there is none."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """Areas by our class, or by their name where that is not known."""
    inside: float = float("nan")
    """Share of glomeruli centred on the slide; nan without any."""
    on_tissue: float = float("nan")
    median_um: float = float("nan")
    """Diameter of the circle of the same area."""
    mends: tuple[str, ...] = ()
    """What is wrong and what to do, a sentence each."""


def check_folder(folder: SlideFolder, say: Say) -> list[Checked]:
    """Every slide of a folder; raises UsageError without slides, and says which rows of the table belong to none."""
    found, table = found_slides(folder, say)
    shared = shared_stems(slide.name for slide in found)
    rows = []
    for slide_path in found:
        name = slide_path.name
        try:
            truth_path = find_truth(name, folder.truth, shared, slide_path.path)
        except AnnotationError as error:
            rows.append(Checked(name, mends=(str(error),)))
            continue
        row = Checked(name, truth_path.name)
        try:
            regions = read_regions(truth_path, name)
            own = ((folder.classes.named(region), region) for region in regions if not region.is_hole)
            counts = Counter(ours.label if ours else theirs.label or UNNAMED for ours, theirs in own)
            row = Checked(name, truth_path.name, dict(sorted(counts.items())))
            folder.classes.check(regions, truth_path.name)
            with open_slide(slide_path.path, name, resolution_for(name, table, folder.mpp)) as slide:
                size = (slide.info.width, slide.info.height)
                truth = read_truth(truth_path, folder.classes, name, slide.info.bounds, size)
                rows.append(_measured(row, truth, slide.info, tissue_overview(slide)))
        except (AnnotationError, SlideError) as error:
            known = _mpp_of(truth_path) if isinstance(error, ResolutionError) else ""
            rows.append(Checked(row.slide, row.truth, row.counts, mends=(f"{error}{known}",)))
    return rows


def _measured(row: Checked, truth: Truth, info: SlideInfo, overview: Overview) -> Checked:
    """The row with what its glomeruli say."""
    circles = np.concatenate([truth.circles(), truth.ignored_circles()])
    if not len(circles):
        return row
    centres = circles[:, :2]
    inside = ((centres >= 0) & (centres < (info.width, info.height))).all(axis=1)
    on_tissue = [touches_tissue(circle, overview) for circle in circles]
    # Cut ones are smaller than they were
    sizes = (truth.circles() if len(truth.glomeruli) else circles)[:, 2]
    median_um = float(np.median(2 * info.um_from_l0(1.0) * sizes))
    shares = float(inside.mean()), float(np.mean(on_tissue))
    mends = []
    if shares[0] < MIN_INSIDE or shares[1] < MIN_ON_TISSUE:
        mends.append(wrong_frame(row, circles, info, shares))
    elif not DIAMETERS_UM[0] <= median_um <= DIAMETERS_UM[1]:
        mends.append(
            f"{row.slide}: the median glomerulus measures {median_um:.0f} um, outside {DIAMETERS_UM[0]:.0f} to "
            f"{DIAMETERS_UM[1]:.0f}, at {info.mpp:g} um/px (from {info.mpp_source}); correct the um/px in --mpp-csv"
        )
    return Checked(row.slide, row.truth, row.counts, *shares, median_um, tuple(mends))


def touches_tissue(circle: NDArray[np.float64], overview: Overview) -> bool:
    """Whether at least a third of a circle (cx, cy, radius; level-0 px) is tissue."""
    cx, cy, radius = circle
    (x0, y0), (x1, y1) = overview.window.image_from_l0(
        np.array([[cx - radius, cy - radius], [cx + radius, cy + radius]])
    )
    height, width = overview.tissue.shape
    columns = slice(int(np.clip(x0, 0, width)), int(np.clip(np.ceil(x1), 0, width)))
    rows = slice(int(np.clip(y0, 0, height)), int(np.clip(np.ceil(y1), 0, height)))
    part = overview.tissue[rows, columns]
    return bool(part.size and part.mean() >= 1 / 3)


def wrong_frame(
    row: Checked, circles: NDArray[np.float64], info: SlideInfo, shares: tuple[float, float]
) -> str:
    """In words, with what it may come from."""
    reach = circles[:, :2].max(axis=0) / (info.width, info.height)
    cause = "export it from this very slide"
    if reach.max() > 1.05:
        cause = f"it reaches {reach.max():.1f} times beyond the slide: is the slide a smaller copy? {cause}"
    elif reach.max() < 0.5:
        cause = (
            f"it ends at {reach.max():.0%} of the slide: drawn on a smaller copy or another level? {cause}"
        )
    elif info.bounds:
        cause = f"the slide has bounds, which QuPath subtracts and others do not: {cause} with QuPath"
    return (
        f"{row.slide}: {row.truth} lies in another frame ({shares[0]:.0%} of its outlines on the slide, "
        f"{shares[1]:.0%} on tissue); {cause}"
    )


def _mpp_of(truth_path: Path) -> str:
    """What an ImageScope file knows of the resolution, for a slide that cannot say it."""
    if truth_path.suffix != ".xml":
        return ""
    try:
        mpp = read_imagescope(truth_path).mpp
    except AnnotationError:
        return ""
    return f" ({truth_path.name} says {mpp:g})" if mpp else ""


def unused_truth(folder: SlideFolder, rows: Sequence[Checked]) -> list[str]:
    """Truth files in the folder that no slide took: often a typing error in a name."""
    if folder.truth.is_file():
        return []
    used = {row.truth for row in rows} | {Path(row.slide).name for row in rows}
    files = (
        p for p in sorted(folder.truth.rglob("*")) if p.name.endswith((".geojson", ".geojson.gz", ".xml"))
    )
    return [p.name for p in files if p.name not in used]
