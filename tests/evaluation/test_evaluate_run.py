"""Counts and percentages by hand, and the pictures of what went wrong."""

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from made_run import SIZE, Found, write_run, write_truth
from PIL import Image

from gloinone.cli.evaluate_run import command
from gloinone.errors import AnnotationError, UsageError
from gloinone.evaluation.detection import scores
from gloinone.evaluation.mistakes import find_mistakes, with_sheets, worst_first
from gloinone.evaluation.run_output import ScoredRun, load_run
from gloinone.evaluation.tables import Evaluation
from gloinone.evaluation.whole_job import (
    count_error,
    count_slide,
    evaluate_counts,
    evaluate_run,
    mean_count_error,
    mean_percent_error,
    percent_error,
)


@pytest.fixture
def run(tmp_path: Path) -> ScoredRun:
    truth = tmp_path / "truth"
    write_truth(truth, "a", [500, 1000, 1500, 2000], [2500], ["normal", "normal", "sclerosed", "sclerosed"])
    write_truth(truth, "b", [500, 1000], label="glomerulus")
    slides = {
        # three of four, of them one sclerosed; the cut one; two false, the surer one sclerosed
        "a.png": [
            Found(500, 0.9, 0.9, id="G001"),
            Found(1000, 0.9, 0.8, id="G002"),
            Found(1500, 0.9, 0.7, "solidified", "G003"),
            Found(2000, 0.3, 0.1, "solidified"),
            Found(2500, 0.9, 0.9, id="G004"),
            Found(3000, 0.9, 0.9, "obsolescent", "G005"),
            Found(3500, 0.9, 0.3, id="G006"),
        ],
        "b.png": [Found(500, 0.9, 0.9, id="G001")],
    }
    write_run(tmp_path / "out", slides)
    return load_run(tmp_path / "out", truth)


def test_outside_of_a_region_nothing_is_scored(run: ScoredRun, tmp_path: Path) -> None:
    """Slide a again, outlined completely up to x 1200: what lies beyond is neither missed, right nor false."""
    truth = tmp_path / "truth" / "a.geojson"
    document = json.loads(truth.read_text("utf-8"))
    area = [[0, 0], [1200, 0], [1200, 400], [0, 400], [0, 0]]
    geometry = {"type": "Polygon", "coordinates": [area]}
    properties = {"classification": {"name": "region"}}
    document["features"].append({"type": "Feature", "geometry": geometry, "properties": properties})
    truth.write_text(json.dumps(document), "utf-8")
    a = load_run(tmp_path / "out", tmp_path / "truth").slides[0]
    assert [row["x"] for row in a.rows] == [500, 1000]
    counted = count_slide(a)
    assert (counted.truth, counted.found) == (2, 2)
    assert len(a.truth.ignored) == 3


def test_a_right_circle_centred_outside_of_the_region_is_right(tmp_path: Path) -> None:
    """The glomerulus at x 1190 lies inside of 1200, the circle on it at 1205 does not, that at 1300 belongs nowhere."""
    write_truth(tmp_path / "truth", "a", [500, 1190])
    path = tmp_path / "truth" / "a.geojson"
    document = json.loads(path.read_text("utf-8"))
    area = {"type": "Polygon", "coordinates": [[[0, 0], [1200, 0], [1200, 400], [0, 400], [0, 0]]]}
    properties = {"classification": {"name": "region"}}
    document["features"].append({"type": "Feature", "geometry": area, "properties": properties})
    path.write_text(json.dumps(document), "utf-8")
    found = [
        Found(500, 0.9, 0.9, id="G001"),
        Found(1205, 0.9, 0.8, id="G002"),
        Found(1300, 0.9, 0.7, id="G003"),
    ]
    write_run(tmp_path / "out", {"a.png": found})
    (slide,) = load_run(tmp_path / "out", tmp_path / "truth").slides
    assert [row["x"] for row in slide.rows] == [500, 1205]
    assert [row["id"] for row in slide.glomeruli] == ["G001", "G002"]
    values = {score.name: score.value for score in scores([slide])}
    assert (values["recall at the threshold"], values["precision at the threshold"]) == (1, 1)


def test_without_complete_truth_recall_and_classes_are_left(run: ScoredRun, tmp_path: Path) -> None:
    report = tmp_path / "scores"
    given = [str(tmp_path / "out"), str(tmp_path / "truth"), "--complete", "no", "--out", str(report)]
    result = CliRunner().invoke(command, given)
    assert result.exit_code == 0, result.output
    assert "counts are not scored: no slide has all its glomeruli outlined" in result.stderr
    assert "doubts are not scored" in result.stderr
    table = dict(line.split(",")[:2] for line in (report / "detection.csv").read_text().splitlines())
    assert float(table["recall at the threshold"]) > 0
    assert table["precision at the threshold"] == table["detector AP50"] == ""
    assert (
        len(evaluate_counts(replace(run, slides=(run.slides[0], run.slides[1].recall_only()))).tables[2].rows)
        == 1
    )


def test_false_circles_are_counted_per_tissue_within_the_regions(run: ScoredRun, tmp_path: Path) -> None:
    path = tmp_path / "truth" / "a.geojson"
    document = json.loads(path.read_text("utf-8"))
    ring = [[0, 0], [1200, 0], [1200, 400], [0, 400], [0, 0]]
    hole = [[300, 0], [600, 0], [600, 400], [300, 400], [300, 0]]
    area = {"type": "Polygon", "coordinates": [ring, hole]}
    properties = {"classification": {"name": "region"}}
    document["features"].append({"type": "Feature", "geometry": area, "properties": properties})
    path.write_text(json.dumps(document), "utf-8")
    assert [slide.tissue_mm2 for slide in run.slides] == [1.0, 1.0]
    slides = load_run(tmp_path / "out", tmp_path / "truth").slides
    assert [slide.tissue_mm2 for slide in slides] == pytest.approx([0.15, 1.0])
    (tmp_path / "out" / "slides" / "a.png" / "tissue.png").unlink()
    with pytest.raises(AnnotationError, match=r"tissue\.png: cannot be read"):
        load_run(tmp_path / "out", tmp_path / "truth")


