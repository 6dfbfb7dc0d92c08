"""What a run is asked to do, and for each slide whether there is something to do, and why."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Protocol

import gloinone
from gloinone.errors import UsageError
from gloinone.pipeline.layout import SlidePlace, slide_place
from gloinone.pipeline.pseudonyms import disguise, give_pseudonyms, rename
from gloinone.pipeline.save import SaveOptions
from gloinone.pipeline.slide_list import place_in, read_list
from gloinone.pipeline.state import Basis, InputPrint, Json, print_input, read_state
from gloinone.records import UNSAID, Origin, SlideResult, Status
from gloinone.slide.discover import SlidePath, find_slides, readable
from gloinone.slide.reader import Slide
from gloinone.slide.resolution import (
    MppTable,
    Resolution,
    check_mpp_option,
    read_mpp_csv,
    resolution_for,
)

IGNORED = "things in the folder of the slides are passed over"
UNMATCHED = "rows of --mpp-csv belong to no slide"


class Begun(Protocol):
    """An open slide that is being read, and has not been through the networks."""

    def finish(self, on_tile: Callable[[int, int], None], /) -> SlideResult:
        """The rest; (tiles done, tiles in all) are told."""

    def close(self) -> None:
        """Stop reading; the slide stays the caller's."""


Analyse = Callable[[Slide], Begun]
"""The method: it begins at once with what needs no network."""


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
    """Of the slides in OUT's list, which the first shard writes if there is none."""
    pending: bool = False
    """Only slides of which nothing is known yet, not even that they failed; of OUT's list if there is one."""
    only_listed: bool = False
    """Only slides that have a row in the table of mpp."""
    pseudonyms: Path | None = None
    """The key: slides are called S0001 ... in everything that is written and said."""
    arguments: tuple[str, ...] = ()
    """For run.json: as typed, or, with pseudonyms, without whatever may be a name."""

    def __post_init__(self) -> None:
        if self.hides_names and self.xml_beside_slide:
            raise UsageError(
                "--xml-beside-slide: an XML beside a slide bears the slide's name, which --pseudonyms hides; "
                "leave one of them out"
            )

    @property
    def hides_names(self) -> bool:
        """Nothing may be written that tells which slide it is."""
        return self.pseudonyms is not None


@dataclass(frozen=True)
class SlideTask:
    """One slide of the run."""

    slide: SlidePath
    resolution: Resolution
    place: SlidePlace
    basis: Basis
    origin: Origin = UNSAID

    @property
    def name(self) -> str:
        """Of the slide."""
        return self.slide.name


@dataclass(frozen=True)
class Work:
    """All slides of the run, in order."""

    tasks: tuple[SlideTask, ...]
    """Of this shard."""
    slides: tuple[SlidePath, ...]
    """Of all shards."""
    ignored: tuple[str, ...]
    """What lies in the folder and is no slide, a sentence each."""
    unmatched: tuple[str, ...]
    """Rows of --mpp-csv that belong to none of the slides, a sentence each."""
    origins: Mapping[str, Origin] = field(default_factory=dict)
    """By name."""


