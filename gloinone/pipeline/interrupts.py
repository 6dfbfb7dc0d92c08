"""Ctrl-C and SIGTERM end a run at once, but never between two steps that belong together."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any, Self

SIGNALS = (signal.SIGINT, signal.SIGTERM)
SAME_S = 1.0
"""One signal may arrive twice: a terminal or a job script sends it to a whole group of processes, and the
container's runtime, which is one of them, passes its own on to the program."""


class Interrupted(BaseException):
    """The user or the cluster wants the program to end; no ``except Exception`` holds it up."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


class Interrupts:
    """While entered, signals raise ``Interrupted`` in the main thread; a second one ends the process.

    Not entered, it changes nothing, so that a library call leaves the caller's handlers alone.
    """

    def __init__(self) -> None:
        self._before: dict[int, Any] = {}
        self._shields = 0
        self._pending: int | None = None
        self._came = 0.0

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._handle) for number in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextlib.contextmanager
    def shield(self) -> Iterator[None]:
        """A signal that comes within the ``with`` block is raised at its end."""
        self._shields += 1
        try:
            yield
        finally:
            self._shields -= 1
        if self._pending is not None and not self._shields:
            raise Interrupted(self._pending)

    def _handle(self, number: int, _: FrameType | None) -> None:
        if self._pending is not None:
            if time.monotonic() - self._came < SAME_S:
                return
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        self._pending, self._came = number, time.monotonic()
        if not self._shields:
            raise Interrupted(number)