def test_a_mask_of_another_size_is_refused(run: ScoredRun, tmp_path: Path) -> None:
    (tmp_path / "truth" / "b.geojson").unlink()
    Image.new("L", (600, 40)).save(tmp_path / "truth" / "b.png")
    with pytest.raises(AnnotationError, match="600 x 40 px, but the slide 6000 x 400"):
        load_run(tmp_path / "out", tmp_path / "truth")


def test_two_files_of_truth_of_a_slide_are_refused(run: ScoredRun, tmp_path: Path) -> None:
    (tmp_path / "truth" / "b.xml").write_text("<Annotations/>")
    with pytest.raises(
        AnnotationError, match=r"b\.png: has several files of truth in .*: b\.geojson, b\.xml"
    ):
        load_run(tmp_path / "out", tmp_path / "truth")


def test_counts_by_hand(run: ScoredRun) -> None:
    a, b = (count_slide(slide) for slide in run.slides)
    assert (a.truth, a.found, a.truth_sclerosed, a.found_sclerosed) == (4, 5, 2, 2)
    assert (b.truth, b.found, b.truth_sclerosed) == (2, 1, None)
    assert count_error([a, b]) == 0
    assert mean_count_error([a, b]) == (25 + 50) / 2
    # a: 50 % of four, found 40 % of five; b's states are not known
    assert percent_error([a, b]) == pytest.approx(-10)
    assert mean_percent_error([a, b]) == pytest.approx(10)
    assert np.isnan(percent_error([b]))
    notes = evaluate_counts(run).notes
    assert any("without the state" in note and "b.png" in note for note in notes)


def test_what_the_truth_does_not_know_is_noted_and_the_rest_scored(tmp_path: Path) -> None:
    write_truth(tmp_path / "truth", "a", [500])
    write_run(tmp_path / "out", {"a.png": [Found(500, 0.9, 0.9, id="G001")]})
    evaluation = evaluate_run(load_run(tmp_path / "out", tmp_path / "truth"))
    assert any(note.startswith("classes are not scored: nothing to tell apart") for note in evaluation.notes)
    names = {table.name for table in evaluation.tables}
    assert {"job_slides", "detection_slides", "segmentation_slides"} <= names
    assert "classification" not in names


def test_the_worst_come_first(run: ScoredRun) -> None:
    misses = worst_first([m for slide in run.slides for m in find_mistakes(slide, "misses")], "misses")
    assert [(m.slide.name, m.words) for m in misses] == [
        ("b.png", "glomerulus, no circle"),
        ("a.png", "sclerosed, score 0.10"),
    ]
    false = worst_first([m for slide in run.slides for m in find_mistakes(slide, "false")], "false")
    assert [m.words for m in false] == ["G005 obsolescent 0.90", "G006 normal 0.30"]


def test_circles_beside_a_glomerulus_say_by_how_much(tmp_path: Path) -> None:
    write_truth(tmp_path / "truth", "a", [500])
    write_run(tmp_path / "out", {"a.png": [Found(500, 0.9, 0.9, id="G001", radius=30)]})
    slide = load_run(tmp_path / "out", tmp_path / "truth").slides[0]
    assert [m.words for m in find_mistakes(slide, "misses")] == ["glomerulus, at best IoU 0.36"]
    assert [m.words for m in find_mistakes(slide, "false")] == ["G001 normal 0.90, IoU 0.36"]


def _slides(folder: Path, size: tuple[int, int] = SIZE) -> Path:
    folder.mkdir()
    for name in ("a.png", "b.png"):
        Image.new("RGB", size, (200, 120, 160)).save(folder / name)
    return folder


def test_sheets_show_the_slides(run: ScoredRun, tmp_path: Path) -> None:
    sheets = with_sheets(Evaluation("", ()), run, _slides(tmp_path / "slides")).plots
    assert set(sheets) == {"worst_misses_all", "worst_false_all"}
    for draw in sheets.values():
        colours = {
            colour for _, colour in Image.open(io.BytesIO(draw())).convert("RGB").getcolors(1 << 20) or []
        }
        assert (200, 120, 160) in colours  # of the slide


def test_sheets_refuse_other_slides(run: ScoredRun, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no slide a.png, b.png"):
        with_sheets(Evaluation("", ()), run, tmp_path / "truth")
    sheets = with_sheets(Evaluation("", ()), run, _slides(tmp_path / "other", (500, 400))).plots
    with pytest.raises(UsageError, match="give its own slide"):
        sheets["worst_false_all"]()


def test_the_command(run: ScoredRun, tmp_path: Path) -> None:
    report = tmp_path / "scores"
    arguments = [str(tmp_path / "out"), str(tmp_path / "truth"), "--out", str(report)]
    result = CliRunner().invoke(command, [*arguments, "--slides", str(_slides(tmp_path / "slides"))])
    assert result.exit_code == 0, result.output
    assert "| a.png | a.png | 4 | 5 | 25.000 | 50.000 | 40.000 | -10.000 |" in result.stdout
    pictures = {path.name for path in report.glob("*.png")}
    assert pictures >= {"counts.png", "percent_sclerosed.png", "froc.png", "worst_misses_all.png"}
    assert all(name in (report / "scores.md").read_text() for name in pictures)
