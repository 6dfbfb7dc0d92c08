"""entrypoint.sh without a container: what it starts, as whom, and what it refuses.

The script runs with its four folders moved under a temporary one, and a `gloinone` that tells how it was called.
"""

import os
import re
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

FALLBACK = 10001
"""Who the program is when /out belongs to root."""
CALLER = 1234

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give up root")


@dataclass(frozen=True)
class Box:
    """A root folder with in/ and out/, and the script that takes it for /."""

    root: Path

    @property
    def slides(self) -> Path:
        return self.root / "in"

    @property
    def out(self) -> Path:
        return self.root / "out"

    def fake(self, name: str, script: str) -> None:
        """A program that the entrypoint finds before the real one."""
        path = self.root / "bin" / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def run(self, *arguments: str, before: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*before, "sh", str(self.root / "entrypoint.sh"), *arguments],
            env={"PATH": f"{self.root / 'bin'}:/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )

    def started(self, *arguments: str, before: tuple[str, ...] = ()) -> str:
        """What was run, paths as in the container, and the uid and gid it had."""
        result = self.run(*arguments, before=before)
        assert result.returncode == 0, result.stderr
        return result.stdout.replace(str(self.root), "").strip()

    def refused(self, *arguments: str) -> str:
        """The one line that says why nothing was run."""
        result = self.run(*arguments)
        assert result.returncode == 2
        assert result.stdout == ""
        assert result.stderr.count("\n") == 1
        assert result.stderr.startswith("error: ")
        return result.stderr.replace(str(self.root), "")


@pytest.fixture
def box(tmp_path: Path, repository: Path) -> Box:
    """A slide in in/, out/ empty; whoever the script becomes can reach them."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder == Path(tempfile.gettempdir()):
            break
        folder.chmod(folder.stat().st_mode | 0o011)
    made = Box(tmp_path)
    for name in ("in", "out", "bin"):
        (tmp_path / name).mkdir()
        (tmp_path / name).chmod(0o755)
    (made.slides / "a.svs").touch()
    text = (repository / "entrypoint.sh").read_text()
    moved = re.sub(r"(?<![\w$/])/(in|out|INPUTS|OUTPUTS)\b", rf"{tmp_path}/\1", text)
    (tmp_path / "entrypoint.sh").write_text(moved)
    made.fake("gloinone", 'echo "$*"')
    made.fake("mountpoint", "true")
    return made


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), "run /in /out"),
        (("--mpp", "0.25"), "run /in /out --mpp 0.25"),
        (("-v",), "run /in /out -v"),
        (("--help",), "--help"),
        (("-h",), "-h"),
        (("--version",), "--version"),
        (("doctor",), "doctor"),
        (("demo", "/out"), "demo /out"),
        (("train", "detector", "--out", "a b"), "train detector --out a b"),
    ],
)
def test_what_is_started(box: Box, arguments: tuple[str, ...], expected: str) -> None:
    assert box.started(*arguments) == expected


def test_arguments_arrive_whole(box: Box) -> None:
    box.fake("gloinone", 'for word in "$@"; do echo "<$word>"; done')
    assert box.started("--mpp-csv", "my table*.csv", "").splitlines()[3:] == [
        "<--mpp-csv>",
        "<my table*.csv>",
        "<>",
    ]


def test_its_exit_status_is_the_programs(box: Box) -> None:
    box.fake("gloinone", "exit 130")
    assert box.run("doctor").returncode == 130


def test_an_empty_in_explains_the_volume_called_slides(box: Box) -> None:
    (box.slides / "a.svs").unlink()
    assert 'write `-v "$PWD/slides:/in"`' in box.refused("--mpp", "0.25")
    assert box.started("doctor") == "doctor"  # needs no slides


def test_no_in_at_all(box: Box) -> None:
    shutil.rmtree(box.slides)
    assert "no /in" in box.refused()


def test_no_out_at_all(box: Box) -> None:
    box.out.rmdir()
    assert "mkdir -p out" in box.refused()


def test_an_out_that_is_not_mounted_is_told(box: Box) -> None:
    box.fake("mountpoint", "exit 1")
    result = box.run()
    assert result.returncode == 0
    assert "will be lost" in result.stderr
    assert box.run("doctor").stderr == ""


@pytest.mark.parametrize("inputs", [True, False])
@pytest.mark.parametrize("outputs", [True, False])
def test_the_mount_points_of_glo_in_one(box: Box, inputs: bool, outputs: bool) -> None:
    if inputs:
        (box.slides / "a.svs").rename(box.root / "b.svs")
        (box.root / "INPUTS").mkdir()
        (box.root / "b.svs").rename(box.root / "INPUTS" / "b.svs")
    if outputs:
        (box.root / "OUTPUTS").mkdir()
    assert box.started() == f"run {'/INPUTS' if inputs else '/in'} {'/OUTPUTS' if outputs else '/out'}"


def test_slides_in_in_come_before_inputs(box: Box) -> None:
    (box.root / "INPUTS").mkdir()
    assert box.started() == "run /in /out"


def _owner(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)


@pytest.fixture
def whoami(box: Box) -> Callable[..., str]:
    """Starts the script as root, or as another; the uid, gid and groups that the program had."""
    box.fake("gloinone", 'echo "$(id -u) $(id -g) $(id -G)"')

    def start(*before: str) -> str:
        return box.started(before=before)

    return start


@needs_root
def test_root_becomes_the_owner_of_out(box: Box, whoami: Callable[..., str]) -> None:
    os.chown(box.out, CALLER, CALLER + 1)
    assert whoami() == f"{CALLER} {CALLER + 1} {CALLER + 1}"
    assert _owner(box.out) == (CALLER, CALLER + 1, 0o755)


@needs_root
def test_an_out_of_root_is_given_away(box: Box, whoami: Callable[..., str]) -> None:
    assert whoami() == f"{FALLBACK} {FALLBACK} {FALLBACK}"
    assert _owner(box.out) == (FALLBACK, FALLBACK, 0o755)


@needs_root
def test_another_user_stays(box: Box, whoami: Callable[..., str]) -> None:
    box.out.chmod(0o1777)
    assert whoami("setpriv", "--reuid", "77", "--regid", "78", "--clear-groups") == "77 78 78"
    assert _owner(box.out)[0] == 0


@needs_root
def test_root_without_the_power_to_change_stays_root(box: Box, whoami: Callable[..., str]) -> None:
    assert whoami("setpriv", "--bounding-set", "-all", "--inh-caps", "-all") == "0 0 0"
    assert _owner(box.out)[0] == 0


@needs_root
def test_root_of_a_rootless_engine_stays(box: Box, whoami: Callable[..., str]) -> None:
    """There root is the caller; any other uid would be none of the caller's outside."""
    rootless = ("setpriv", "--reuid", str(CALLER), "--regid", str(CALLER), "--clear-groups", "unshare", "-r")
    if subprocess.run([*rootless, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no user namespaces here")
    os.chown(box.out, CALLER, CALLER)
    assert whoami(*rootless).split()[0] == "0"
    assert _owner(box.out)[0] == CALLER


@needs_root
def test_what_the_owner_of_out_cannot_reach_is_told(box: Box) -> None:
    os.chown(box.out, CALLER, CALLER)
    box.slides.chmod(0o700)
    assert f"/in cannot be read by uid {CALLER}" in box.refused()
    box.slides.chmod(0o755)
    box.out.chmod(0o555)
    assert '--user "$(id -u):$(id -g)"' in box.refused()
    assert "mkdir -p out" in box.refused()
