"""Batches drawn in a thread while the network computes, and how long the network had to wait for them."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Batch = TypeVar("Batch")
AHEAD = 3
"""Batches that are ready or being drawn."""


def draw_ahead(draw: Callable[[int], Batch], first: int, last: int) -> Iterator[tuple[int, Batch]]:
    """Step and batch of the steps from ``first`` to ``last``, both included, in order."""
    with ThreadPoolExecutor(1) as pool:
        waiting: deque[Future[Batch]] = deque()
        for step in range(first, last + 1):
            while len(waiting) < AHEAD and (ahead := step + len(waiting)) <= last:
                waiting.append(pool.submit(draw, ahead))
            yield step, waiting.popleft().result()


class Clock:
    """How long is left, and which share of the time the network waited for batches."""

    def __init__(self, steps: int) -> None:
        self.steps, self.done, self.waited, self.started = steps, 0, 0.0, time.monotonic()

    def timed(self, batches: Iterator[tuple[int, Batch]]) -> Iterator[tuple[int, Batch]]:
        """The same batches, each wait counted."""
        while True:
            before = time.monotonic()
            batch = next(batches, None)
            if batch is None:
                return
            self.waited += time.monotonic() - before
            self.done += 1
            yield batch

    @property
    def wait_share(self) -> float:
        """0..1."""
        return self.waited / max(1e-9, time.monotonic() - self.started)

    def __str__(self) -> str:
        left = (time.monotonic() - self.started) / max(1, self.done) * (self.steps - self.done)
        return f"{left / 60:.0f} min left, network busy {1 - self.wait_share:.0%}"
