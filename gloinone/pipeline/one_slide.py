"""One slide of a run: analysed into a private folder, accounted for, and put in its place."""

import logging
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, closing, nullcontext, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, Protocol

from gloinone.annotations.tables import MadeWith, summary_row, summary_row_without_result
from gloinone.errors import OutputError, SlideUnreadableError
from gloinone.pipeline.ahead import Opened
from gloinone.pipeline.atomic import check_writable, sync_tree, write_atomic
from gloinone.pipeline.exchange import (
    ChangedMeanwhileError,
    empty,
    exchange,
    hash_protected,
    keep_foreign,
    put_back,
    stamp_files,
    write_beside,
)
from gloinone.pipeline.layout import LOG, REPORT, STATE, SlidePlace, file_stem
from gloinone.pipeline.report_slide import ReportSlide
from gloinone.pipeline.save import SaveOptions, write_slide
from gloinone.pipeline.slide_log import SlideLog, log_end
from gloinone.pipeline.slide_report import slide_report
from gloinone.pipeline.state import (
    Basis,
    InputPrint,
    State,
    file_sha256,
    print_input,
    read_state,
    state_bytes,
)
from gloinone.pipeline.tasks import SlideTask
from gloinone.records import SlideInfo, SlideResult, Status

logger = logging.getLogger(__name__)

Shield = Callable[[], AbstractContextManager[None]]
"""No signal interrupts what is done in it."""
EXCHANGE_TRIES = 20
"""Times somebody may save a file just while it is looked at."""


class Placed(Protocol):
    """A slide whose files are to be put in place."""

    @property
    def name(self) -> str:
        """Path relative to IN."""

    @property
    def place(self) -> SlidePlace:
        """Of its files in OUT."""

    @property
    def basis(self) -> Basis:
        """What the files follow from."""


