"""How many processor cores this process may use, which on a shared machine is fewer than it has.

What counts is the least of: the affinity mask, the quota of every control group around the process, and
SLURM's share. A scheduler or a container runtime may set any one of them and leave the others alone.
"""

import contextlib
import math
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

CGROUP_ROOT = Path("/sys/fs/cgroup")
OWN_GROUPS = Path("/proc/self/cgroup")


def available_cores() -> int:
    """At least 1."""
    shares = [float(_in_mask()), *_quotas()]
    with contextlib.suppress(KeyError, ValueError):
        shares.append(int(os.environ["SLURM_CPUS_PER_TASK"]))
    return max(1, math.floor(min(shares)))


def _in_mask() -> int:
    """Cores of the affinity mask; where the system has none, all."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _quotas() -> Iterator[float]:
    """Cores that each control group around this process may use, of those that have a limit."""
    for folder in _group_folders():
        with contextlib.suppress(OSError, ValueError):
            quota, period = (folder / "cpu.max").read_text().split()  # version 2; "max" is no number
            yield int(quota) / int(period)
        with contextlib.suppress(OSError, ValueError):
            quota, period = ((folder / f"cpu.cfs_{what}_us").read_text() for what in ("quota", "period"))
            if int(quota) > 0:  # version 1; -1 is no limit
                yield int(quota) / int(period)


def _group_folders() -> Iterator[Path]:
    """Folders of the group that governs our processor time and of all around it: each may set a limit."""
    roots = {CGROUP_ROOT: PurePosixPath("/")}  # in a container the group itself is mounted there
    with contextlib.suppress(OSError, ValueError):
        for line in OWN_GROUPS.read_text().splitlines():
            _, controllers, group = line.split(":", 2)
            if not controllers:
                roots[CGROUP_ROOT] = PurePosixPath(group)
            elif "cpu" in controllers.split(","):
                for name in (controllers, "cpu"):
                    roots[CGROUP_ROOT / name] = PurePosixPath(group)
    for root, group_path in roots.items():
        for folder in (group_path, *group_path.parents):
            yield root / folder.relative_to("/")
