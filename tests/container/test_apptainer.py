"""The image as a Singularity file: $SIF names it, and `apptainer` runs it.

What is bound lies in the file's folder, which every node of a cluster sees.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from built_image import RUN_LIMIT_S

from gloinone.annotations.columns import GLOMERULI, SUMMARY
from gloinone.annotations.csv_text import read_table
from gloinone.drawn.slide import Truth
from gloinone.evaluation.planted import check_planted

pytestmark = pytest.mark.container


@pytest.fixture(scope="module")
def sif() -> Path:
    """Skips where there is no Apptainer, or no file."""
    named = os.environ.get("SIF", "")
    if not named or not Path(named).is_file() or not shutil.which("apptainer"):
        pytest.skip("no apptainer, or no $SIF")
    return Path(named)


@pytest.fixture
def work(sif: Path, slides: Path) -> Iterator[Path]:
    """A folder with in/ and out/ beside the file, open to whoever Apptainer runs as."""
    with tempfile.TemporaryDirectory(dir=sif.parent) as name:
        folder = Path(name)
        folder.chmod(0o755)
        shutil.copytree(slides, folder / "in")
        (folder / "out").mkdir()
        (folder / "out").chmod(0o777)
        yield folder


def _run(sif: Path, *arguments: str, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    command = ["apptainer", "run", "--containall", *options, str(sif), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=RUN_LIMIT_S)


def test_it_runs_as_in_the_readme(sif: Path, work: Path, truth: Truth) -> None:
    done = _run(sif, options=(f"--bind={work}/in:/in:ro,{work}/out:/out",))
    assert done.returncode == 0, done.stderr
    assert "Tini" not in done.stderr
    assert [row["status"] for row in read_table(work / "out" / "summary.csv", SUMMARY)] == ["done"]
    check = check_planted(read_table(work / "out" / "glomeruli.csv", GLOMERULI), truth.glomeruli)
    assert check.found == len(truth.glomeruli)
    assert 0 not in {path.stat().st_uid for path in (work / "out").rglob("*")}


def test_nothing_bound_is_refused(sif: Path) -> None:
    done = _run(sif)
    assert done.returncode == 2
    assert "/in is empty" in done.stderr


def test_other_commands(sif: Path) -> None:
    assert _run(sif, "--version").stdout.startswith("gloinone ")
    done = _run(sif, "doctor", "--device", "cpu")
    assert done.returncode == 0, done.stdout
    assert "hash right" in done.stdout