def list_work(config: RunConfig, method: Method, keep_names: bool = True) -> Work:
    """Walk the folder, or read OUT's list. Raises UsageError for no slides and for options that make no sense.

    What a slide is called is settled here: whatever comes later knows no other name. ``keep_names``: pseudonyms of
    new slides are added to the key.
    """
    check_places(config.source, config.out)
    table = read_mpp_csv(config.mpp_csv) if config.mpp_csv else None
    if config.mpp is not None:
        check_mpp_option(config.mpp)
    listed = read_list(config.out) if config.shard or config.pending else None
    if listed is None or config.hides_names:  # a list of pseudonyms does not say where their slides lie
        slides, ignored = walk(config.source, config.out)
    else:
        slides, ignored = place_in(config.source, listed), ()
    unmatched: list[str] = []
    if table is not None:
        names = tuple(slide.name for slide in slides)
        unmatched = table.unmatched(names)
        table = table.for_slides(names)
    if config.only_listed:
        slides = listed_only(slides, table)
    resolutions = {slide.name: resolution_for(slide.name, table, config.mpp) for slide in slides}
    origins = {name: table.origin(name) for name in resolutions} if table else {}
    if config.pseudonyms is not None:
        called = give_pseudonyms(config.pseudonyms, config.source, config.out, resolutions, keep_names)
        if table is not None:  # of all slides that the key knows: a patient must keep a name, too
            origins = disguise({called[name]: table.origin(name) for name in called})
        resolutions = {called[name]: said for name, said in resolutions.items()}
        slides = rename(slides, called)
        slides = slides if listed is None else place_in(config.source, listed, slides)
        if config.only_listed:
            slides = tuple(slide for slide in slides if slide.name in resolutions)
        ignored = counted(ignored, IGNORED)
        unmatched = list(counted(unmatched, UNMATCHED))
    shard = config.shard or Shard(0, 1)
    tasks = []
    for slide in slides[shard.index :: shard.count]:
        place = slide_place(config.out, slide.name)
        if config.pending and read_state(place.folder) is not None:
            continue
        said = resolutions.get(slide.name, Resolution())  # one that is gone since it was listed has none
        origin = origins.get(slide.name, UNSAID)
        tasks.append(SlideTask(slide, said, place, basis(config, method, said), origin))
    return Work(tuple(tasks), slides, ignored, tuple(unmatched), origins)


def listed_only(slides: Sequence[SlidePath], table: MppTable | None) -> tuple[SlidePath, ...]:
    """Slides that have a row in the table of --mpp-csv. Raises UsageError if there are none, or no table."""
    if table is None:
        raise UsageError("--only-listed: no list; name a table with the columns slide and mpp in --mpp-csv")
    table = table.for_slides(slide.name for slide in slides)
    listed = tuple(slide for slide in slides if table.row(slide.name))
    if not listed:
        raise UsageError(f"{table.path}: lists none of the {len(slides)} slides; leave --only-listed out")
    return listed


def counted(sentences: Sequence[str], what: str) -> tuple[str, ...]:
    """In place of sentences that quote names."""
    return (
        (f"{len(sentences)} {what}; a --dry-run without --pseudonyms, for another OUT, names them",)
        if sentences
        else ()
    )


def walk(source: Path, out: Path) -> tuple[tuple[SlidePath, ...], tuple[str, ...]]:
    """Slides of IN, sorted by name, and a sentence for each thing passed over. Raises UsageError if there are none."""
    check_places(source, out)
    found = find_slides(source, out)
    if hidden := [name for name in found.names if name.startswith(".")]:
        raise UsageError(f"{source}: {hidden[0]} is hidden, and so would its results be; rename it")
    ignored = tuple(f"{readable(str(one.path))}: {one.reason}" for one in found.ignored)
    if not found.slides:
        raise UsageError(
            f"{source}: no slides in it; give a slide, or a folder that holds some"
            + "".join(f"; {sentence}" for sentence in ignored[:3])
        )
    return found.slides, ignored


def check_places(source: Path, out: Path) -> None:
    """Raises UsageError unless IN exists and OUT is a folder, or can become one, that is not IN."""
    if not source.exists():
        raise UsageError(f"{source}: no such file or folder; give a slide or a folder of slides")
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out}: is a file; give a folder for the results")
    try:
        real_source, real_out = source.resolve(), out.resolve()
    except (OSError, RuntimeError) as error:  # up to Python 3.12 a circle of links is a RuntimeError
        raise UsageError(f"{source}, {out}: one is a link that cannot be followed ({error})") from error
    if real_source == real_out:
        raise UsageError(f"{out}: is the folder of the slides; give another one for the results")
    if real_out in real_source.parents:
        raise UsageError(f"{source}: lies in {out}, where the results go; give another folder")


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
    if state.status in ("done", "partial") and not os.path.lexists(task.slide.path):
        # of the list, and taken away since: results must not give way to a slide that cannot be read
        return Verdict(False, f"{state.status} before; the slide itself is gone", state.status)
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
