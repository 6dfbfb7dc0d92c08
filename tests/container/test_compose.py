"""docker-compose.yml through an implementation of compose: docker's own, or podman-compose."""

import os
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from built_image import RUN_LIMIT_S, Image

from gloinone.annotations.columns import SUMMARY
from gloinone.annotations.csv_text import read_table

pytestmark = pytest.mark.container

Compose = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def compose(image: Image, repository: Path, slides: Path, out: Path) -> Compose:
    """Runs it on the repository's file, with a drawn slide and the caller's uid."""
    engine, *options = image.engine
    if Path(engine).name == "docker":
        program = [*image.engine, "compose"]
    elif shutil.which("podman-compose"):
        program = ["podman-compose", f"--podman-path={engine}", f"--podman-args={shlex.join(options)}"]
    else:
        pytest.skip("no podman-compose")
    caller = {"UID": "1000", "GID": "1000", "SLIDES": str(slides), "OUT": str(out)}
    out.chmod(0o777)

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*program, "--file", str(repository / "docker-compose.yml"), *arguments],
            env=os.environ | caller,
            capture_output=True,
            text=True,
            check=False,
            timeout=RUN_LIMIT_S,
        )

    return call


def test_it_is_understood(compose: Compose, slides: Path) -> None:
    """Every service, with the settings that all of them share."""
    done = compose("--profile", "cpu", "config")
    assert done.returncode == 0, done.stderr
    services = yaml.safe_load(done.stdout)["services"]
    assert set(services) == {"run", "run-cpu", "demo", "doctor", "doctor-cpu"}
    for name, service in services.items():
        assert service["user"] == "1000:1000", name
        assert service["network_mode"] == "none", name
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert str(slides) in str(service["volumes"]), name
    assert {name for name, service in services.items() if "deploy" in service} == {"run", "doctor"}


def test_the_doctor_service(compose: Compose) -> None:
    done = compose("--profile", "cpu", "run", "--rm", "doctor-cpu")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("hash right") == 3


def test_the_run_service(compose: Compose, out: Path) -> None:
    done = compose("--profile", "cpu", "run", "--rm", "run-cpu")
    assert done.returncode == 0, done.stdout + done.stderr
    assert [row["status"] for row in read_table(out / "summary.csv", SUMMARY)] == ["done"]
    assert {path.stat().st_uid for path in out.rglob("*")} == {1000}
