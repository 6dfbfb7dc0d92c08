"""The weights that ship, on slides they were not trained on: each does what its card says it does."""

from pathlib import Path

import numpy as np
import pytest

from gloinone.annotations.columns import CIRCLES, SUMMARY
from gloinone.annotations.csv_text import numbers, read_table
from gloinone.annotations.imagescope import read_imagescope
from gloinone.evaluation.detection import scores
from gloinone.evaluation.run_output import load_run
from gloinone.geometry import circle_iou, ring_circle
from gloinone.labels import NONGLOMERULAR
from gloinone.pipeline.run_folder import run_folder
from gloinone.pipeline.stages import Networks, StagesConfig
from gloinone.pipeline.tasks import RunConfig
from gloinone.weights.card import ModelCard, read_card

pytestmark = [pytest.mark.shared, pytest.mark.slow]

SLACK = 0.02
"""Of a score: another processor rounds otherwise."""
PAS_B = "pas-b, left out"
BIOPSIES = "ten biopsies of biopsies-he, left out"
KIDNEY_HE = "kidney-he, never trained on"
NO_KIDNEY = "cmu-1-small-region, no kidney"


@pytest.fixture(scope="module")
def card(repository: Path) -> ModelCard:
    """Of the detector; it states what the three networks reach together."""
    return read_card(repository / "models" / "detector" / "card.json")


def _stated(card: ModelCard, on: str) -> dict[str, float]:
    stated = {m.what: m.value for m in card.measured if m.on == on}
    assert stated, f"the detector's card says nothing of {on}"
    return stated


def _left_out(repository: Path, prefix: str) -> list[str]:
    lines = (repository / "docs" / "weights" / "left-out.txt").read_text().split()
    return [line for line in lines if line.startswith(prefix)]


def _run(source: Path, out: Path, **options: object) -> Path:
    outcome = run_folder(RunConfig(source, out, **options), Networks(StagesConfig()))  # type: ignore[arg-type]
    assert outcome.exit_status == 0
    return out


def _holds(out: Path, truth: Path, stated: dict[str, float]) -> None:
    measured = {score.name: score.value for score in scores(load_run(out, truth).slides)}
    for what, value in stated.items():
        assert measured[what] >= value - SLACK, what


def test_pas_b(shared_data: Path, tmp_path: Path, card: ModelCard) -> None:
    out = _run(shared_data / "hubmap-wsi" / "pas-b.tif", tmp_path / "out")
    _holds(out, shared_data / "hubmap-wsi", _stated(card, PAS_B))


def test_ten_biopsies(repository: Path, shared_data: Path, tmp_path: Path, card: ModelCard) -> None:
    source = tmp_path / "in"
    source.mkdir()
    names = _left_out(repository, "biopsy")
    assert len(names) == 10
    for name in names:
        (source / f"{name}.jpg").symlink_to(shared_data / "biopsies-he" / f"{name}.jpg")
    out = _run(source, tmp_path / "out", mpp_csv=shared_data / "biopsies-he" / "slides.csv")
    _holds(out, shared_data / "biopsies-he", _stated(card, BIOPSIES))


def test_kidney_he(shared_data: Path, tmp_path: Path, card: ModelCard) -> None:
    out = _run(shared_data / "slides" / "kidney-he", tmp_path / "kidney", mpp=0.466667)
    rows = read_table(out / "slides" / "kidney-he.svs" / "circles.csv", CIRCLES)
    assert card.threshold is not None
    least = card.threshold - SLACK
    rows = [row for row in rows if float(str(row["score"])) >= least and row["class"] != NONGLOMERULAR]
    found = np.column_stack([numbers(rows, name) for name in ("x", "y", "radius")])
    layers = read_imagescope(shared_data / "slides" / "kidney-he" / "kidney-he.imagescope.xml").layers
    truth = np.array([ring_circle(region.ring) for layer in layers[:2] for region in layer.regions])
    assert len(truth) == 5
    hits = (circle_iou(truth, found).max(axis=1) >= 0.5).mean()
    assert hits >= _stated(card, KIDNEY_HE)["annotated glomeruli found"]


def test_tissue_that_is_no_kidney(shared_data: Path, tmp_path: Path, card: ModelCard) -> None:
    out = _run(shared_data / "slides" / "cmu-1-small-region.svs", tmp_path / "cmu")
    row = read_table(out / "summary.csv", SUMMARY)[0]
    assert int(str(row["n_glomeruli"])) <= _stated(card, NO_KIDNEY)["false circles"]
