"""Many slides: each is done once, by whichever run comes first; a bad one is recorded and the rest go on."""

import logging
from contextlib import suppress

from gloinone.errors import GloInOneError, OutputError
from gloinone.pipeline.atomic import check_writable, remove_abandoned
from gloinone.pipeline.batch import Batch, LoadError, Outcome, StopError
from gloinone.pipeline.interrupts import Interrupted, Interrupts
from gloinone.pipeline.layout import CLAIMS, SLIDES, slide_place
from gloinone.pipeline.merge import find_states, merge
from gloinone.pipeline.progress import Progress, Silent
from gloinone.pipeline.run_record import check_naming, now, record_path, write_record
from gloinone.pipeline.slide_list import complete_list, write_list
from gloinone.pipeline.state import State, read_state
from gloinone.pipeline.tasks import Method, RunConfig, Work, list_work
from gloinone.slide.discover import UNREAD, readable

__all__ = ["Outcome", "run_folder"]

logger = logging.getLogger(__name__)

EXIT_NOT_STARTED = 2


def run_folder(
    config: RunConfig, method: Method, progress: Progress | None = None, interrupts: Interrupts | None = None
) -> Outcome:
    """Do every slide of a folder that is not done yet, and write the tables.

    Raises UsageError, WeightsError or OutputError if the run cannot start.
    """
    started = now()
    check_naming(config.out, config.hides_names)
    work = list_work(config, method)
    check_writable(config.out)
    if config.shard is not None:
        write_list(
            config.source, config.out, work.slides, hide_paths=config.hides_names, origins=work.origins
        )
        work = list_work(config, method)  # of the list, which another shard may have written first
    complete_list(config.out, work.origins)
    if config.xml_beside_slide:
        check_writable(config.source if config.source.is_dir() else config.source.parent)
    for folder in (config.out, config.out / CLAIMS, record_path(config).parent):
        remove_abandoned(folder)
    for sentence in work.ignored:
        level = logging.WARNING if UNREAD in sentence else logging.INFO
        logger.log(level, "ignored: %s", sentence, extra={"event": "ignored"})
    for sentence in work.unmatched:
        logger.warning("%s", sentence, extra={"event": "unmatched"})
    write_record(config, method, started, [], None)
    run = Batch(config, method, progress or Silent(), interrupts or Interrupts())
    try:
        run.do_all(work.tasks)
    except StopError:
        pass  # said already
    except LoadError as error:
        _record_end(config, method, started, run, EXIT_NOT_STARTED)
        raise error.__cause__ or error from None
    except Interrupted as interrupted:
        _record_end(config, method, started, run, 128 + interrupted.number)
        raise
    _conclude(config, method, started, run)
    _warn_of_others(config, work)
    return run.outcome


def _warn_of_others(config: RunConfig, work: Work) -> None:
    """Slides that were renamed, moved or taken out since: nobody but the user knows that they count twice."""
    if config.shard is not None or not config.source.is_dir():
        return
    known = {slide_place(config.out, slide.name).folder for slide in work.slides}
    others = sorted(
        str(f.relative_to(config.out / SLIDES))
        for f in find_states(config.out)
        if f not in known
        and (state := read_state(f)) is not None
        and slide_place(config.out, state.slide).is_at(f)
    )
    if others:
        logger.warning(
            "%d slides of earlier runs are not among those of this one (%s%s); their rows stay in the tables. "
            "To drop one, delete its folder in %s and run gloinone merge %s",
            len(others),
            ", ".join(readable(name) for name in others[:3]),
            ", ..." if len(others) > 3 else "",
            config.out / SLIDES,
            config.out,
            extra={"event": "others"},
        )


def _record_end(config: RunConfig, method: Method, started: str, run: Batch, exit_status: int) -> None:
    """That a run ended early stands in its record, if that can be written."""
    with suppress(OutputError):
        write_record(config, method, started, _states(run), exit_status)


def _states(run: Batch) -> list[State]:
    return [state for task in run.tasks if (state := read_state(task.place.folder)) is not None]


def _conclude(config: RunConfig, method: Method, started: str, run: Batch) -> None:
    """Tables and record, as far as they can be written."""
    outcome = run.outcome
    try:
        write_record(config, method, started, _states(run), outcome.exit_status)
        if config.shard is None:
            merge(config.out)
    except GloInOneError as error:
        outcome.stopped = outcome.stopped or str(error)
        logger.error("%s", error, extra={"event": "tables failed"})
