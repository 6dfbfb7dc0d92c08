"""The slides of one run, in order: claimed, read ahead, through the networks, written while the next one is at work."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

from gloinone.errors import AnnotationError, GloInOneError, OutputError, SlideSkippedError
from gloinone.pipeline.ahead import Ahead, Writer, open_task
from gloinone.pipeline.atomic import check_writable, reason
from gloinone.pipeline.claims import Claim, Claims
from gloinone.pipeline.exchange import begin, discard, repair, unfinished_keys
from gloinone.pipeline.faults import log_fault, words_of
from gloinone.pipeline.interrupts import Interrupts
from gloinone.pipeline.layout import CLAIMS
from gloinone.pipeline.one_slide import (
    Account,
    Finishing,
    Made,
    account_without_result,
    describe,
    describe_slide,
    ensure_beside,
    finish_slide,
    settle,
    write_made,
)
from gloinone.pipeline.origin import ensure_origin
from gloinone.pipeline.progress import Progress
from gloinone.pipeline.run_record import recorded_models
from gloinone.pipeline.slide_log import SlideLog, log_begin, log_end, warn_of_another
from gloinone.pipeline.state import read_state, stamp_state
from gloinone.pipeline.tasks import Analyse, Method, RunConfig, SlideTask, Verdict, judge
from gloinone.records import SlideInfo, Status

logger = logging.getLogger(__name__)

T = TypeVar("T")

EXIT_DONE = 0
EXIT_INCOMPLETE = 1
"""Some slides failed, were read in part, or could not be recorded."""
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


class LoadError(Exception):
    """The networks cannot be loaded; the cause says why."""


class StopError(Exception):
    """No further slide can be recorded."""


class Batch:
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
            lambda error: words_of(error, config),
            recorded_models(config, method),
        )
        self._analyse: Analyse | None = None
        self._at_start: dict[str, tuple[int, int] | None] = {}
        self._ahead = Ahead(self._load)
        self._writer = Writer()
        self._lost: list[SlideTask] = []
        """Taken over by another run."""

    def do_all(self, tasks: tuple[SlideTask, ...]) -> None:
        """Every slide; those that another run has at work come last."""
        self.tasks = tasks
        self.progress.start(len(tasks))
        self._repair_all()
        self._at_start = {task.name: stamp_state(task.place.folder) for task in tasks}
        try:
            with closing(self._writer), closing(self._ahead):  # what is being written is finished in any case
                self._visit_all()
        finally:
            reached = self.outcome.statuses
            self.outcome.statuses = {task.name: reached[task.name] for task in tasks if task.name in reached}

    def _visit_all(self) -> None:
        waiting = self._written([task for task in self.tasks if not self._visit(task)])
        if waiting:
            logger.info("%d slides are at work in another run; waiting for it", len(waiting))
        while waiting:
            time.sleep(POLL_S)
            waiting = self._written(
                [t for t in waiting if self.claims.is_held(t.place.key) or not self._visit(t)]
            )

    def _written(self, waiting: list[SlideTask]) -> list[SlideTask]:
        """With those that turned out, when they were to be put in place, to be another run's."""
        self._writer.wait()
        lost, self._lost = self._lost, []
        return waiting + lost

    def _repair_all(self) -> None:
        """Bring back what a run that died had moved aside, before anything is judged.

        Taking over its claim matters in itself: where the slide is in place already nobody looks at it again.
        """
        unfinished = unfinished_keys(self.config.out) | self.claims.keys()
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
        with ExitStack() as ours:
            try:
                claim = ours.enter_context(self.claims.hold(task.place.key, task.name))
                if claim is None:
                    return False
                repair(task.place)
                verdict = self._judge(task)
                if verdict.todo:
                    warn_of_another(task, verdict)
                    self._do(task, claim, verdict.why, ours)
                    return True
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

    def _do(self, task: SlideTask, claim: Claim, why: str, ours: ExitStack) -> None:
        """Take a slide that is ours through the networks; the writer has it from there, and all that is in ``ours``."""
        self.progress.begin(task.name)
        folder = begin(task.place)
        ours.callback(discard, folder)
        log = ours.enter_context(SlideLog())
        seen: list[SlideInfo] = []
        with log.here():
            log_begin(task, why)
            made = self._attempt(task, lambda: self._make(task, seen), seen)
        self._writer.wait()
        with self.interrupts.shield():
            self._writer.hand(partial(self._settle, task, claim, folder, log, made, ours.pop_all()))

    def _make(self, task: SlideTask, seen: list[SlideInfo]) -> Made:
        """Read, or read ahead already, and through the networks."""

        def on_open(info: SlideInfo) -> None:
            seen.append(info)
            logger.info("%s", describe_slide(info))

        def on_tile(done: int, total: int) -> None:
            self.progress.tiles(done, total)
            if done == total:  # from here on the threads that read have little to do
                self._ahead.start(self._todo_after(task))

        opened = self._ahead.take(task)
        if opened is None:
            opened = open_task(task, self._load, on_open)
        else:
            on_open(opened.slide.info)
        return finish_slide(opened, on_tile)

    def _todo_after(self, task: SlideTask) -> Iterator[SlideTask]:
        """Slides further on that are to be done, as far as one can tell."""
        for later in self.tasks[self.tasks.index(task) + 1 :]:
            if self._judge(later).todo and not self.claims.is_held(later.place.key):
                yield later

    def _settle(
        self,
        task: SlideTask,
        claim: Claim,
        folder: Path,
        log: SlideLog,
        made: Made | Account,
        ours: ExitStack,
    ) -> None:
        """Put a slide in place, and let go of it; in the writer's thread."""
        try:
            with ours, log.here():
                if isinstance(made, Made):
                    result, save = made, self.config.save
                    account = self._attempt(
                        task, lambda: write_made(task, folder, result, save), [made.result.info]
                    )
                else:
                    account = made
                if not claim.is_ours():
                    logger.warning("%s: taken over by another run", task.name)
                    self._lost.append(task)
                    return
                state = settle(task, folder, account, self._finishing, log)
        except (OSError, OutputError) as error:
            self._cannot_record(task, error)
            return
        self._count(task, state.status, state.reason or describe(state))

    def _attempt(self, task: SlideTask, action: Callable[[], T], seen: Sequence[SlideInfo]) -> T | Account:
        """Whatever goes wrong with a slide becomes its status, and the batch goes on."""
        try:
            return action()
        except LoadError:
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
                raise LoadError from error
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
            raise StopError from error

    def _count(self, task: SlideTask, status: Status, text: str) -> None:
        self.outcome.statuses[task.name] = status
        self.progress.end(task.name, status, text)
