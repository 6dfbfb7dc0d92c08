"""What a run tells whoever watches; cli/ draws it, tests and libraries need not listen."""

from typing import Protocol

from gloinone.records import Status


class Progress(Protocol):
    """Told in this order: start, then for each slide begin, tiles (often), end.

    A slide may end, in another thread, when the next one is at work already.
    """

    def start(self, slides: int) -> None:
        """A run over that many slides begins."""

    def begin(self, name: str) -> None:
        """A slide is at work."""

    def tiles(self, done: int, total: int) -> None:
        """So many tiles of the slide at work are read and seen by the detector."""

    def end(self, name: str, status: Status, text: str) -> None:
        """A slide is settled; ``text`` says why or how."""


class Silent:
    """Nobody listens."""

    def start(self, slides: int) -> None:
        """Says nothing."""

    def begin(self, name: str) -> None:
        """Says nothing."""

    def tiles(self, done: int, total: int) -> None:
        """Says nothing."""

    def end(self, name: str, status: Status, text: str) -> None:
        """Says nothing."""
