"""What the numbers by which results are distrusted are on real tissue, and on the same tissue with made-up faults.

    python -m benchmarks.flags DATA [--write]

DATA is the folder of the project's annotated slides. Printed are: the sharpness of each source as it is and blurred
by Gaussians of known width, with the curve for gloinone/slide/sharpness.py; of each number the median, the 95th
percentile and the largest over the slides as they are (the stain's distance to the other slides); and for each fault
how many of the slides are flagged for it, and how many were before. ``--write``: write the directions of the stains of
the training slides to gloinone/pipeline/training_stains.json; those that are left out of training are not among them.
"""

import argparse
import csv
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from gloinone.doubts import LIMITS, Doubts
from gloinone.pipeline.distrust import (
    TRAINING_STAINS,
    find_covered,
    stain_directions,
    stain_distance,
    training_stains,
)
from gloinone.records import Overview, Pixels
from gloinone.slide.nuclei import nuclei_um
from gloinone.slide.reader import open_slide
from gloinone.slide.resolution import Resolution
from gloinone.slide.sampling import Read
from gloinone.slide.sharpness import SIGMA_UM, blur_um, sharpness
from gloinone.slide.tissue import find_tissue, tissue_overview
from gloinone.slide.tissue_samples import TissueSamples, sample_tissue

FOLDERS = ("biopsies-he", "fields", "regions-he")
AIDPATH_MPP = 0.5
COARSE = "regions-he"
"""As coarse as the detector's tiles, or coarser: it does not show what a sharp slide is."""
MPP_UNKNOWN = ("fields", COARSE)
"""Their mpp says nothing of size."""
LEFT_OUT = Path(__file__).parents[1] / "docs/weights/left-out.txt"


@dataclass(frozen=True)
class Subject:
    """A slide, as far as it is judged."""

    path: Path
    source: str
    mpp: float
    samples: TissueSamples
    overview: Overview

    def number(self, name: str) -> float | None:
        """As a run finds it."""
        pictures, um_per_px = self.samples.pictures, self.samples.um_per_px
        if name == "nuclei_um":
            return nuclei_um(pictures, um_per_px)
        if name == "blur_um":
            ratios = [ratio for p in pictures if (ratio := sharpness(p, um_per_px)) is not None]
            return blur_um(float(np.median(ratios))) if ratios else None
        if name == "stain_distance":
            return stain_distance(stain_directions(pictures), training_stains())
        covered = find_covered(self.overview, self.mpp)
        return covered.pen_share if name == "pen_share" else covered.fold_share


def read_subject(path: Path, source: str, mpp: float) -> Subject:
    """What a run reads of it."""
    with open_slide(path, path.name, Resolution(mpp, "csv")) as slide:
        overview = tissue_overview(slide)
        return Subject(path, source, mpp, sample_tissue(slide, overview), overview)


def find_subjects(data: Path, every: int) -> Iterator[tuple[Path, str, float]]:
    """Every ``every``-th slide of each source, with its mpp."""
    yield from ((data / f"hubmap-wsi/pas-{letter}.tif", "hubmap", 0.65) for letter in "ab")
    for folder in FOLDERS:
        with (data / folder / "slides.csv").open(encoding="utf-8") as stream:
            for row in list(csv.DictReader(stream))[::every]:
                yield data / folder / row["slide"], folder, float(row["mpp"])
    for path in sorted((data / "aidpath-tiles/images").iterdir())[::every]:
        yield path, "aidpath-tiles", AIDPATH_MPP


def blurred(picture: Pixels, sigma_um: float, um_per_px: float) -> Pixels:
    """The picture out of focus."""
    return (
        picture
        if sigma_um <= 0
        else np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma_um / um_per_px), np.uint8)
    )


def with_pictures(subject: Subject, change: Callable[[Pixels], Pixels]) -> Subject:
    """The same with each window changed."""
    pictures = tuple(change(picture) for picture in subject.samples.pictures)
    return replace(subject, samples=replace(subject.samples, pictures=pictures))


def out_of_focus(subject: Subject) -> Subject:
    """Blurred by 4 um."""
    return with_pictures(subject, lambda p: blurred(p, 4.0, subject.samples.um_per_px))


def twice_the_mpp(subject: Subject) -> Subject:
    """Read with twice the mpp."""
    return read_subject(subject.path, subject.source, 2 * subject.mpp)


def half_the_mpp(subject: Subject) -> Subject:
    """Read with half the mpp."""
    return read_subject(subject.path, subject.source, subject.mpp / 2)


def in_blue(subject: Subject) -> Subject:
    """Red light takes the place of green: what was pink is blue."""
    return with_pictures(subject, lambda picture: np.ascontiguousarray(picture[..., [1, 2, 0]]))


def folded(subject: Subject) -> Subject:
    """A fifth of the columns lies over its like: twice the optical density."""
    pixels = subject.overview.pixels.copy()
    x = np.nonzero(subject.overview.tissue)[1]
    first, last = (int(v) for v in np.percentile(x, [40, 60]))
    both = pixels[:, first:last].astype(np.float32) ** 2 / np.percentile(pixels, 99)
    pixels[:, first:last] = np.clip(both, 0, 255).astype(np.uint8)
    return replace(subject, overview=replace(subject.overview, pixels=pixels))


