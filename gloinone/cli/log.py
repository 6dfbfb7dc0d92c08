"""Where the log goes: warnings to the terminal, every event to a file of JSON lines."""

import contextlib
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from gloinone.errors import OutputError

PACKAGE = "gloinone"
SHOWN_BY_PROGRESS = ("begin", "end")
"""Events that reach the terminal as progress."""


class Terminal(logging.Handler):
    """Lines on stderr, above the progress bar where there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        """One line; tracebacks stay in log.txt."""
        from gloinone.cli.progress import print_line

        if getattr(record, "event", "") not in SHOWN_BY_PROGRESS:
            print_line(f"{record.levelname.lower()}: {record.getMessage()}")


class JsonLines(logging.Handler):
    """An object per record: time, level, event, slide, status, message, traceback; what is unknown is left out."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(logging.INFO)
        self.stream = stream

    def emit(self, record: logging.LogRecord) -> None:
        """One line, flushed, so that a file of a run that died is whole."""
        said = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": getattr(record, "event", "log"),
            "slide": getattr(record, "slide", None),
            "status": getattr(record, "status", None),
            "message": record.getMessage(),
            "traceback": logging.Formatter().formatException(record.exc_info) if record.exc_info else None,
        }
        with contextlib.suppress(OSError):  # a full disk under the log must not cost the slides
            self.stream.write(json.dumps({k: v for k, v in said.items() if v is not None}) + "\n")
            self.stream.flush()


@contextlib.contextmanager
def set_up_log(verbose: bool, json_path: Path | None) -> Iterator[None]:
    """The log of the package for the length of a command. Raises OutputError for a file that cannot be written."""
    terminal = Terminal(logging.INFO if verbose else logging.WARNING)
    handlers: list[logging.Handler] = [terminal]
    stream = None
    if json_path is not None:
        try:
            json_path.parent.mkdir(parents=True, exist_ok=True)
            stream = json_path.open("a", encoding="utf-8")
        except OSError as error:
            raise OutputError(
                f"{json_path}: cannot be written ({error.strerror}); name another file with --log-json"
            ) from error
        handlers.append(JsonLines(stream))
    package = logging.getLogger(PACKAGE)
    level = package.level
    package.setLevel(logging.INFO)
    for handler in handlers:
        package.addHandler(handler)
    try:
        yield
    finally:
        for handler in handlers:
            package.removeHandler(handler)
        package.setLevel(level)
        if stream is not None:
            with contextlib.suppress(OSError):  # what is still buffered may not fit either
                stream.close()
