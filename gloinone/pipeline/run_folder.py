"""Many slides: each is done once, by whichever run comes first; a bad one is recorded and the rest go on."""

import contextlib
import logging
import time
from dataclasses import dataclass, field
from pathlib import Path

from gloinone.errors import AnnotationError, GloInOneError, OutputError, SlideSkippedError
from gloinone.pipeline.atomic import check_writable, reason, remove_abandoned
from gloinone.pipeline.claims import Claim, Claims
from gloinone.pipeline.exchange import begin, discard, repair, unfinished_keys
from gloinone.pipeline.faults import log_fault, words_of
from gloinone.pipeline.interrupts import Interrupted, Interrupts
from gloinone.pipeline.layout import CLAIMS
from gloinone.pipeline.merge import merge
from gloinone.pipeline.one_slide import (
    Account,
    Finishing,
    account_without_result,
    analyse_slide,
    describe,
    ensure_beside,
    settle,
)
from gloinone.pipeline.origin import ensure_origin
from gloinone.pipeline.progress import Progress, Silent
from gloinone.pipeline.run_record import check_naming, now, record_path, recorded_models, write_record
from gloinone.pipeline.slide_list import write_list
from gloinone.pipeline.slide_log import SlideLog, log_begin, log_end
from gloinone.pipeline.state import State, read_state, stamp_state
from gloinone.pipeline.tasks import Analyse, Method, RunConfig, SlideTask, Verdict, judge, list_work
from gloinone.records import SlideInfo, Status

logger = logging.getLogger(__name__)

EXIT_DONE = 0
EXIT_INCOMPLETE = 1
"""Some slides failed, were read in part, or could not be recorded."""
EXIT_NOT_STARTED = 2
POLL_S = 2.0
"""How often slides at work in another run are looked at, once nothing else is left."""


@dataclass
class Outcome:
    """What came of a run."""

    statuses: dict[str, Status] = field(default_factory=dict)
    """By slide."""
    stopped: str = ""
    """Why the run ended before its last slide; empty if it did not."""

    @property
    def exit_status(self) -> int:
        """0: every slide is done or skipped; 1 otherwise."""
        bad = self.stopped or any(status in ("failed", "partial") for status in self.statuses.values())
        return EXIT_INCOMPLETE if bad else EXIT_DONE


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
        write_list(config.source, config.out, work.slides, hide_paths=config.hides_names)
        work = list_work(config, method)  # of the list, which another shard may have written first
    if config.xml_beside_slide:
        check_writable(config.source if config.source.is_dir() else config.source.parent)
    for folder in (config.out, config.out / CLAIMS, record_path(config).parent):
        remove_abandoned(folder)
    for sentence in work.ignored:
        logger.info("ignored: %s", sentence, extra={"event": "ignored"})
    for sentence in work.unmatched:
        logger.warning("%s", sentence, extra={"event": "unmatched"})
    write_record(config, method, started, [], None)
    run = _Run(config, method, progress or Silent(), interrupts or Interrupts())
    try:
        run.do_all(work.tasks)
    except _StopError:
        pass  # said already
    except _LoadError as error:
        _record_end(config, method, started, run, EXIT_NOT_STARTED)
        raise error.__cause__ or error from None
    except Interrupted as interrupted:
        _record_end(config, method, started, run, 128 + interrupted.number)
        raise
    _conclude(config, method, started, run)
    return run.outcome


def _record_end(config: RunConfig, method: Method, started: str, run: "_Run", exit_status: int) -> None:
    """That a run ended early stands in its record, if that can be written."""
    with contextlib.suppress(OutputError):
        write_record(config, method, started, _states(run), exit_status)


def _states(run: "_Run") -> list[State]:
    return [state for task in run.tasks if (state := read_state(task.place.folder)) is not None]


def _conclude(config: RunConfig, method: Method, started: str, run: "_Run") -> None:
    """Tables and record, as far as they can be written."""
    outcome = run.outcome
    try:
        write_record(config, method, started, _states(run), outcome.exit_status)
        if config.shard is None:
            merge(config.out)
    except GloInOneError as error:
        outcome.stopped = outcome.stopped or str(error)
        logger.error("%s", error, extra={"event": "tables failed"})


class _LoadError(Exception):
    """The networks cannot be loaded; the cause says why."""


class _StopError(Exception):
    """No further slide can be recorded."""


