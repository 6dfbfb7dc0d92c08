"""How far a run is: bars with the time left on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from gloinone.records import Status

LINE_EVERY_S = 60.0
"""Without a terminal a slide at work says how far it is once a minute."""
NAME_WIDTH = 40


@contextmanager
def show_progress(console: Console | None = None) -> "Iterator[Bars | Lines]":
    """Whom a run tells, for as long as it takes; on stderr unless another console is given."""
    console = console or Console(stderr=True)
    if not console.is_terminal:
        yield Lines()
        return
    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    ) as progress:
        yield Bars(progress)


class Lines:
    """A line per slide, and one a minute while a slide takes long."""

    def __init__(self, every_s: float = LINE_EVERY_S) -> None:
        self._every_s = every_s
        self._slides = 0
        self._settled = 0
        self._name = ""
        self._said_at = 0.0

    def start(self, slides: int) -> None:
        """How many there are."""
        self._slides = slides
        print_line(f"{slides} slides")

    def begin(self, name: str) -> None:
        """Which one is at work."""
        self._name, self._said_at = name, time.monotonic()

    def tiles(self, done: int, total: int) -> None:
        """How far it is, now and then."""
        if time.monotonic() - self._said_at >= self._every_s:
            self._said_at = time.monotonic()
            print_line(f"{self._name}: {done} of {total} tiles")

    def end(self, name: str, status: Status, text: str) -> None:
        """What came of it."""
        self._settled += 1
        print_line(f"[{self._settled}/{self._slides}] {name}: {status} ({text})")


class Bars:
    """A bar of slides, and one of the tiles of the slide at work."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self._settled = 0
        self._name = ""
        self._all = progress.add_task("slides", total=None)
        self._one = progress.add_task("", total=None, visible=False)

    def start(self, slides: int) -> None:
        """How many there are."""
        self.progress.update(self._all, total=slides)

    def begin(self, name: str) -> None:
        """Which one is at work."""
        self._name = name
        shown = name if len(name) <= NAME_WIDTH else "…" + name[1 - NAME_WIDTH :]
        self.progress.reset(self._one, description=f"tiles of {shown}", total=None, visible=True)

    def tiles(self, done: int, total: int) -> None:
        """How far it is."""
        self.progress.update(self._one, completed=done, total=total)

    def end(self, name: str, status: Status, text: str) -> None:
        """What came of it."""
        self._settled += 1
        self.progress.update(self._all, completed=self._settled)
        if name == self._name:  # the next one may be at work
            self.progress.update(self._one, visible=False)
        print_line(f"{name}: {status} ({text})")


def print_line(text: str) -> None:
    """On stderr; while bars are shown rich puts it above them. A reader that went away stops nothing."""
    with suppress(OSError):
        print(text, file=sys.stderr, flush=True)
