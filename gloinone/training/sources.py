"""Which slides a training reads: each with its truth file, its patient and its resolution, and all names known."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

import numpy as np
from numpy.typing import NDArray

from gloinone.annotations.class_names import COMPLETE, ClassNames
from gloinone.annotations.region import Region
from gloinone.annotations.truth import Truth, find_truth, read_regions, read_truth, shared_stems
from gloinone.errors import UsageError
from gloinone.learning.holdout import Origins
from gloinone.records import SlideInfo
from gloinone.slide.discover import SlidePath, find_slides
from gloinone.slide.resolution import MppTable, Resolution, read_mpp_csv, resolution_for

Say = Callable[[str], None]


@dataclass(frozen=True)
class SlideFolder:
    """One pair of --slides and --truth, and what was said about it."""

    slides: Path
    truth: Path
    mpp_csv: Path | None = None
    mpp: float | None = None
    classes: ClassNames = field(default_factory=ClassNames)
    complete: bool | None = None
    """Whether every glomerulus is outlined on slides without a `region`; None: not said."""
    unlabelled: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    """Slide name -> (N, 3) circles to ignore, level-0 px."""
    source: str = ""
    """As ``source_names`` tells it from the other folders; empty: there is no other of its name."""

    @property
    def name(self) -> str:
        """What batches are balanced by and scores reported by."""
        return self.source or self.slides.resolve().name


def source_names(folders: Sequence[Path]) -> list[str]:
    """Each folder's own name, and as many of its parents as tell it from other folders of that name.

    >>> source_names([Path("/a/slides"), Path("/b/slides"), Path("/b/tiles"), Path("/a/slides")])
    ['a/slides', 'b/slides', 'tiles', 'a/slides']
    """
    parts = [folder.resolve().parts for folder in folders]
    names = []
    for own in parts:
        others = {other for other in parts if other != own}
        count = 1
        while count < len(own) and any(other[-count:] == own[-count:] for other in others):
            count += 1
        names.append(PurePath(*own[-count:]).as_posix())
    return names


@dataclass(frozen=True)
class ListedSlide:
    """One slide by its name: nothing of it was read, and its truth was not looked for."""

    path: Path
    name: str
    patient: str
    """The table's; without one every slide is its own patient."""
    folder: SlideFolder
    said: Resolution
    number: int
    """Of the slide in its folder: what is drawn at random on it does not depend on which others are left out."""


@dataclass(frozen=True)
class TruthSlide(ListedSlide):
    """One slide that is learned from or judged on, not yet opened."""

    truth_path: Path

    def read_truth(self, info: SlideInfo) -> Truth:
        """Its truth, level-0 px; ``info`` of the opened slide."""
        size = (info.width, info.height)
        truth = read_truth(self.truth_path, self.folder.classes, self.name, info.bounds, size)
        truth = truth.ignoring(self.folder.unlabelled.get(self.name, np.zeros((0, 3))))
        return truth.partial() if self.folder.complete is False else truth


def listed_slides(folders: Sequence[SlideFolder], say: Say) -> list[ListedSlide]:
    """Every slide of every folder, in order; raises UsageError for a folder without slides."""
    slides = []
    for folder in folders:
        found, table = found_slides(folder, say)
        for number, (path, name) in enumerate((s.path, s.name) for s in found):
            said = resolution_for(name, table, folder.mpp)
            slides.append(ListedSlide(path, name, patient_of(name, table), folder, said, number))
    without = set[str]().union(*(folder.unlabelled for folder in folders)) - {slide.name for slide in slides}
    if without:
        some = ", ".join(sorted(without)[:3])
        say(f"--unlabelled: {len(without)} of its slides are not among those to read, such as {some}")
    return slides


def found_slides(folder: SlideFolder, say: Say) -> tuple[tuple[SlidePath, ...], MppTable | None]:
    """The slides of a folder, and its table fitted to them; rows of the table that belong to none are said.

    Raises UsageError for a folder without slides, and for a table that cannot be understood.
    """
    found = find_slides(folder.slides, None).slides
    if not found:
        raise UsageError(f"{folder.slides}: no slides in it")
    if folder.mpp_csv is None:
        return found, None
    table, names = read_mpp_csv(folder.mpp_csv), [slide.name for slide in found]
    for sentence in table.unmatched(names):
        say(sentence)
    return found, table.for_slides(names)


def slide_origins(slides: Sequence[ListedSlide]) -> Origins:
    """Where each comes from."""
    return Origins([s.patient for s in slides], [s.name for s in slides], [s.folder.name for s in slides])


def truth_slides(listed: Sequence[ListedSlide], left_out: frozenset[str], say: Say) -> list[TruthSlide]:
    """Every slide with its truth, in order, but for those of patients that are left out.

    Raises AnnotationError for a slide without truth and for class names that are not known, with all names of all
    files; UsageError for a folder of which nobody said whether its truth is complete.
    """
    slides = []
    for folder in dict.fromkeys(slide.folder.slides for slide in listed):
        own = [slide for slide in listed if slide.folder.slides == folder]
        shared = shared_stems(slide.name for slide in own)
        for slide in own:
            if slide.patient in left_out:
                say(f"{slide.name}: left out")
                continue
            truth_path = find_truth(slide.name, slide.folder.truth, shared, slide.path)
            slides.append(
                TruthSlide(
                    slide.path, slide.name, slide.patient, slide.folder, slide.said, slide.number, truth_path
                )
            )
    check_names(slides)
    return slides


def patient_of(name: str, table: MppTable | None) -> str:
    """The table's patient, else every slide is its own."""
    row = table.row(name) if table else None
    return (row.columns.get("patient") if row else None) or Path(name).stem


def check_names(slides: Sequence[TruthSlide]) -> None:
    """Every class name is known, and where no `region` is drawn somebody said whether the truth is complete."""
    for folder in dict.fromkeys(s.folder.slides for s in slides):
        own = [s for s in slides if s.folder.slides == folder]
        chosen, everything = own[0].folder, list[Region]()
        for slide in own:
            regions = read_regions(slide.truth_path, slide.name)
            everything += regions
            names = (chosen.classes.named(region) for region in regions)
            if chosen.complete is None and not any(r and r.label == COMPLETE for r in names):
                raise UsageError(
                    f"{slide.name}: is every glomerulus outlined? Pass --complete yes if so, --complete no if not "
                    f"(then only outlined ones are learned from), or draw a rectangle named {COMPLETE} around "
                    "what is complete"
                )
        chosen.classes.check(everything, str(chosen.truth))