class _Run:
    """The slides of one run, in order."""

    def __init__(self, config: RunConfig, method: Method, progress: Progress, interrupts: Interrupts) -> None:
        self.config = config
        self.method = method
        self.progress = progress
        self.interrupts = interrupts
        self.claims = Claims(config.out / CLAIMS)
        self.outcome = Outcome()
        self.tasks: tuple[SlideTask, ...] = ()
        self._finishing = Finishing(
            lambda: method.device,
            config.xml_beside_slide,
            interrupts.shield,
            lambda error: words_of(error, config),
            recorded_models(config, method),
        )
        self._analyse: Analyse | None = None
        self._at_start: dict[str, tuple[int, int] | None] = {}

    def do_all(self, tasks: tuple[SlideTask, ...]) -> None:
        """Every slide; those that another run has at work come last."""
        self.tasks = tasks
        self.progress.start(len(tasks))
        self._repair_all()
        self._at_start = {task.name: stamp_state(task.place.folder) for task in tasks}
        waiting = [task for task in tasks if not self._visit(task)]
        if waiting:
            logger.info("%d slides are at work in another run; waiting for it", len(waiting))
        while waiting:
            time.sleep(POLL_S)
            waiting = [t for t in waiting if self.claims.is_held(t.place.key) or not self._visit(t)]

    def _repair_all(self) -> None:
        """Bring back what a run that died had moved aside, before anything is judged."""
        unfinished = unfinished_keys(self.config.out)
        for task in self.tasks:
            if task.place.key not in unfinished:
                continue
            try:
                with self.claims.hold(task.place.key, task.name) as claim:
                    if claim is not None:
                        repair(task.place)
            except OSError as error:
                raise OutputError(
                    f"{task.place.work}: cannot be cleaned up ({reason(error)}); make it writable"
                ) from error

    def _visit(self, task: SlideTask) -> bool:
        """Settle one slide, or leave it to the run that has it: False."""
        verdict = self._judge(task)
        if not verdict.todo:
            self._pass_over(task, verdict)
            return True
        try:
            with self.claims.hold(task.place.key, task.name) as claim:
                if claim is None:
                    return False
                repair(task.place)
                verdict = self._judge(task)
                if verdict.todo:
                    return self._do(task, claim, verdict.why)
        except (OSError, OutputError) as error:
            self._cannot_record(task, error)
            return True
        self._pass_over(task, verdict)  # done by another run just before we had the claim
        return True

    def _judge(self, task: SlideTask) -> Verdict:
        """As ``judge``, but what another run has settled since we started is settled, whatever came of it."""
        if stamp_state(task.place.folder) != self._at_start[task.name]:
            state = read_state(task.place.folder)
            if state is not None and not state.made_otherwise_than(task.basis):
                return Verdict(False, state.reason or "done by another run", state.status)
        return judge(task, self.config.overwrite)

    def _pass_over(self, task: SlideTask, verdict: Verdict) -> None:
        """Count a slide that needs nothing done."""
        if self.config.xml_beside_slide:
            try:
                ensure_beside(task)
            except (OSError, OutputError) as error:
                logger.warning("%s: no XML beside the slide: %s", task.name, error)
        try:
            ensure_origin(task)
        except (OSError, OutputError, AnnotationError) as error:
            logger.warning(
                "%s: patient and stain stay as they were: %s", task.name, words_of(error, self.config)
            )
        status = verdict.status or "done"
        log_end(task.name, status, verdict.why)
        self._count(task, status, verdict.why)

    def _do(self, task: SlideTask, claim: Claim, why: str) -> bool:
        """Do one slide that is ours; False if another run took us for dead meanwhile.

        Raises OSError and OutputError if not even a failure can be recorded.
        """
        self.progress.begin(task.name)
        folder = begin(task.place)
        try:
            with SlideLog() as log:
                log_begin(task, why)
                account = self._attempt(task, folder)
                if not claim.is_ours():
                    logger.warning("%s: taken over by another run", task.name)
                    return False
                state = settle(task, folder, account, self._finishing, log)
        finally:
            discard(folder)
        self._count(task, state.status, state.reason or describe(state))
        return True

    def _attempt(self, task: SlideTask, folder: Path) -> Account:
        """Analyse a slide; whatever goes wrong becomes its status, and the batch goes on."""
        seen: list[SlideInfo] = []
        try:
            return analyse_slide(task, folder, self.config.save, self._load, self.progress.tiles, seen.append)
        except _LoadError:
            raise  # not this slide's fault, and no other will fare better
        except SlideSkippedError as error:
            return account_without_result(task, "skipped", str(error), None)
        except GloInOneError as error:
            why = words_of(error, self.config)
        except Exception as error:  # noqa: BLE001 - the one boundary around a slide; log_fault logs it
            why = words_of(error, self.config)
            log_fault(task.name, why, error, self.config)
        return account_without_result(task, "failed", why, seen[0] if seen else None)

    def _load(self) -> Analyse:
        """The networks, loaded when the first slide needs them."""
        if self._analyse is None:
            try:
                self._analyse = self.method.load()
            except Exception as error:
                raise _LoadError from error
        return self._analyse

    def _cannot_record(self, task: SlideTask, error: OSError | OutputError) -> None:
        """Not even the failure can be written down: count it, and end the run if OUT takes nothing more."""
        why = f"cannot be recorded: {words_of(error, self.config)}"
        log_end(task.name, "failed", why)
        self._count(task, "failed", why)
        try:
            check_writable(self.config.out)
        except OutputError as full:
            self.outcome.stopped = str(full)
            logger.error("stopped: %s", full, extra={"event": "stopped"})
            raise _StopError from error

    def _count(self, task: SlideTask, status: Status, text: str) -> None:
        self.outcome.statuses[task.name] = status
        self.progress.end(task.name, status, text)
