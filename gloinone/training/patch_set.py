"""What both second-stage trainings learn from: slides and crops read once, and a split that cannot leak."""

import csv
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gloinone.errors import AnnotationError
from gloinone.learning.holdout import Origins, a_fifth, join_origins, left_out_patients, out_of
from gloinone.learning.patch_training import PatchSet
from gloinone.learning.patches import (
    Patches,
    join_patches,
    load_patches,
    part_patches,
    patch_origins,
    save_patches,
    split_patches,
)
from gloinone.slide.reader import open_slide
from gloinone.slide.tissue import tissue_overview
from gloinone.training.crop_patches import listed_crops, read_crop_folder
from gloinone.training.slide_patches import (
    Place,
    SlideOrigin,
    background_places,
    false_places,
    read_patches,
    truth_places,
)
from gloinone.training.sources import (
    Say,
    SlideFolder,
    TruthSlide,
    listed_slides,
    slide_origins,
    truth_slides,
)

FORMAT = 5
"""Of the cache; raised when patches are made differently."""


@dataclass(frozen=True)
class CropFolder:
    """One set of --crops with --labels, --masks or both."""

    crops: Path
    labels: Path | None = None
    masks: Path | None = None
    source: str = ""
    """Of crops whose centre is not said; empty: the folder's name."""
    any_label: bool = False
    """Nobody looks at the labels."""


@dataclass(frozen=True)
class SetConfig:
    """What to read and how to part it."""

    folders: tuple[SlideFolder, ...]
    crops: tuple[CropFolder, ...]
    leave_out: frozenset[str]
    """Slides or patients; nothing of these patients is even read."""
    validation: frozenset[str] | None
    """Slides or patients; None: a fifth of the patients."""
    test: frozenset[str] = frozenset()
    background: float = 1.5
    """Circles without a glomerulus for each glomerulus."""
    circles: dict[Path, Path] = field(default_factory=dict)
    """By folder of slides."""
    seed: int = 0


def patch_set(config: SetConfig, cache: Path, say: Say) -> PatchSet:
    """What is learned from, and what is held out, of everything named."""
    read = all_patches(config, cache, say)
    rest, test = split_patches(read.patches, config.test, "--test")
    if config.validation is not None:
        return PatchSet(*split_patches(rest, config.validation), test, read.left_out)
    # Of all that is listed, whoever has patches: the detector, which looks at all, holds out the same
    chosen = a_fifth(read.listed.without(read.left_out | set(test.groups)))
    return PatchSet(*part_patches(rest, out_of(patch_origins(rest), chosen, "--val")), test, read.left_out)


class ReadPatches(NamedTuple):
    """Of everything named."""

    patches: Patches
    listed: Origins
    """Of every slide and crop, read or not."""
    left_out: frozenset[str]
    """Patients."""


def all_patches(config: SetConfig, cache: Path, say: Say) -> ReadPatches:
    """Patches of everything named, from the cache where they were read before."""
    listed = listed_slides(config.folders, say)
    origins = [slide_origins(listed), *(crop_origins(crops) for crops in config.crops)]
    everything = join_origins(origins)
    left_out = left_out_patients(everything, config.leave_out)
    parts = []
    for crops in config.crops:
        key = _key(config, f"{crops!r} {sorted(left_out)}", [crops.crops, crops.labels, crops.masks])
        parts.append(_cached(cache, key, partial(_read_crops, crops, left_out), say))
    slides = truth_slides(listed, left_out, say)
    for folder in config.folders:
        own = [slide for slide in slides if slide.folder is folder]
        if not own:
            continue  # all of them are left out
        circles = config.circles.get(folder.slides)
        files = [path for slide in own for path in (slide.path, slide.truth_path)]
        said = [(s.name, s.patient, str(s.said)) for s in own]
        key = _key(config, f"{folder!r} {said} {circles}", [*files, circles / "slides" if circles else None])
        parts.append(_cached(cache, key, partial(_read_slides, own, circles, config), say))
    return ReadPatches(join_patches([p for p in parts if len(p)]), everything, left_out)


def crop_origins(folder: CropFolder) -> Origins:
    """Where each crop comes from."""
    crops = listed_crops(folder.crops, folder.labels, folder.source, folder.any_label)
    return Origins([c.patient for c in crops], [c.slide for c in crops], [c.source for c in crops])


def _cached(cache: Path, key: str, read: Callable[[], Patches], say: Say) -> Patches:
    path = cache / f"patches-{key}.npz"
    if not path.is_file():
        save_patches(path, read())
    patches = load_patches(path)
    names, counts = np.unique(
        [f"{s} {n}" for s, n in zip(patches.sources, patches.labels, strict=True)], return_counts=True
    )
    if len(patches):
        say(", ".join(f"{name} {count}" for name, count in zip(names, counts, strict=True)))
    return patches


def _key(config: SetConfig, what: str, paths: Sequence[Path | None]) -> str:
    """Changes with everything the patches are made from."""
    files = [p for v in paths if v for p in ([v] if v.is_file() else sorted(v.rglob("*"))) if p.is_file()]
    stamps = [(str(p), p.stat().st_size, p.stat().st_mtime_ns) for p in files]
    settings = [FORMAT, what, config.background, config.seed]
    return hashlib.sha256(json.dumps([settings, stamps]).encode()).hexdigest()[:16]


def _read_crops(folder: CropFolder, left_out: frozenset[str]) -> Patches:
    where = (folder.crops, folder.labels, folder.masks)
    return read_crop_folder(*where, left_out, folder.source, folder.any_label)


def _read_slides(slides: Sequence[TruthSlide], circles: Path | None, config: SetConfig) -> Patches:
    parts = []
    for source in slides:
        rng = np.random.default_rng((config.seed, source.number))
        parts.append(_read_slide(source, circles, config.background, rng))
    return join_patches([part for part in parts if len(part)] or parts)


def _read_slide(
    source: TruthSlide, circles: Path | None, background: float, rng: np.random.Generator
) -> Patches:
    with open_slide(source.path, source.name, source.said) as slide:
        truth = source.read_truth(slide.info)
        places: list[Place] = truth_places(truth)
        count = int(np.ceil(background * max(2, len(truth.glomeruli))))
        overview = tissue_overview(slide)
        places += background_places(slide, overview, truth, count, rng)
        if circles is not None:
            table = read_circles(circles / "slides" / source.name / "circles.csv")
            places += false_places(table, truth)
        origin = SlideOrigin(source.name, source.patient, source.folder.name)
        return read_patches(slide, places, origin, overview.gain)


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
