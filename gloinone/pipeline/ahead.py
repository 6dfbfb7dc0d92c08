"""The next slide is opened and its first tiles are read while the networks have the one before."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from gloinone.errors import SlideUnreadableError
from gloinone.pipeline.atomic import reason
from gloinone.pipeline.state import InputPrint, print_input
from gloinone.pipeline.tasks import Analyse, Begun, SlideTask
from gloinone.records import SlideInfo
from gloinone.slide.reader import Slide, open_slide


@dataclass(frozen=True)
class Opened:
    """A slide that is being read."""

    task: SlideTask
    input: InputPrint
    """As it was before anything was read."""
    slide: Slide
    begun: Begun

    def close(self) -> None:
        """Stop reading."""
        self.begun.close()
        self.slide.close()


def open_task(
    task: SlideTask, load: Callable[[], Analyse], on_open: Callable[[SlideInfo], None] = lambda _: None
) -> Opened:
    """Open a slide and begin with it. Raises whatever goes wrong."""
    try:
        before = print_input(task.slide.files)
    except OSError as error:
        raise SlideUnreadableError(
            f"{task.name}: cannot be read ({reason(error)}); is it still there?"
        ) from error
    slide = open_slide(task.slide.path, task.name, task.resolution, task.slide.walked)
    try:
        on_open(slide.info)
        return Opened(task, before, slide, load()(slide))
    except BaseException:
        slide.close()
        raise


class Ahead:
    """One slide at most is read ahead: nothing is claimed or written for it, and it may be dropped."""

    def __init__(self, load: Callable[[], Analyse]) -> None:
        self._load = load
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="ahead")
        self._opening: Future[Opened | None] | None = None

    def start(self, candidates: Iterator[SlideTask]) -> None:
        """Open the first of the candidates, unless one is open; they are looked for in a thread of their own."""
        if self._opening is None:
            self._opening = self._pool.submit(self._open_first, candidates)

    def _open_first(self, candidates: Iterator[SlideTask]) -> Opened | None:
        task = next(candidates, None)
        return None if task is None else open_task(task, self._load)

    def take(self, task: SlideTask | None) -> Opened | None:
        """What was read ahead, if it is this slide, else it is closed. None too where it failed: try again."""
        if self._opening is None:
            return None
        wait([self._opening])
        opening, self._opening = self._opening, None
        opened = None if opening.cancelled() or opening.exception() else opening.result()
        if opened is None or opened.task is task:
            return opened
        opened.close()
        return None

    def close(self) -> None:
        """Drop what was read ahead."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self.take(None)


class Writer:
    """One result at most is being written while the next is made."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="write")
        self._writing: Future[None] | None = None

    def hand(self, job: Callable[[], None]) -> None:
        """Begin with it once the last one is through; raises what that raised."""
        self.wait()
        self._writing = self._pool.submit(job)

    def wait(self) -> None:
        """Until nothing is being written; raises what went wrong."""
        if self._writing is not None:
            wait([self._writing])
            written, self._writing = self._writing, None
            written.result()

    def close(self) -> None:
        """What is being written is finished."""
        self._pool.shutdown(wait=True)
