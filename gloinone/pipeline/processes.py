"""Which process wrote a file, and whether it still lives."""

import contextlib
import hashlib
import os
import socket
from dataclasses import dataclass
from functools import cache
from pathlib import Path


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


def this_process() -> Process:
    """The process that runs this."""
    return Process(this_host(), os.getpid(), process_start(os.getpid()))


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


@cache
def host_code() -> str:
    """``this_host`` as a short word for file names."""
    return hashlib.sha256(this_host().encode()).hexdigest()[:12]


def process_start(pid: int) -> str:
    """Clock ticks since boot; empty if the process is dead, or where the system does not tell."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()  # proc(5), from field 3 on: the name may hold spaces
    return "" if fields[0] in "ZX" else fields[19]


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
