"""The whole job with the weights that ship, on drawn slides: found, the same at every magnification, after a kill."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from folder_fakes import tree
from threshold_method import comparable

from gloinone.annotations.columns import GLOMERULI, SUMMARY
from gloinone.annotations.csv_text import numbers, read_table
from gloinone.drawn.config import SceneConfig
from gloinone.drawn.slide import Truth, draw_slide
from gloinone.geometry import circle_iou
from gloinone.pipeline.export import ExportConfig, export
from gloinone.pipeline.run_folder import run_folder
from gloinone.pipeline.save import SaveOptions
from gloinone.pipeline.stages import Networks, StagesConfig
from gloinone.pipeline.tasks import RunConfig

pytestmark = pytest.mark.slow


def _scene(mpp: float, **changes: object) -> SceneConfig:
    options: dict[str, object] = {
        "stain": "pas",
        "normal": 4,
        "obsolescent": 1,
        "solidified": 1,
        "decoys": 2,
        "seed": 3,
    }
    return SceneConfig(1800, 1300, disappearing=0, mpp=mpp, **(options | changes))  # type: ignore[arg-type]


def _run(source: Path, out: Path) -> Path:
    assert run_folder(RunConfig(source, out), Networks(StagesConfig(device="cpu"))).exit_status == 0
    return out


def _circles_um(out: Path, mpp: float) -> np.ndarray:
    rows = read_table(out / "glomeruli.csv", GLOMERULI)
    return np.column_stack([numbers(rows, name) for name in ("x", "y", "radius")]) * mpp


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two slides."""
    folder = tmp_path_factory.mktemp("drawn")
    draw_slide(folder / "a.tif", _scene(1.0))
    (folder / "deep").mkdir()
    draw_slide(folder / "deep" / "b.svs", _scene(1.0, stain="he", seed=5))
    return folder


@pytest.fixture(scope="module")
def whole(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The undisturbed run over it."""
    return _run(drawn, tmp_path_factory.mktemp("whole") / "out")


def test_planted_glomeruli_are_found_where_they_are(tmp_path: Path) -> None:
    truth: Truth = draw_slide(tmp_path / "a.svs", _scene(0.5))
    out = _run(tmp_path / "a.svs", tmp_path / "out")
    found = _circles_um(out, 0.5)
    iou = circle_iou(truth.circles * 0.5, found)
    assert (iou.max(axis=1) >= 0.5).sum() >= len(truth.glomeruli) - 1
    assert (iou.max(axis=0) < 0.5).sum() <= 2
    row = read_table(out / "summary.csv", SUMMARY)[0]
    assert row["status"] == "done"
    assert row["tissue_mm2"] == pytest.approx(truth.tissue_mm2, rel=0.1)


def test_the_scanner_does_not_matter(tmp_path: Path) -> None:
    found = []
    for mpp in (0.25, 0.5):
        folder = tmp_path / str(mpp)
        folder.mkdir()
        draw_slide(folder / "a.svs", _scene(mpp))
        found.append(_circles_um(_run(folder / "a.svs", folder / "out"), mpp))
    fine, coarse = found
    assert len(fine) == len(coarse)
    iou = circle_iou(fine, coarse)
    assert iou.max(axis=1).min() > 0.85


def test_a_slide_alone_gives_the_bytes_it_gives_in_a_batch(drawn: Path, whole: Path, tmp_path: Path) -> None:
    alone = _run(drawn / "deep", tmp_path / "out") / "slides" / "b.svs"
    together = whole / "slides" / "deep" / "b.svs"
    for name in ("masks.tif", "overlay.jpg", "contact.jpg", "crops/G001.png", "masks/G001.png"):
        assert (alone / name).read_bytes() == (together / name).read_bytes(), name
    circles = [
        (folder / "circles.csv").read_text().replace("deep/b.svs", "b.svs") for folder in (alone, together)
    ]
    assert circles[0] == circles[1]


def test_after_kill_9_the_files_are_those_of_an_undisturbed_run(
    drawn: Path, whole: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    program = [sys.executable, "-m", "gloinone.cli.main", "run", str(drawn), str(out), "--device", "cpu"]
    for seconds in (6.0, 12.0):
        process = subprocess.Popen(program, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(seconds)
        process.kill()
        process.wait()
    finished = subprocess.run(program, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    assert tree(out) == tree(whole)


def test_an_export_is_a_run_with_another_threshold_and_shape(
    drawn: Path, whole: Path, tmp_path: Path
) -> None:
    out, fresh = tmp_path / "out", tmp_path / "fresh"
    shutil.copytree(whole, out)
    scores = sorted(numbers(read_table(out / "glomeruli.csv", GLOMERULI), "score"))
    middle = float(scores[len(scores) // 2])
    assert not export(ExportConfig(out, min_score=middle, shape="ellipse")).problems
    config = RunConfig(drawn, fresh, save=SaveOptions("ellipse"))
    run_folder(config, Networks(StagesConfig(device="cpu", min_score=middle)))
    found, wanted = comparable(out), comparable(fresh)
    assert found.keys() == wanted.keys()
    assert [name for name in found if found[name] != wanted[name]] == []
    assert 0 < len(read_table(out / "glomeruli.csv", GLOMERULI)) < len(scores)
