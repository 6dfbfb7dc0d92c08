"""Files and folders that are there whole or not at all, also after a crash or a pulled plug.

What is written lies beside its place under a hidden name, is flushed to the disk, and is then renamed. The
hidden name says who writes, so that what a dead process left behind can be told from work in progress.
"""

import contextlib
import hashlib
import os
import secrets
import socket
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from gloinone.errors import OutputError

PREFIX = ".gloinone-"
"""Begins the name of every file that is not yet whole."""
FOREIGN_AGE_S = 86_400
"""An unfinished file of another machine is taken for abandoned after a day."""


@dataclass(frozen=True)
class Process:
    """A process that can be recognised again: process ids are reused, and each container counts its own."""

    host: str
    """Machine, boot and process namespace; where two agree, a process id means the same process."""
    pid: int
    started: str
    """Clock ticks since boot; empty where the system does not tell."""

    def is_gone(self) -> bool:
        """Certainly dead; False for one on another machine, of which nothing is known."""
        if self.host != this_host():
            return False
        return process_start(self.pid) != self.started if self.started else not _exists(self.pid)


@cache
def this_host() -> str:
    """Name, boot and process namespace of this machine or container."""
    boot = ""
    with contextlib.suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:8]
    space = ""
    with contextlib.suppress(OSError):
        space = os.readlink("/proc/self/ns/pid").strip("pid:[]")
    return "~".join([socket.gethostname(), boot, space])


def process_start(pid: int) -> str:
    """Start of a process in clock ticks since boot; empty if there is none, or where the system does not tell."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return ""
    return stat.rpartition(")")[2].split()[
        19
    ]  # proc(5): field 22; the name before may hold spaces and brackets


def this_process() -> Process:
    """The process that runs this."""
    return Process(this_host(), os.getpid(), process_start(os.getpid()))


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def write_atomic(path: Path, data: bytes) -> None:
    """Put a file in its place, whole; its folder is made. Raises OutputError, and then leaves what was there."""
    beside = path.parent / _unfinished_name()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with beside.open("xb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            beside.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                beside.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({reason(error)}); mend that and run again") from error


def sync_tree(folder: Path) -> None:
    """Flush every file and folder under a folder to the disk."""
    for parent, _, names in os.walk(folder):
        for name in names:
            handle = os.open(os.path.join(parent, name), os.O_RDONLY | os.O_NOFOLLOW)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
        sync_folder(Path(parent))


def sync_folder(folder: Path) -> None:
    """Flush the names in a folder to the disk, where its file system can do that."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def check_writable(folder: Path) -> None:
    """Make the folder and write, read and remove a file in it; raises OutputError if any of that fails."""
    probe = folder / _unfinished_name()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            probe.write_bytes(b"gloinone")
            if probe.read_bytes() != b"gloinone":
                raise OSError("what was written does not come back")
        finally:
            probe.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(
            f"{folder}: cannot be written ({reason(error)}); make it writable for this user or name another folder"
        ) from error


def remove_abandoned(folder: Path) -> None:
    """Remove unfinished files in a folder (not below it) whose writer is dead."""
    with contextlib.suppress(OSError):
        for path in folder.glob(f"{PREFIX}*"):
            if is_abandoned(path):
                path.unlink(missing_ok=True)


def is_abandoned(path: Path) -> bool:
    """Was this unfinished file left by a process that is dead?"""
    host, pid, started = ([*path.name.removeprefix(PREFIX).split("-"), "", "", ""])[:3]
    if host != _host_code() or not pid.isdecimal():
        return time.time() - path.stat().st_mtime > FOREIGN_AGE_S
    return Process(this_host(), int(pid), started).is_gone()


def _unfinished_name() -> str:
    me = this_process()
    return f"{PREFIX}{_host_code()}-{me.pid}-{me.started}-{secrets.token_hex(4)}"


@cache
def _host_code() -> str:
    return hashlib.sha256(this_host().encode()).hexdigest()[:12]


def reason(error: OSError) -> str:
    """What the system says, without the path."""
    return error.strerror or str(error) or type(error).__name__