def under_a_pen(subject: Subject) -> Subject:
    """A broad blue stroke across the tissue."""
    overview, pixels = subject.overview, subject.overview.pixels.copy()
    um_per_px = subject.mpp * overview.window.downsample
    y = int(np.median(np.nonzero(overview.tissue)[0]))
    half = max(1, round(150 / um_per_px))
    pixels[max(0, y - half) : y + half] = (20, 60, 190)
    read = Read(overview.window, pixels, np.ones(overview.tissue.shape, bool))
    return replace(subject, overview=replace(overview, pixels=pixels, tissue=find_tissue(read, um_per_px)))


FAULTS: dict[Callable[[Subject], Subject], str] = {
    out_of_focus: "blur_um",
    twice_the_mpp: "nuclei_um",
    half_the_mpp: "nuclei_um",
    in_blue: "stain_distance",
    folded: "fold_share",
    under_a_pen: "pen_share",
}


def tell_sharpness(subjects: Sequence[Subject]) -> None:
    """Print the curve."""
    print(f"log sharpness blurred by {SIGMA_UM} um, median over slides:")
    curves: dict[str, list[list[float]]] = {}
    for subject in subjects:
        pictures, um_per_px = subject.samples.pictures, subject.samples.um_per_px
        curve = []
        for sigma in SIGMA_UM:
            ratios = [sharpness(blurred(p, sigma, um_per_px), um_per_px) for p in pictures[::4]]
            known = [ratio for ratio in ratios if ratio is not None]
            curve.append(float(np.median(known)) if known else np.nan)
        curves.setdefault(subject.source, []).append(curve)
    medians = {source: np.nanmedian(curve, axis=0) for source, curve in curves.items()}
    for source, median in medians.items():
        print(f"  {source:14}", median.round(2).tolist())
    fine = [median for source, median in medians.items() if source != COARSE]
    print(f"  LOG_RATIO      {np.median(fine, axis=0).round(1).tolist()} (without {COARSE})")


def tell_as_they_are(subjects: Sequence[Subject]) -> None:
    """Print what the numbers are without a fault."""
    stains = [stain_directions(s.samples.pictures) for s in subjects]
    print(f"{'as they are':16}{'slides':>7}{'median':>9}{'95 %':>9}{'most':>9}{'limit':>9}{'flagged':>9}")
    for name in ("blur_um", "pen_share", "fold_share", "stain_distance", "nuclei_um"):
        values = [None if name == "stain_distance" else subject.number(name) for subject in subjects]
        if name == "stain_distance":
            others = [
                [o for j, o in enumerate(stains) if o is not None and j != i] for i in range(len(stains))
            ]
            values = [stain_distance(own, np.array(known)) for own, known in zip(stains, others, strict=True)]
        known = [value for value in values if value is not None]
        flagged = sum(bool(Doubts(**{name: value}).flags) for value in known)
        numbers = "".join(f"{v:9.3f}" for v in (*np.percentile(known, [50, 95, 100]), LIMITS[name]))
        print(f"{name:16}{len(known):7}{numbers}{flagged:9}")


def tell_faults(subjects: Sequence[Subject]) -> None:
    """Print how many slides each fault flags."""
    print(f"{'fault':16}{'slides':>7}{'flagged before':>16}{'after':>7}")
    for fault, name in FAULTS.items():
        before, after = [], []
        among = [s for s in subjects if name != "nuclei_um" or s.source not in MPP_UNKNOWN]
        for subject in among:
            was, now = subject.number(name), fault(subject).number(name)
            if was is not None and now is not None:
                before.append(bool(Doubts(**{name: was}).flags))
                after.append(bool(Doubts(**{name: now}).flags))
        print(f"{fault.__name__:16}{len(after):7}{sum(before):16}{sum(after):7}", flush=True)


def main() -> int:
    """Print the numbers."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--every", type=int, default=1, help="slides of each source, of which one is taken")
    parser.add_argument("--faulty", type=int, default=1, help="of these, of which one gets the faults")
    parser.add_argument("--only", action="append", help="a source; may be repeated; all if it is not given")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    subjects = [
        read_subject(*found)
        for found in find_subjects(options.data, options.every)
        if not options.only or found[1] in options.only
    ]
    subjects = [subject for subject in subjects if subject.samples.pictures]
    if options.write:
        left_out = set(LEFT_OUT.read_text("utf-8").split())
        known = [stain_directions(s.samples.pictures) for s in subjects if s.path.stem not in left_out]
        stains = [stain.round(4).tolist() for stain in known if stain is not None]
        TRAINING_STAINS.write_text("[\n" + ",\n".join(map(json.dumps, stains)) + "\n]\n", encoding="utf-8")
        print(f"{len(stains)} slides' stains written")
    tell_sharpness(subjects)
    tell_as_they_are(subjects)
    tell_faults(subjects[:: options.faulty])
    return 0


if __name__ == "__main__":
    sys.exit(main())
