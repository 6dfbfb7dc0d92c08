"""How far the runs are that write into one OUT, told from what lies there; nothing is written."""

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from gloinone.pipeline.claims import DEAD_AFTER_S, read_holder
from gloinone.pipeline.layout import CLAIMS, RUN, RUNS, SLIDE_LIST, slide_place
from gloinone.pipeline.merge import find_states
from gloinone.pipeline.run_record import read_records
from gloinone.pipeline.slide_list import read_list
from gloinone.pipeline.state import State, read_state, stamp_state
from gloinone.records import RowStatus, Status

LATEST = 50
"""Slides whose ends say how fast it goes."""
MAX_AGE_S = 3600.0
"""A slide that ended longer ago says nothing of the speed."""
GIVEN_UP_AFTER_S = 5 * DEAD_AFTER_S
"""Without any sign of life. Longer than a claim takes to be dead: a task that SLURM queues again starts two minutes
later, and between slides, where nothing is claimed, a run may judge thousands or write the report."""


@dataclass(frozen=True)
class Settled:
    """What came of a slide."""

    slide: str
    status: Status
    reason: str
    n_glomeruli: int
    finished: float
    """Seconds since the epoch, by the clock of the machine that did it; 0 if unknown."""


@dataclass(frozen=True)
class AtWork:
    """A slide that a run has claimed."""

    slide: str
    silent_s: float
    """Since its last sign of life."""

    @property
    def is_silent(self) -> bool:
        """Whoever had it has probably died; another run will take it over."""
        return self.silent_s > DEAD_AFTER_S


@dataclass(frozen=True)
class Standing:
    """How far it is at one moment."""

    total: int | None
    """Listed slides; None where there is no list and nobody knows."""
    counts: Mapping[RowStatus, int]
    n_glomeruli: int
    at_work: tuple[AtWork, ...]
    failed: tuple[Settled, ...]
    """The latest first."""
    per_hour: float | None
    """Slides; None where none has ended within the hour."""
    is_running: bool = False
    """A run has begun and not written down its end; one that was killed never will."""
    quiet_s: float = 0.0
    """Since the last sign of life of any run; 0 where none has begun yet."""

    @property
    def left_s(self) -> float | None:
        """Until all are settled, at this speed."""
        pending = self.counts.get("pending", 0)
        return 3600 * pending / self.per_hour if self.per_hour and pending else None

    @property
    def is_over(self) -> bool:
        """Nothing is pending, as far as is known, and nobody is at work."""
        waited_for = self.is_running if self.total is None else bool(self.counts.get("pending"))
        return not waited_for and all(one.is_silent for one in self.at_work)

    @property
    def is_given_up(self) -> bool:
        """It is not over, and whoever was at it has probably died or was cancelled."""
        return not self.is_over and self.quiet_s > GIVEN_UP_AFTER_S


@dataclass
class Watch:
    """Looks at one OUT again and again; a state that has not changed is not read again."""

    out: Path
    _known: dict[Path, tuple[tuple[int, int], Settled]] = field(default_factory=dict)

    def look(self, now: float | None = None) -> Standing:
        """As it is now (``now``: seconds since the epoch, for tests). Raises UsageError for a damaged list."""
        now = time.time() if now is None else now
        settled = list(self._settled())
        listed = read_list(self.out)
        counts: Counter[RowStatus] = Counter(one.status for one in settled)
        if listed is not None:
            counts["pending"] = len({slide.name for slide in listed} - {one.slide for one in settled})
        at_work = tuple(sorted(self._at_work(now), key=lambda one: one.slide))
        failed = sorted((s for s in settled if s.status == "failed"), key=lambda s: -s.finished)
        return Standing(
            total=None if listed is None else sum(counts.values()),
            counts=counts,
            n_glomeruli=sum(one.n_glomeruli for one in settled),
            at_work=at_work,
            failed=tuple(failed),
            per_hour=speed([one.finished for one in settled], now),
            is_running=any(record.get("status") == "running" for record in read_records(self.out)),
            quiet_s=min([*(one.silent_s for one in at_work), *self._since_written(now)], default=0.0),
        )

    def _settled(self) -> Iterator[Settled]:
        for folder in find_states(self.out):
            stamp = stamp_state(folder)
            if stamp is None:
                continue
            if self._known.get(folder, (None,))[0] != stamp:
                state = read_state(folder)
                if state is None or not slide_place(self.out, state.slide).is_at(folder):
                    continue
                self._known[folder] = stamp, _settled(state)
            yield self._known[folder][1]

    def _since_written(self, now: float) -> Iterator[float]:
        """Seconds since each state and each run's record was written."""
        for (_, mtime_ns), _ in self._known.values():
            yield max(0.0, now - mtime_ns / 1e9)
        for path in (self.out / RUN, *(self.out / RUNS).glob("*.json")):
            with suppress(FileNotFoundError):
                yield max(0.0, now - path.stat().st_mtime)

    def _at_work(self, now: float) -> Iterator[AtWork]:
        for path in (self.out / CLAIMS).glob("*.json"):
            holder = read_holder(path)
            if holder is not None and holder.slide not in ("", SLIDE_LIST):
                yield AtWork(holder.slide, max(0.0, now - holder.beat))


def _settled(state: State) -> Settled:
    count = state.row.get("n_glomeruli", "")
    try:
        finished = datetime.fromisoformat(str(state.times.get("finished", ""))).timestamp()
    except ValueError:
        finished = 0.0
    return Settled(state.slide, state.status, state.reason, int(count) if count.isdecimal() else 0, finished)


def speed(finished: list[float], now: float) -> float | None:
    """Slides per hour, of the latest that ended within the hour; None where fewer than two did."""
    recent = sorted(time for time in finished if 0 <= now - time <= MAX_AGE_S)[-LATEST:]
    if len(recent) < 2 or now <= recent[0]:
        return None
    return 3600 * (len(recent) - 1) / (now - recent[0])
