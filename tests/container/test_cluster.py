"""The scripts of cluster/ on a real SLURM: tasks are killed and queued again, and the bytes are those of a plain run.

$SIF names an image to use (with apptainer on the PATH); without it this checkout itself is the program. $CLUSTER_TMP
is a folder that jobs, and the container in them, may see; default: the system's temporary one.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from folder_fakes import read_rows, unfinished, write_slide_file

from gloinone.drawn.config import SceneConfig
from gloinone.drawn.slide import draw_slide

pytestmark = [pytest.mark.container, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
SUBMIT = ROOT / "cluster" / "submit.sh"
LIMIT_S = 1800.0
NAMES = ("broken.svs", "drawn-1.svs", "drawn-2.svs", "long-a.tif", "long-b.tif")
"""In the order of the list: of three shards the first has broken and long-a, the second drawn-1 and long-b."""


def call(*words: object, check: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture(scope="module", autouse=True)
def slurm() -> None:
    if not shutil.which("sbatch") or call("sinfo", "--noheader", check=False).returncode:
        pytest.skip("no SLURM here")


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that jobs see, whoever they run as."""
    path = Path(tempfile.mkdtemp(dir=os.environ.get("CLUSTER_TMP")))
    path.chmod(0o777)
    yield path
    shutil.rmtree(path)


FAKE = f"""#!{sys.executable}
import sys
sys.path[:0] = ["{ROOT}", "{ROOT}/tests"]
from folder_fakes import FakeMethod
from gloinone.cli import run
from gloinone.cli.main import main
run.networks = lambda options: FakeMethod(pause_s=1.0)
main()
"""
REAL = f"""#!/bin/sh
PYTHONPATH="{ROOT}" exec "{sys.executable}" -m gloinone.cli.main "$@"
"""


@dataclass(frozen=True)
class Setting:
    """What runs on which slides."""

    slides: Path
    program: Path
    """This checkout, with its networks or with fake ones."""
    submit: tuple[str, ...]
    """Options of submit.sh that say the same."""


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.shared)])
def setting(request: pytest.FixtureRequest, place: Path) -> Setting:
    """Small slides and a method without networks, or pas-a and pas-b and the real one, from $SIF if that is given."""
    real = request.param == "real"
    slides, program = place / "in", place / "gloinone"
    slides.mkdir()
    program.write_text(REAL if real else FAKE)
    program.chmod(0o755)
    for name in ("drawn-1.svs", "drawn-2.svs", "a-new.svs"):
        if real:
            draw_slide(slides / name, SceneConfig(1800, 1300, mpp=1.0, seed=len(name)))
            (slides / f"{Path(name).stem}.truth.geojson").unlink()
        else:
            write_slide_file(slides / name)
    for letter in "ab":
        if real:
            data = request.getfixturevalue("shared_data") / "hubmap-wsi" / f"pas-{letter}.tif"
            shutil.copy(data, slides / f"long-{letter}.tif")
        else:
            write_slide_file(slides / f"long-{letter}.tif")
    (slides / "broken.svs").write_bytes((slides / "drawn-1.svs").read_bytes()[:2000])
    sif = os.environ.get("SIF")
    return Setting(slides, program, ("--sif", sif) if real and sif else ("--program", str(program)))


def submit(setting: Setting, out: Path, *options: str, per_task: int = 2) -> tuple[str, str]:
    """Numbers of the array and of the merge."""
    few = ("--cpus", "1", "--memory", "4G", "--slides-per-task", str(per_task))
    said = call(SUBMIT, *few, *setting.submit, setting.slides, out, "--", "--mpp", "0.5", *options).stdout
    line = next(line for line in said.splitlines() if line.startswith("array "))
    return line.split()[1].rstrip(","), line.split()[3].rstrip(";")


def until(what: Callable[[], bool], why: str) -> None:
    """Wait for something."""
    end = time.monotonic() + LIMIT_S
    while not what():
        assert time.monotonic() < end, f"waited in vain until {why}"
        time.sleep(0.1)


