"""The image at work: as a user types it, hardened, stopped, and refused."""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from built_image import HARDENED, Image

from gloinone.annotations.columns import GLOMERULI, SUMMARY
from gloinone.annotations.csv_text import read_table
from gloinone.drawn.slide import Truth
from gloinone.evaluation.planted import check_planted

pytestmark = pytest.mark.container

FALLBACK = 10001
STOP_S = 60
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")


def _mounts(slides: Path, out: Path) -> tuple[str, str]:
    return f"--volume={slides}:/in:ro", f"--volume={out}:/out"


def _owners(out: Path) -> set[tuple[int, int]]:
    return {(path.stat().st_uid, path.stat().st_gid) for path in out.rglob("*")}


def _statuses(out: Path) -> list[object]:
    return [row["status"] for row in read_table(out / "summary.csv", SUMMARY)]


def _one_line(done: subprocess.CompletedProcess[str]) -> str:
    """The sentence of a command that refused to start."""
    assert done.returncode == 2, done.stderr
    lines = [line for line in done.stderr.splitlines() if line]
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    return lines[0]


def test_hardened_it_finds_what_was_drawn(image: Image, slides: Path, truth: Truth, out: Path) -> None:
    out.chmod(0o777)
    done = image.run(options=(*HARDENED, *_mounts(slides, out)))
    assert done.returncode == 0, done.stderr
    rows = read_table(out / "glomeruli.csv", GLOMERULI)
    check = check_planted(rows, truth.glomeruli)
    assert check.found == len(truth.glomeruli)
    assert check.false <= 1
    assert _owners(out) == {(12345, 12345)}
    assert (out / "report.html").stat().st_size > 0


def test_as_typed_with_named_volumes(image: Image, slides: Path, volume: tuple[str, str]) -> None:
    in_volume, out_volume = volume
    image.shell("cp /from/* /in/", f"--volume={in_volume}:/in", f"--volume={slides}:/from:ro")
    done = image.run(options=(f"--volume={in_volume}:/in", f"--volume={out_volume}:/out"))
    assert done.returncode == 0, done.stderr
    listing = image.shell("cd /out; stat -c '%u %g %n' . *; cat summary.csv", f"--volume={out_volume}:/out")
    assert f"{FALLBACK} {FALLBACK} report.html" in listing
    assert f"{FALLBACK} {FALLBACK} ." in listing
    assert "a.svs,done," in listing


@needs_root
@pytest.mark.parametrize(("owner", "expected"), [(0, FALLBACK), (1000, 1000)])
def test_results_belong_to_the_owner_of_out(
    image: Image, slides: Path, out: Path, owner: int, expected: int
) -> None:
    os.chown(out, owner, owner)
    done = image.run(options=_mounts(slides, out))
    assert done.returncode == 0, done.stderr
    assert _owners(out) == {(expected, expected)}
    assert out.stat().st_uid == expected


def test_an_out_that_was_missing(image: Image, slides: Path, tmp_path: Path) -> None:
    """Docker makes it, as root; podman refuses, and says what is missing."""
    out = tmp_path / "missing"
    done = image.run("--dry-run", options=_mounts(slides, out))
    if out.exists():
        assert done.returncode == 0, done.stderr
        assert out.stat().st_uid == FALLBACK
    else:
        assert "missing" in done.stderr


def test_an_out_inside_the_container_is_warned_of(image: Image, slides: Path) -> None:
    done = image.run("--dry-run", options=(f"--volume={slides}:/in:ro",))
    assert done.returncode == 0
    assert "nothing is mounted at /out" in done.stderr


def test_the_mount_points_of_glo_in_one(image: Image, slides: Path, out: Path) -> None:
    done = image.run(options=(f"--volume={slides}:/INPUTS:ro", f"--volume={out}:/OUTPUTS"))
    assert done.returncode == 0, done.stderr
    assert _statuses(out) == ["done"]


@pytest.mark.shared
def test_a_slide_whose_resolution_the_user_knows(image: Image, shared_data: Path, out: Path) -> None:
    mounts = _mounts(shared_data / "slides" / "kidney-he", out)
    done = image.run("--mpp", "0.466667", options=mounts)
    assert done.returncode == 0, done.stderr
    [row] = read_table(out / "summary.csv", SUMMARY)
    assert row["slide"] == "kidney-he.svs"
    assert row["mpp"] == pytest.approx(0.466667)
    assert row["mpp_source"] == "option"
    assert len(read_table(out / "glomeruli.csv", GLOMERULI)) > 0


def test_no_slides(image: Image, out: Path, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    assert '-v "$PWD/slides:/in"' in _one_line(image.run(options=_mounts(tmp_path / "none", out)))


@needs_root
def test_an_out_that_cannot_be_written(image: Image, slides: Path, out: Path) -> None:
    said = _one_line(image.run(options=(*HARDENED, *_mounts(slides, out))))
    assert "mkdir -p out" in said
    assert '--user "$(id -u):$(id -g)"' in said


def test_a_gpu_that_is_not_there(image: Image, slides: Path, out: Path) -> None:
    out.chmod(0o777)
    done = image.run(
        "--device", "cuda", options=(*HARDENED, *_mounts(slides, out), "--env=NVIDIA_VISIBLE_DEVICES=void")
    )
    assert "no GPU can be used here" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert done.returncode == 2


@pytest.fixture
def detached(image: Image, two_slides: Path, out: Path) -> Iterator[str]:
    """Name of a container that runs over two slides; removed afterwards."""
    out.chmod(0o777)
    name = f"renaltool-test-{uuid4().hex[:8]}"
    options = (*HARDENED, *_mounts(two_slides, out))
    started = image.call("run", "--detach", f"--name={name}", "--network=none", *options, image.name)
    assert started.returncode == 0, started.stderr
    yield name
    image.call("rm", "--force", name)


def _stop(image: Image, name: str) -> tuple[int, float]:
    """Exit status of the program, and how long it took to end; seconds."""
    before = time.monotonic()
    image.call("stop", "-t", str(STOP_S), name)
    took = time.monotonic() - before
    return int(image.call("inspect", "--format={{.State.ExitCode}}", name).stdout), took


def test_stopped_between_two_slides_it_goes_on_later(
    image: Image, two_slides: Path, out: Path, detached: str
) -> None:
    first = out / "slides" / "a.svs" / "state.json"
    deadline = time.monotonic() + 600
    while not first.exists():
        assert time.monotonic() < deadline, image.call("logs", detached).stderr
        time.sleep(0.2)
    exit_status, took = _stop(image, detached)
    assert exit_status == 143
    assert took < STOP_S
    assert not (out / "slides" / "b.svs").exists()
    assert list((out / ".work").glob("*")) == []
    stamp = first.stat().st_mtime_ns
    assert image.run(options=(*HARDENED, *_mounts(two_slides, out))).returncode == 0
    assert first.stat().st_mtime_ns == stamp
    assert _statuses(out) == ["done", "done"]


def test_stopped_before_python_is_up_it_ends_at_once(image: Image, detached: str) -> None:
    exit_status, took = _stop(image, detached)
    assert exit_status == 143
    assert took < STOP_S / 2