@dataclass(frozen=True)
class Account:
    """What became of a slide, before it is put in place."""

    status: Status
    reason: str
    input: InputPrint | None
    row: Mapping[str, str]
    notes: tuple[str, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    beside: Mapping[str, str] = field(default_factory=dict)
    """sha256 of our file beside the slide, by name."""


@dataclass(frozen=True)
class Means:
    """With what a slide was done, and how its files are put in place."""

    device: str
    """Empty where it did not come to that."""
    models: Mapping[str, Mapping[str, object]]
    """What may be written down of each model."""
    shield: Shield


@dataclass(frozen=True)
class Finishing:
    """How to finish a slide; the same for all slides of a run."""

    device: Callable[[], str]
    xml_beside_slide: bool
    words_of: Callable[[Exception], str]
    """What may be written down of an error."""
    models: Mapping[str, Mapping[str, object]]
    """What may be written down of each model."""


@dataclass(frozen=True)
class Made:
    """What the networks said of a slide, and of which input."""

    result: SlideResult
    input: InputPrint


def finish_slide(opened: Opened, on_tile: Callable[[int, int], None]) -> Made:
    """Through the networks, and closed. Raises whatever goes wrong."""
    task = opened.task
    with closing(opened):
        result = replace(opened.begun.finish(on_tile), origin=task.origin)
    with suppress(OSError):
        if print_input(task.slide.files) != opened.input:
            raise SlideUnreadableError(f"{task.name}: changed while it was read; run again")
    return Made(result, opened.input)


def write_made(task: SlideTask, folder: Path, made: Made, save: SaveOptions) -> Account:
    """Write all files into an empty folder. Raises whatever goes wrong."""
    result = made.result
    began = time.monotonic()
    place = task.place.folder.relative_to(task.place.out).as_posix()
    write_slide(folder, result, save, place)
    row = summary_row(result, made_with(task.basis))
    seconds = {**result.seconds, "write": round(time.monotonic() - began, 3)}
    logger.info("%s: seconds: %s", task.name, ", ".join(f"{step} {s:.1f}" for step, s in seconds.items()))
    for note in result.notes:
        logger.info("%s: %s", task.name, note)
    return Account(result.status, row["reason"], made.input, row, result.notes, seconds)


def describe_slide(info: SlideInfo) -> str:
    """Size, resolution, format, in one line."""
    size = f"{info.width} x {info.height} px, {info.mpp:g} um/px ({info.mpp_source})"
    return f"{info.name}: {size}, {info.vendor}, {len(info.level_downsamples)} levels"


def made_with(basis: Basis) -> MadeWith:
    """For the slide's row."""
    models, min_score = basis.models, basis.settings.get("min_score")
    return MadeWith(
        models.get("detector", ""),
        models.get("classifier", ""),
        models.get("segmenter", ""),
        basis.version,
        min_score if isinstance(min_score, int | float) else None,
    )


def account_without_result(
    task: SlideTask, status: Literal["failed", "skipped"], why: str, info: SlideInfo | None
) -> Account:
    """Of a slide that failed or is none of ours; ``why`` without its name, in one line."""
    why = " ".join(why.removeprefix(f"{task.name}: ").split())
    known: InputPrint | None = None
    with suppress(OSError):
        known = print_input(task.slide.files)
    return Account(
        status,
        why,
        known,
        summary_row_without_result(task.name, status, why, made_with(task.basis), info, task.origin),
    )


def settle(task: SlideTask, folder: Path, account: Account, how: Finishing, log: SlideLog) -> State:
    """Put results in place, or, where the disk does not take them, at least say so there.

    Earlier results of the same slide do not give way to a failure: the answer says that it failed, and nothing is
    written. Raises OSError and OutputError if not even a failure can be written; what was in place is there still.
    """
    try:
        if account.status in ("done", "partial"):
            return _put_in_place(task, folder, account, how, log)
    except (OSError, OutputError) as error:
        why = f"results cannot be written ({how.words_of(error)})"
        account = account_without_result(task, "failed", why, None)
    earlier = read_state(task.place.folder)
    if earlier is not None and earlier.has_results_of(account.input):
        check_writable(task.place.out)  # where nothing can be written the run must end
        why = f"{account.reason}; the results of an earlier run stay"
        log_end(task.name, "failed", why)
        return replace(earlier, status="failed", reason=why)
    empty(folder)
    return _put_in_place(task, folder, account, how, log)


def _put_in_place(task: SlideTask, folder: Path, account: Account, how: Finishing, log: SlideLog) -> State:
    """Exchange the folder for what is there, with the XML beside the slide if that is wanted."""
    beside, notes = _beside(task, folder, read_state(task.place.folder), how)
    made_on = how.device() if account.status in ("done", "partial") else ""
    means = Means(made_on, how.models, nullcontext)
    return put_in_place(task, folder, replace(account, beside=beside), means, log, notes)


def put_in_place(
    task: Placed,
    folder: Path,
    account: Account,
    means: Means,
    log: SlideLog,
    warnings: tuple[str, ...] = (),
) -> State:
    """Complete a folder of new files and exchange it for what is there; what a person made stays.

    ``warnings``: notes that go to the log, too. Raises OSError and OutputError with the old folder in its place.
    """
    log_end(task.name, account.status, account.reason or describe(account))
    ours = sorted(stamp_files(folder))
    before = read_state(task.place.folder)
    for _ in range(EXCHANGE_TRIES):
        kept = keep_foreign(task.place, before, folder)
        for note in (*warnings, *kept.notes):
            logger.warning("%s: %s", task.name, note, extra={"event": "kept", "slide": task.name})
        outputs = tuple(sorted(kept.renamed.get(name, name) for name in ours))
        files = hash_protected(folder, outputs)
        state = State(
            slide=task.name,
            status=account.status,
            reason=account.reason,
            input=account.input,
            basis=task.basis,
            row=account.row,
            notes=(*account.notes, *warnings, *kept.notes),
            files=files,
            beside=account.beside,
            earlier=tuple(sorted(before.written - {*files.values()})) if before else (),
            outputs=outputs,
            device=means.device,
            times={**account.seconds, "finished": datetime.now(UTC).isoformat(timespec="seconds")},
        )
        shown = ReportSlide(task.name, state.status, state.reason, state.row, folder, state.notes)
        (folder / REPORT).write_bytes(slide_report(shown, task.place, means.models))
        (folder / LOG).write_bytes(log.data())
        (folder / STATE).write_bytes(state_bytes(state))
        sync_tree(folder)
        try:
            with means.shield():
                exchange(task.place, folder, kept.stamps)
            return state
        except ChangedMeanwhileError:
            put_back(kept, folder)
            before = read_state(task.place.folder)
    raise OutputError(
        f"{task.place.folder}: is being changed all the time; close what does that and run again"
    )


def describe(settled: Account | State) -> str:
    """A result in a few words."""
    row = settled.row
    share = f", {row['percent_sclerosed']} % sclerosed" if row.get("percent_sclerosed") else ""
    return f"{row.get('n_glomeruli') or 'no'} glomeruli{share}"


def _beside(
    task: SlideTask, folder: Path, before: State | None, how: Finishing
) -> tuple[Mapping[str, str], tuple[str, ...]]:
    """Put the XML beside the slide if that is wanted: hashes for state.json, and notes."""
    known = before.beside if before else {}
    xml = folder / f"{file_stem(task.name)}.xml"
    if not how.xml_beside_slide or not xml.exists():
        return known, ()
    target = task.slide.path.with_name(xml.name)
    refused = _lay_beside(target, xml.read_bytes(), known.get(target.name))
    return (known, (refused,)) if refused else ({target.name: str(file_sha256(xml))}, ())


def _lay_beside(target: Path, data: bytes, ours: str | None) -> str:
    """Write it, or say why not: the results are in OUT in any case."""
    try:
        written = write_beside(target, data, ours)
    except (OSError, OutputError) as error:
        return f"no XML beside the slide: {error}"
    return "" if written else f"{target.name} beside the slide is not ours or was edited, and stays as it is"


def ensure_beside(task: SlideTask) -> None:
    """Put the XML of a slide that was done before beside it. Raises OutputError if that cannot be recorded."""
    state = read_state(task.place.folder)
    written = [file for file in state.files.items() if file[0].endswith(".xml")] if state else []
    if state is None or not written:
        return
    name, ours = written[0]  # a.new.xml where somebody edited a.xml
    xml = task.place.folder / name
    if file_sha256(xml) != ours:
        return
    target = task.slide.path.with_name(f"{file_stem(task.name)}.xml")
    if refused := _lay_beside(target, xml.read_bytes(), state.beside.get(target.name)):
        logger.warning("%s: %s", task.name, refused, extra={"event": "kept", "slide": task.name})
    elif state.beside.get(target.name) != ours:
        write_atomic(task.place.folder / STATE, state_bytes(replace(state, beside={target.name: ours})))
