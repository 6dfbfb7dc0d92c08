"""Files and folders that are there whole or not at all, also after a crash or a pulled plug.

What is written lies beside its place under a hidden name, is flushed to the disk, and is then renamed. The
hidden name says who writes, so that what a dead process left behind can be told from work in progress.
"""

import contextlib
import os
import secrets
import time
from collections.abc import Iterable
from pathlib import Path

from gloinone.errors import OutputError
from gloinone.pipeline.processes import Process, host_code, this_host, this_process

PREFIX = ".gloinone-"
"""Begins the name of every file that is not yet whole."""
FOREIGN_AGE_S = 86_400
"""An unfinished file of another machine is taken for abandoned after a day."""


def write_atomic(path: Path, data: bytes | Iterable[bytes], mode: int | None = None) -> None:
    """Put a file in its place, whole, and make its folder; raises OutputError and leaves what was there.

    ``data``: all of it, or in parts, so that it need not fit into memory.
    ``mode``: its permissions, where they are not to be the usual ones.
    """
    beside = path.parent / unfinished_name()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with beside.open("xb") as stream:
                if mode is not None:
                    os.fchmod(stream.fileno(), mode)  # while there is nothing in it to read
                stream.writelines([data] if isinstance(data, bytes) else data)
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
    probe = folder / unfinished_name()
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
            f"{folder}: cannot be written ({reason(error)}); "
            "make it writable for this user or name another folder"
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
    if host != host_code() or not pid.isdecimal():
        return time.time() - path.stat().st_mtime > FOREIGN_AGE_S
    return Process(this_host(), int(pid), started).is_gone()


def unfinished_name() -> str:
    """Name of a file on its way, unlike any other."""
    me = this_process()
    return f"{PREFIX}{host_code()}-{me.pid}-{me.started}-{secrets.token_hex(4)}"


def reason(error: OSError) -> str:
    """What the system says, without the path."""
    return error.strerror or str(error) or type(error).__name__
