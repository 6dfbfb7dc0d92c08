"""The Snakemake workflow of cluster/, run on this machine without SLURM and image: the rules and what they hang on."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from folder_fakes import read_rows, write_slide_file

pytestmark = [pytest.mark.container, pytest.mark.skipif(not shutil.which("snakemake"), reason="no snakemake")]

ROOT = Path(__file__).resolve().parents[2]
FAKE = f"""#!{sys.executable}
import sys
sys.path[:0] = ["{ROOT}", "{ROOT}/tests"]
from folder_fakes import FakeMethod
from gloinone.cli import run
from gloinone.cli.main import main
run.networks = lambda options: FakeMethod()
main()
"""


@pytest.fixture
def work(tmp_path: Path) -> Callable[..., int]:
    """Runs the workflow over tmp_path/in, with further settings and options of snakemake; its exit status."""
    program = tmp_path / "bin" / "gloinone"
    program.parent.mkdir()
    program.write_text(FAKE)
    program.chmod(0o755)

    def run(*further: str, settings: tuple[str, ...] = ()) -> int:
        program_and_rules = ("snakemake", "--snakefile", str(ROOT / "cluster/Snakefile"), "--cores", "1")
        places = (f"slides={tmp_path / 'in'}", f"out={tmp_path / 'out'}")
        usual = ("slides_per_task=2", "options=--mpp 0.5")
        return subprocess.run(
            [*program_and_rules, *further, "--config", *places, *usual, *settings],
            cwd=tmp_path,
            env={**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}"},
            capture_output=True,
            check=False,
        ).returncode

    return run


def test_the_workflow_runs_the_shards_and_merges(tmp_path: Path, work: Callable[..., int]) -> None:
    slides, out = tmp_path / "in", tmp_path / "out"
    for name in ("a.tif", "b c.tif", "d.tif"):
        write_slide_file(slides / name)
    assert work() == 0
    assert {path.name for path in (out / "runs").iterdir()} == {"0-of-2.json", "1-of-2.json"}
    assert {row["status"] for row in read_rows(out / "summary.csv")} == {"done"}
    (slides / "d.tif").write_text("torn")
    assert work("--forcerun", "shard") == 1, "a slide failed"
    assert [row["status"] for row in read_rows(out / "summary.csv")] == ["done", "done", "failed"]


def test_the_list_knows_the_pseudonyms(tmp_path: Path, work: Callable[..., int]) -> None:
    write_slide_file(tmp_path / "in" / "SECRET.tif")
    assert work(settings=(f"pseudonyms={tmp_path / 'the key.csv'}",)) == 0
    out = tmp_path / "out"
    assert [row["slide"] for row in read_rows(out / "summary.csv")] == ["S0001"]
    assert "SECRET" not in (out / "slides.txt").read_text()
    assert "SECRET" in (tmp_path / "the key.csv").read_text()


def test_the_list_knows_the_patients(tmp_path: Path, work: Callable[..., int]) -> None:
    write_slide_file(tmp_path / "in" / "a.tif")
    table = tmp_path / "the table.csv"
    table.write_text("slide,mpp,patient\na.tif,,Ann\n")
    assert work(settings=(f"mpp_csv={table}",)) == 0
    assert '"patient": "Ann"' in (tmp_path / "out/slides.txt").read_text()
    assert [row["patient"] for row in read_rows(tmp_path / "out" / "patients.csv")] == ["Ann"]