def wait_for(*jobs: str) -> None:
    until(
        lambda: not call("squeue", "--noheader", "--jobs", ",".join(jobs), check=False).stdout.strip(),
        "jobs end",
    )


def scancel(job: str, *how: str) -> None:
    """Not waited for: scancel tries on for a minute when the job is on its way out before it has an answer."""
    threading.Thread(target=call, args=("scancel", *how, job), kwargs={"check": False}).start()


def said(out: Path, log: str) -> str:
    path = out / "logs" / log
    return path.read_text() if path.exists() else ""


def holder(out: Path, slide: str) -> int | None:
    """Number of the process that has the slide at work."""
    claims = [json.loads(text) for path in (out / ".claims").glob("*.json") if (text := path.read_text())]
    return next((int(claim["pid"]) for claim in claims if claim["slide"] == slide), None)


def is_at_work(out: Path, slide: str) -> bool:
    return holder(out, slide) is not None


def statuses(out: Path) -> dict[str, str]:
    return {str(row["slide"]): str(row["status"]) for row in read_rows(out / "summary.csv")}


def files(out: Path) -> dict[str, bytes]:
    """What must be the same bytes as in a plain run: tables, and of the slides all but times and logs."""
    paths = [out / "summary.csv", out / "glomeruli.csv", *(out / "slides").rglob("*")]
    found = {path.relative_to(out).as_posix(): path.read_bytes() for path in paths if path.is_file()}
    return {name: data for name, data in found.items() if not name.endswith(("state.json", "log.txt"))}


def test_an_array_that_is_killed_and_queued_again(place: Path, setting: Setting) -> None:
    slides, plain, out = setting.slides, place / "plain", place / "out"
    out.mkdir()
    out.chmod(0o777)
    (slides / "a-new.svs").rename(place / "a-new.svs")
    array, merge = submit(setting, out)
    assert len((out / "slides.txt").read_text().splitlines()) == len(NAMES)
    (place / "a-new.svs").rename(slides / "a-new.svs")  # would be the first of the list
    until(lambda: is_at_work(out, "long-a.tif"), "the first shard is in the middle")
    scancel(f"{array}_0", "--batch", "--signal=USR1")  # as SLURM does two minutes before the time is up
    until(lambda: "queued again" in said(out, "shard-0.txt"), "the first shard has noticed")
    until(
        lambda: is_at_work(out, "long-b.tif") and not is_at_work(out, "drawn-1.svs"),
        "the second shard is in the middle, and has written the slide before",
    )
    os.kill(holder(out, "long-b.tif") or 0, signal.SIGKILL)
    until(lambda: "start 1" in said(out, "shard-2.txt"), "the third shard begins")
    scancel(f"{array}_2")
    wait_for(array, merge)
    assert "start 2" in said(out, "shard-0.txt")
    assert statuses(out) == {
        "broken.svs": "failed",
        "drawn-1.svs": "done",
        "drawn-2.svs": "pending",
        "long-a.tif": "done",
        "long-b.tif": "pending",
    }
    assert f"run --pending {slides} {out} --mpp 0.5" in said(out, "merge.txt")

    of_three = submit(setting, out, "--pending")
    of_two = submit(setting, out, "--pending", per_task=3)
    wait_for(*of_three, *of_two)
    assert set(statuses(out)) == set(NAMES)
    assert said(out, "merge.txt").rstrip().endswith("5 slides in the tables: 4 done, 1 failed")

    (slides / "a-new.svs").rename(place / "a-new.svs")
    share = {**os.environ, "SLURM_CPUS_PER_TASK": "1", "OMP_NUM_THREADS": "1"}
    run = [str(setting.program), "run", str(slides), str(plain), "--mpp", "0.5"]
    assert subprocess.run(run, env=share, capture_output=True, check=False).returncode == 1
    assert files(out) == files(plain)
    assert not unfinished(out)
