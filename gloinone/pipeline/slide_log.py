"""log.txt: what was said while a slide was at work, whatever else the log goes to."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import TracebackType
from typing import Self

from gloinone.pipeline.state import CHANGED, read_state
from gloinone.pipeline.tasks import SlideTask, Verdict, current_print
from gloinone.records import Status

logger = logging.getLogger(__name__)

FORMAT = "%(asctime)s %(levelname)-7s %(message)s"


_HERE: ContextVar["SlideLog | None"] = ContextVar("slide log", default=None)


class SlideLog(logging.Handler):
    """Collects what the package says of one slide, while entered: where ``here`` is, in whatever thread."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.setFormatter(logging.Formatter(FORMAT))
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one record, unless it is of the slide that another thread is at."""
        if _HERE.get() is self:
            self.lines.append(self.format(record))

    @contextmanager
    def here(self) -> Iterator[None]:
        """What this thread says is of this slide."""
        token = _HERE.set(self)
        try:
            yield
        finally:
            _HERE.reset(token)

    def data(self) -> bytes:
        """The text so far; names that are no UTF-8 come out escaped."""
        return ("\n".join(self.lines) + "\n").encode("utf-8", "backslashreplace")

    def __enter__(self) -> Self:
        logging.getLogger("gloinone").addHandler(self)
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        logging.getLogger("gloinone").removeHandler(self)


def log_begin(task: SlideTask, why: str) -> None:
    """First lines about a slide."""
    logger.info("%s: begun (%s)", task.name, why, extra={"event": "begin", "slide": task.name})
    made_with = ", ".join(["version " + task.basis.version, *task.basis.models.values()])
    logger.info("%s: %s; settings %s", task.name, made_with, dict(task.basis.settings))


def warn_of_another(task: SlideTask, verdict: Verdict) -> None:
    """Results that give way to those of other bytes under the same name: a slide scanned anew, or of another IN."""
    if verdict.why != CHANGED:
        return
    state, now = read_state(task.place.folder), current_print(task.slide)
    if state is not None and state.input is not None and now is not None and not now.same_bytes(state.input):
        logger.warning(
            "%s: another file than the one whose results are in OUT; they give way to its own. "
            "Slides of another folder need another OUT",
            task.name,
            extra={"event": "another file", "slide": task.name},
        )


def log_end(name: str, status: Status, text: str) -> None:
    """Last line about a slide."""
    level = logging.WARNING if status in ("failed", "partial") else logging.INFO
    extra = {"event": "end", "slide": name, "status": status}
    logger.log(level, "%s: %s: %s", name, status, text, extra=extra)
