"""Who is at work on which slide, told by files alone: clusters' file systems have no dependable locks.

A claim is a file that only one process can create (O_EXCL). Its owner refreshes the file's time. One that was
not refreshed for ``dead_after_s``, or whose process on this machine is gone, is dead and may be taken over.
Ages are taken from the file system's own clock, so that machines may disagree about the time.
"""

import contextlib
import json
import logging
import os
import secrets
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gloinone.errors import OutputError
from gloinone.pipeline.atomic import reason, unfinished_name
from gloinone.pipeline.processes import Process, this_process

logger = logging.getLogger(__name__)

BEAT_S = 15.0
DEAD_AFTER_S = 120.0
"""Eight missed beats: file servers may cache a file's time for a minute."""


@dataclass(frozen=True)
class Holder:
    """What a claim's file says."""

    process: Process | None
    """None where the file is empty: its owner died, or is just now writing it."""
    token: str
    beat: float
    """Time of the last beat on the file system's clock, seconds."""
    slide: str = ""
    """Its name; empty where the file is."""


@dataclass(frozen=True)
class Claims:
    """The claims of all runs that write into one OUT."""

    folder: Path
    beat_s: float = BEAT_S
    dead_after_s: float = DEAD_AFTER_S

    @contextlib.contextmanager
    def hold(self, key: str, slide: str) -> Iterator["Claim | None"]:
        """Claim a slide for the length of a ``with`` block; None if a process that lives has it.

        Raises OutputError if claims cannot be written.
        """
        claim = self._take(key, slide)
        if claim is None:
            yield None
            return
        beating = _Heartbeat(claim, self.beat_s)
        beating.start()
        try:
            yield claim
        finally:
            beating.stop()
            claim.release()

    def is_held(self, key: str) -> bool:
        """Is a process that lives at work on the slide?"""
        holder = read_holder(self._path(key))
        return holder is not None and not self._is_dead(holder)

    def keys(self) -> set[str]:
        """Of all claims, living or dead."""
        return {path.stem for path in self.folder.glob("*.json")}

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.json"

    def _take(self, key: str, slide: str) -> "Claim | None":
        claim = Claim(self._path(key), secrets.token_hex(8), slide)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if _create(claim.path, claim.text()):
                return claim
            holder = read_holder(claim.path)
            if holder is None:  # released this moment
                return claim if _create(claim.path, claim.text()) else None
            if not self._is_dead(holder):
                return None
            return claim if self._take_over(claim, holder) else None
        except OSError as error:
            raise OutputError(
                f"{self.folder}: a slide cannot be claimed ({reason(error)}); mend that and run again"
            ) from error

    def _is_dead(self, holder: Holder) -> bool:
        if holder.process is not None and holder.process.is_gone():
            return True
        return self._now() - holder.beat > self.dead_after_s

    def _now(self) -> float:
        """The file system's clock, which may be another machine's, in seconds."""
        probe = self.folder / unfinished_name()
        probe.touch()
        try:
            return probe.stat().st_mtime
        finally:
            probe.unlink(missing_ok=True)

    def _take_over(self, claim: "Claim", dead: Holder) -> bool:
        """Put our claim in the place of a dead one.

        Of those who found it dead only one can create the file named after it; having done so he looks again,
        because another may have finished the whole take-over in between.
        """
        gate = claim.path.with_suffix(f".{dead.token or 'empty'}.gate")
        if not _create(gate, claim.text()):
            with contextlib.suppress(FileNotFoundError):
                if self._now() - gate.stat().st_mtime > self.dead_after_s:  # whoever made it died right there
                    gate.unlink()
            return False
        try:
            found = read_holder(claim.path)
            if found is None or found.token != dead.token:
                return False
            ours = self.folder / unfinished_name()
            ours.write_text(claim.text())
            ours.replace(claim.path)
        finally:
            gate.unlink(missing_ok=True)
        logger.info("%s: taken over from a run that died", claim.slide, extra={"event": "taken over"})
        return claim.is_ours()


@dataclass(frozen=True)
class Claim:
    """A slide that is ours until released."""

    path: Path
    token: str
    slide: str

    def text(self) -> str:
        """What stands in the file."""
        me = this_process()
        return json.dumps(
            {
                "host": me.host,
                "pid": me.pid,
                "started": me.started,
                "token": self.token,
                "slide": self.slide,
            }
        )

    def is_ours(self) -> bool:
        """False once somebody took us for dead, as happens to a process that was suspended."""
        holder = read_holder(self.path)
        return holder is not None and holder.token == self.token

    def release(self) -> None:
        """Let others have the slide."""
        with contextlib.suppress(OSError):
            if self.is_ours():
                self.path.unlink(missing_ok=True)


class _Heartbeat(threading.Thread):
    """Refreshes the time of a claim's file until stopped."""

    def __init__(self, claim: Claim, every_s: float) -> None:
        super().__init__(name="heartbeat", daemon=True)
        self.claim = claim
        self.every_s = every_s
        self.stopped = threading.Event()

    def run(self) -> None:
        """Beat; a beat that fails is tried again at the next."""
        while not self.stopped.wait(self.every_s):
            with contextlib.suppress(OSError):
                if self.claim.is_ours():
                    os.utime(self.claim.path)

    def stop(self) -> None:
        """End the thread."""
        self.stopped.set()
        self.join()


def read_holder(path: Path) -> Holder | None:
    """Of a claim's file; None if there is none."""
    try:
        with path.open("rb") as stream:
            beat = os.fstat(stream.fileno()).st_mtime
            data = stream.read()
    except FileNotFoundError:
        return None
    try:
        said = json.loads(data)
        process = Process(str(said["host"]), int(said["pid"]), str(said["started"]))
        return Holder(process, str(said["token"]), beat, str(said.get("slide", "")))
    except (ValueError, KeyError, TypeError):
        return Holder(None, "", beat)


def _create(path: Path, text: str) -> bool:
    """Create a file that must not exist; False if it does."""
    try:
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    except FileExistsError:
        return False
    with os.fdopen(handle, "w") as stream:
        stream.write(text)
    return True
