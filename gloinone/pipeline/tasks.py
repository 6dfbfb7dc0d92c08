"""What a run is asked to do, and for each slide whether there is something to do, and why."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Protocol

import gloinone
from gloinone.errors import UsageError
from gloinone.pipeline.layout import SlidePlace, slide_place
from gloinone.pipeline.save import SaveOptions
from gloinone.pipeline.state import Basis, InputPrint, Json, print_input, read_state
from gloinone.records import SlideResult, Status
from gloinone.slide.discover import SlidePath, find_slides, readable
from gloinone.slide.reader import Slide
from gloinone.slide.resolution import (
    Resolution,
    check_mpp_option,
    read_mpp_csv,
    resolution_for,
)

Analyse = Callable[[Slide, Callable[[int, int], None]], SlideResult]
"""The method: an open slide, and whom to tell of (tiles done, tiles in all)."""


class Method(Protocol):
    """The networks and what was chosen for them, known before they are loaded."""

    @property
    def models(self) -> Mapping[str, str]:
        """detector, classifier, segmenter: name@first 12 of sha256."""

    @property
    def cards(self) -> Mapping[str, Mapping[str, object]]:
        """The same tasks: name, sha256, licence, measured scores ... of each model, for run.json."""

    @property
    def settings(self) -> Mapping[str, Json]:
        """What the user chose that changes results."""

    @property
    def device(self) -> str:
        """Where the networks run; empty until they are loaded."""

    def load(self) -> Analyse:
        """Load the networks; called at most once, and only if there is a slide to do. Raises WeightsError."""


@dataclass(frozen=True)
class Shard:
    """Every count-th slide of the list, from the index-th on."""

    index: int
    """From 0."""
    count: int

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.count:
            raise UsageError(
                f"--shard {self.index}/{self.count}: shards of {self.count} are numbered from 0 to "
                f"{self.count - 1}"
            )


@dataclass(frozen=True)
class RunConfig:
    """One run over a slide or a folder of slides."""

    source: Path
    """A slide, or a folder that is walked."""
    out: Path
    save: SaveOptions = field(default_factory=SaveOptions)
    mpp: float | None = None
    mpp_csv: Path | None = None
    overwrite: bool = False
    """Redo what is done, too."""
    xml_beside_slide: bool = False
    shard: Shard | None = None
    arguments: tuple[str, ...] = ()
    """As typed, for run.json."""


@dataclass(frozen=True)
class SlideTask:
    """One slide of the run."""

    slide: SlidePath
    resolution: Resolution
    place: SlidePlace
    basis: Basis

    @property
    def name(self) -> str:
        """Of the slide."""
        return self.slide.name


@dataclass(frozen=True)
class Work:
    """All slides of the run, in order."""

    tasks: tuple[SlideTask, ...]
    """Of this shard."""
    listed: int
    """Slides of all shards."""
    ignored: tuple[str, ...]
    """What lies in the folder and is no slide, a sentence each."""
    unmatched: tuple[str, ...]
    """Rows of --mpp-csv that belong to none of the slides, a sentence each."""


def list_work(config: RunConfig, method: Method) -> Work:
    """Walk the folder. Raises UsageError for one without slides and for options that make no sense."""
    check_places(config)
    table = read_mpp_csv(config.mpp_csv) if config.mpp_csv else None
    if config.mpp is not None:
        check_mpp_option(config.mpp)
    found = find_slides(config.source, config.out)
    ignored = [f"{readable(str(one.path))}: {one.reason}" for one in found.ignored]
    if not found.slides:
        raise UsageError(
            f"{config.source}: no slides in it; give a slide, or a folder that holds some"
            + "".join(f"; {sentence}" for sentence in ignored[:3])
        )
    unmatched: list[str] = []
    if table is not None:
        unmatched = table.unmatched(found.names)
        table = table.for_slides(found.names)
    shard = config.shard or Shard(0, 1)
    tasks = []
    for slide in found.slides[shard.index :: shard.count]:
        said = resolution_for(slide.name, table, config.mpp)
        place = slide_place(config.out, slide.name)
        tasks.append(SlideTask(slide, said, place, basis(config, method, said)))
    return Work(tuple(tasks), len(found.slides), tuple(ignored), tuple(unmatched))


def check_places(config: RunConfig) -> None:
    """Raises UsageError unless IN exists and OUT is a folder, or can become one, that is not IN."""
    if not config.source.exists():
        raise UsageError(f"{config.source}: no such file or folder; give a slide or a folder of slides")
    if config.out.exists() and not config.out.is_dir():
        raise UsageError(f"{config.out}: is a file; give a folder for the results")
    source, out = config.source.resolve(), config.out.resolve()
    if source == out:
        raise UsageError(f"{config.out}: is the folder of the slides; give another one for the results")
    if out in source.parents:
        raise UsageError(f"{config.source}: lies in {config.out}, where the results go; give another folder")


def basis(config: RunConfig, method: Method, said: Resolution) -> Basis:
    """What the results of one slide follow from."""
    settings: dict[str, Json] = {**method.settings, **asdict(config.save)}
    settings["mpp_csv"] = said.mpp if said.source == "csv" else None
    settings["mpp_option"] = said.mpp if said.source == "option" else None
    return Basis(gloinone.__version__, dict(method.models), settings)


@dataclass(frozen=True)
class Verdict:
    """Whether a slide is to be done, and why."""

    todo: bool
    why: str
    status: Status | None = None
    """Of the results that are there."""


def judge(task: SlideTask, overwrite: bool) -> Verdict:
    """Look at what there is of a slide."""
    state = read_state(task.place.folder)
    if state is None:
        return Verdict(True, "new")
    if overwrite:
        return Verdict(True, f"is {state.status}, but --overwrite was given", state.status)
    if state.status != "done":
        again = {"failed": "failed before", "partial": "was read in part", "skipped": "was skipped before"}
        return Verdict(True, again[state.status], state.status)
    why = state.differs_from(current_print(task.slide), task.basis)
    return Verdict(bool(why), why or "done before", state.status)


def current_print(slide: SlidePath) -> InputPrint | None:
    """Of the slide as it is now; None if it cannot be read."""
    try:
        return print_input(slide.files)
    except OSError:
        return None
