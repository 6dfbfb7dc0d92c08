"""The weights that ship, on slides they were not trained on: what issue and card promise still holds."""

from pathlib import Path

import numpy as np
import pytest

from gloinone.annotations.columns import GLOMERULI, SUMMARY
from gloinone.annotations.csv_text import numbers, read_table
from gloinone.annotations.imagescope import read_imagescope
from gloinone.evaluation.detection import Score, load_slides, scores
from gloinone.geometry import circle_iou, ring_circle
from gloinone.pipeline.run_folder import run_folder
from gloinone.pipeline.stages import Networks, StagesConfig
from gloinone.pipeline.tasks import RunConfig

pytestmark = [pytest.mark.shared, pytest.mark.slow]


def _left_out(repository: Path, prefix: str) -> list[str]:
    lines = (repository / "docs" / "weights" / "left-out.txt").read_text().split()
    return [line for line in lines if line.startswith(prefix)]


def _run(source: Path, out: Path, **options: object) -> Path:
    outcome = run_folder(RunConfig(source, out, **options), Networks(StagesConfig()))  # type: ignore[arg-type]
    assert outcome.exit_status == 0
    return out


def _scores(out: Path, truth: Path) -> dict[str, Score]:
    slides, _ = load_slides(out, truth, frozenset())
    return {score.name: score for score in scores(slides)}


def test_pas_b_recall_and_precision_at_the_shipped_threshold(shared_data: Path, tmp_path: Path):
    out = _run(shared_data / "hubmap-wsi" / "pas-b.tif", tmp_path / "out")
    found = _scores(out, shared_data / "hubmap-wsi")
    assert found["recall at the threshold"].value >= 0.90
    assert found["precision at the threshold"].value >= 0.70


def test_ten_biopsies_kept_out(repository: Path, shared_data: Path, tmp_path: Path):
    source = tmp_path / "in"
    source.mkdir()
    names = _left_out(repository, "biopsy")
    assert len(names) == 10
    for name in names:
        (source / f"{name}.jpg").symlink_to(shared_data / "biopsies-he" / f"{name}.jpg")
    out = _run(source, tmp_path / "out", mpp_csv=shared_data / "biopsies-he" / "slides.csv")
    assert _scores(out, shared_data / "biopsies-he")["with classifier AP50"].value >= 0.70


def test_kidney_he_and_tissue_that_is_no_kidney(shared_data: Path, tmp_path: Path):
    out = _run(shared_data / "slides" / "kidney-he", tmp_path / "kidney", mpp=0.466667)
    rows = read_table(out / "glomeruli.csv", GLOMERULI)
    found = np.column_stack([numbers(rows, name) for name in ("x", "y", "radius")])
    layers = read_imagescope(shared_data / "slides" / "kidney-he" / "kidney-he.imagescope.xml").layers
    for region in (*layers[0].regions, *layers[1].regions):
        iou = circle_iou(found, np.array([ring_circle(region.ring)]))
        assert iou.max() >= 0.5, f"missed the glomerulus at {ring_circle(region.ring)}"
    out = _run(shared_data / "slides" / "cmu-1-small-region.svs", tmp_path / "cmu")
    row = read_table(out / "summary.csv", SUMMARY)[0]
    assert int(str(row["n_glomeruli"])) <= 1
