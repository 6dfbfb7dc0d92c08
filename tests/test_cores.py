"""How many cores are ours: of mask, quotas and SLURM's share the least."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gloinone import cores
from gloinone.cores import available_cores

PROGRAM = """
import torch
from gloinone.cores import available_cores
from gloinone.learning.device import use_available_threads
print(available_cores(), use_available_threads(), torch.get_num_threads())
"""


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine of eight cores; the folder of its control groups, in which no limit is set."""
    monkeypatch.delenv("SLURM_CPUS_PER_TASK", raising=False)
    monkeypatch.setattr(cores.os, "sched_getaffinity", lambda _: set(range(8)))
    monkeypatch.setattr(cores, "CGROUP_ROOT", tmp_path)
    monkeypatch.setattr(cores, "OWN_GROUPS", tmp_path / "own")
    return tmp_path


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_the_mask_alone(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert available_cores() == 8
    monkeypatch.setattr(cores.os, "sched_getaffinity", lambda _: {5})
    assert available_cores() == 1


def test_the_quota_of_a_container(machine: Path) -> None:
    for text, expected in (("max 100000\n", 8), ("350000 100000\n", 3), ("50000 100000\n", 1), ("?", 8)):
        write(machine / "cpu.max", text)
        assert available_cores() == expected


def test_the_quota_of_a_group_around_ours(machine: Path) -> None:
    """As SLURM sets it: on the job, not on the step or task in which the program runs."""
    write(machine / "own", "0::/slurm/job_7/step_0/task_1\n")
    write(machine / "slurm/job_7/step_0/cpu.max", "max 100000\n")
    write(machine / "slurm/job_8/cpu.max", "100000 100000\n")
    assert available_cores() == 8
    write(machine / "slurm/job_7/cpu.max", "200000 100000\n")
    assert available_cores() == 2


@pytest.mark.parametrize("folder", ["cpu,cpuacct", "cpu"])
def test_the_quota_of_version_1(machine: Path, folder: str) -> None:
    write(machine / "own", "4:memory:/other\n2:cpu,cpuacct:/job\n0::/\n")
    write(machine / folder / "job/cpu.cfs_quota_us", "-1\n")
    write(machine / folder / "job/cpu.cfs_period_us", "100000\n")
    assert available_cores() == 8
    write(machine / folder / "job/cpu.cfs_quota_us", "400000\n")
    assert available_cores() == 4


def test_the_share_of_slurm(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for text, expected in (("2", 2), ("64", 8), ("", 8), ("many", 8)):
        monkeypatch.setenv("SLURM_CPUS_PER_TASK", text)
        assert available_cores() == expected


@pytest.mark.skipif(shutil.which("taskset") is None, reason="no taskset")
def test_a_program_under_taskset_uses_the_cores_of_its_mask() -> None:
    core = str(min(os.sched_getaffinity(0)))
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    result = subprocess.run(
        ["taskset", "--cpu-list", core, sys.executable, "-c", PROGRAM],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.split() == ["1", "1", "1"]
