"""What both second-stage trainings learn from: options, reading once into a cache, and a split that cannot leak."""

import csv
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gloinone.annotations.truth import find_truth, read_truth
from gloinone.cli.names import read_names
from gloinone.cli.training_crops import read_crop_folder
from gloinone.cli.training_options import one_for_each
from gloinone.cli.training_slides import (
    Place,
    SlideOrigin,
    background_places,
    false_places,
    read_patches,
    truth_places,
)
from gloinone.errors import AnnotationError, UsageError
from gloinone.learning.patches import Patches, join_patches, load_patches, save_patches, split_patches
from gloinone.slide.discover import find_slides
from gloinone.slide.reader import open_slide
from gloinone.slide.resolution import MppTable, read_mpp_csv, resolution_for
from gloinone.slide.tissue import tissue_overview

FORMAT = 1
"""Of the cache; raised when patches are made differently."""
Say = Callable[[str], None]


@dataclass(frozen=True)
class SlideFolder:
    """One pair of --slides and --truth."""

    slides: Path
    truth: Path
    mpp_csv: Path | None = None
    circles: Path | None = None
    """OUT of a `gloinone run` on these slides: false circles in it become negatives."""
    incomplete: bool = False
    """Some glomeruli have no outline, so the best false circles may be true."""

    @property
    def name(self) -> str:
        """What batches are balanced by and scores reported by."""
        return self.slides.resolve().name


@dataclass(frozen=True)
class CropFolder:
    """One set of --crops with --labels, --masks or both."""

    crops: Path
    labels: Path | None = None
    masks: Path | None = None


@dataclass(frozen=True)
class SetConfig:
    """What to read and how to part it."""

    folders: tuple[SlideFolder, ...]
    crops: tuple[CropFolder, ...]
    leave_out: frozenset[str]
    """Slides or patients that are not even read."""
    validation: tuple[str, ...]
    """Patients."""
    test: tuple[str, ...] = ()
    background: float = 1.5
    """Circles without a glomerulus for each glomerulus."""
    seed: int = 0


@dataclass(frozen=True)
class TrainingSet:
    """Three parts that share no patient and no slide."""

    train: Patches
    validation: Patches
    """Calibrates."""
    test: Patches
    """Is scored and nothing else."""


def training_set(config: SetConfig, cache: Path, say: Say) -> TrainingSet:
    """Patches of everything named, from the cache where they were read before."""
    parts = [_cached(cache, _key(f, config), partial(_read_crops, f, config), say) for f in config.crops]
    parts += [
        _cached(cache, _key(f, config), partial(_read_slides, f, config, say), say) for f in config.folders
    ]
    rest, test = split_patches(join_patches([p for p in parts if len(p)]), config.test)
    return TrainingSet(*split_patches(rest, config.validation), test)


def _cached(cache: Path, key: str, read: Callable[[], Patches], say: Say) -> Patches:
    path = cache / f"patches-{key}.npz"
    if not path.is_file():
        save_patches(path, read())
    patches = load_patches(path)
    names, counts = np.unique(
        [f"{s} {n}" for s, n in zip(patches.sources, patches.labels, strict=True)], return_counts=True
    )
    say(", ".join(f"{name} {count}" for name, count in zip(names, counts, strict=True)))
    return patches


def _key(folder: SlideFolder | CropFolder, config: SetConfig) -> str:
    """Changes with everything the patches are made from."""
    values = [v for v in vars(folder).values() if isinstance(v, Path)]
    files = [p for v in values for p in ([v] if v.is_file() else sorted(v.rglob("*"))) if p.is_file()]
    stamps = [(str(p), p.stat().st_size, p.stat().st_mtime_ns) for p in files]
    settings = [FORMAT, repr(folder), sorted(config.leave_out), config.background, config.seed]
    return hashlib.sha256(json.dumps([settings, stamps]).encode()).hexdigest()[:16]


def _read_crops(folder: CropFolder, config: SetConfig) -> Patches:
    patches = read_crop_folder(folder.crops, folder.labels, folder.masks)
    kept = [
        i
        for i, names in enumerate(zip(patches.groups, patches.slides, strict=True))
        if config.leave_out.isdisjoint(names)
    ]
    return patches.take(np.array(kept, np.intp))


def _read_slides(folder: SlideFolder, config: SetConfig, say: Say) -> Patches:
    table = read_mpp_csv(folder.mpp_csv) if folder.mpp_csv else None
    found = find_slides(folder.slides, None).slides
    if not found:
        raise UsageError(f"{folder.slides}: no slides in it")
    parts = []
    for number, slide_path in enumerate(found):
        origin = SlideOrigin(slide_path.name, patient_of(slide_path.name, table), folder.name)
        if config.leave_out & {origin.slide, Path(origin.slide).stem, origin.group}:
            say(f"{origin.slide}: left out")
            continue
        rng = np.random.default_rng((config.seed, number))
        parts.append(_read_slide(slide_path.path, origin, folder, table, (config.background, rng)))
    return join_patches([part for part in parts if len(part)])


def _read_slide(
    path: Path,
    origin: SlideOrigin,
    folder: SlideFolder,
    table: MppTable | None,
    background: tuple[float, np.random.Generator],
) -> Patches:
    per_glomerulus, rng = background
    truth = read_truth(find_truth(origin.slide, folder.truth))
    with open_slide(path, origin.slide, resolution_for(origin.slide, table, None)) as slide:
        places: list[Place] = truth_places(truth)
        count = int(np.ceil(per_glomerulus * max(2, len(truth.glomeruli))))
        places += background_places(slide, tissue_overview(slide), truth, count, rng)
        if folder.circles is not None:
            circles = read_circles(folder.circles / "slides" / origin.slide / "circles.csv")
            places += false_places(circles, truth, folder.incomplete)
        return read_patches(slide, places, origin)


def read_circles(path: Path) -> NDArray[np.float64]:
    """(N, 4) cx, cy, radius, det_score of a slide's circles.csv."""
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            rows = [
                [float(row[c]) for c in ("x", "y", "radius", "det_score")] for row in csv.DictReader(stream)
            ]
    except (OSError, KeyError, ValueError) as error:
        raise AnnotationError(
            f"{path}: no circles ({error}); give the OUT of a run on these slides"
        ) from error
    return np.array(rows, np.float64).reshape(-1, 4)


def patient_of(name: str, table: MppTable | None) -> str:
    """The table's patient, else every slide is its own."""
    row = table.row(name) if table else None
    return (row.columns.get("patient") if row else None) or Path(name).stem


def set_config(options: Mapping[str, Any], background: float) -> SetConfig:
    """From the values of ``training_options``."""
    if len(options["truth"]) != len(options["slides"]):
        raise UsageError("give one --truth for every --slides, in the same order")
    tables = one_for_each(options["slides"], options["mpp_csv"], "--mpp-csv", "--slides")
    circles = one_for_each(options["slides"], options.get("false_circles", ()), "--false-circles", "--slides")
    labels = one_for_each(options["crops"], options["labels"], "--labels", "--crops")
    masks = one_for_each(options["crops"], options["masks"], "--masks", "--crops")
    incomplete = read_names(options.get("incomplete", ()))
    return SetConfig(
        tuple(
            SlideFolder(s, t, m, c, s.resolve().name in incomplete)
            for s, t, m, c in zip(options["slides"], options["truth"], tables, circles, strict=True)
        ),
        tuple(CropFolder(*values) for values in zip(options["crops"], labels, masks, strict=True)),
        read_names(options["leave_out"]),
        tuple(sorted(read_names(options["val"]))),
        tuple(sorted(read_names(options["test"]))),
        background,
    )
