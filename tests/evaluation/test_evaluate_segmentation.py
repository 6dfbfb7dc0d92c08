"""Outlines against outlines, by hand."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from made_run import Found, write_run, write_truth

from gloinone.cli.evaluate_segmentation import command
from gloinone.errors import UsageError
from gloinone.evaluation.groups import Groups
from gloinone.evaluation.outlines import border_distances, compare, place_ring
from gloinone.evaluation.run_output import load_run
from gloinone.evaluation.segmentation import evaluate_segmentation, outlines_of_masks, outlines_of_run
from gloinone.evaluation.tables import Cell, Evaluation


def _square(size: int, at: int, edge: int) -> np.ndarray:
    mask = np.zeros((size, size), bool)
    mask[at : at + edge, at : at + edge] = True
    return mask


def test_a_square_inside_a_square() -> None:
    # 4 px in the middle of 8 px: every border pixel is 2 px from the other border, the outer corners further
    inner, outer = _square(12, 4, 4), _square(12, 2, 8)
    score = compare(inner, outer, unit=0.5)
    assert score.dice == 2 * 16 / (16 + 64)
    assert score.iou == 16 / 64
    assert score.area_error == -75
    # outer border: 28 px, of which the 4 of each side that face the inner square are 2 px away; from there to the
    # corners 5, 8 and 5 under the root
    distances = [2.0] * 12 + [2.0] * 16 + [5**0.5] * 8 + [8**0.5] * 4
    assert sorted(border_distances(inner, outer)) == pytest.approx(sorted(distances))
    assert score.border_distance == pytest.approx(0.5 * np.mean(distances))
    assert score.border_distance_95 == pytest.approx(0.5 * np.percentile(distances, 95))


def test_masks_that_are_empty() -> None:
    nothing, something = np.zeros((5, 5), bool), _square(5, 1, 2)
    assert compare(nothing, nothing)[:2] == (1, 1)
    one = compare(nothing, something)
    assert one[:2] == (0, 0)
    assert np.isnan(one.border_distance)
    assert one.area_error == -100
    assert np.isnan(compare(something, nothing).area_error)


def test_truth_that_reaches_beyond_the_crop_counts_whole() -> None:
    ring = np.array([[-3.0, 1], [2, 1], [2, 6], [-3, 6]])
    found, truth = place_ring(np.ones((4, 4), bool), ring)
    assert found.shape == truth.shape == (6, 7)
    assert (found.sum(), truth.sum(), (found & truth).sum()) == (16, 25, 6)


def _value(evaluation: Evaluation, name: str) -> Cell:
    return next(row[1] for row in evaluation.tables[0].rows if row[0] == name)


def test_outlines_of_a_run(tmp_path: Path) -> None:
    write_truth(tmp_path / "truth", "a", [1000, 2000, 3000])
    write_truth(tmp_path / "truth", "b", [1000], radius=40)
    slides = {
        "a.tif": [Found(1000, 0.9, 0.9, id="G001"), Found(5000, 0.9, 0.9, id="G002"), Found(2000, 0.1, 0.1)],
        "b.tif": [Found(1000, 0.9, 0.9, id="G001")],
    }
    write_run(tmp_path / "out", slides)
    run = load_run(tmp_path / "out", tmp_path / "truth")
    outlines = outlines_of_run(run)
    assert [item.name for item in outlines.items] == ["a.tif G001", "b.tif G001"]
    assert any("2 of 4 glomeruli are scored" in note for note in outlines.notes)
    same, smaller = (item.score for item in outlines.items)
    assert same.dice == pytest.approx(1, abs=0.01)
    assert same.border_distance < 0.3
    # the truth has 40 px, what was found 50, at 1 um/px
    assert smaller.dice == pytest.approx(2 * 40**2 / (40**2 + 50**2), abs=0.01)
    assert smaller.border_distance == pytest.approx(10, abs=0.3)
    assert smaller.area_error == pytest.approx(56.25, abs=1)
    evaluation = evaluate_segmentation(outlines)
    assert _value(evaluation, "Dice, mean") == pytest.approx((same.dice + smaller.dice) / 2)
    assert _value(evaluation, "Dice, SD") == pytest.approx(abs(same.dice - smaller.dice) / 2**0.5)
    (tmp_path / "out" / "slides" / "a.tif" / "masks" / "G001.png").unlink()
    with pytest.raises(Exception, match=r"G001\.png: cannot be read"):
        outlines_of_run(run)


def test_an_ellipse_is_no_outline(tmp_path: Path) -> None:
    write_truth(tmp_path / "truth", "a", [1000, 2000])
    path = tmp_path / "truth" / "a.geojson"
    document = json.loads(path.read_text())
    document["features"][0]["geometry"]["isEllipse"] = True
    path.write_text(json.dumps(document))
    found = [Found(1000, 0.9, 0.9, id="G001"), Found(2000, 0.9, 0.9, id="G002")]
    write_run(tmp_path / "out", {"a.tif": found})
    outlines = outlines_of_run(load_run(tmp_path / "out", tmp_path / "truth"))
    assert [item.name for item in outlines.items] == ["a.tif G002"]
    assert any("1 were found, but their truth is a box or an ellipse" in note for note in outlines.notes)


def test_a_run_that_found_nothing(tmp_path: Path) -> None:
    write_truth(tmp_path / "truth", "a", [1000])
    write_run(tmp_path / "out", {"a.tif": []})
    with pytest.raises(UsageError, match="nothing to score"):
        outlines_of_run(load_run(tmp_path / "out", tmp_path / "truth"))


def _mask_folders(folder: Path) -> tuple[Path, Path]:
    found, truth = folder / "found", folder / "truth"
    for place, masks in (
        (found, {"a": _square(12, 4, 4), "b": _square(12, 2, 8), "lone": _square(12, 2, 8)}),
        (truth, {"a": _square(12, 2, 8), "b": _square(12, 2, 8), "missed": _square(12, 2, 8)}),
    ):
        place.mkdir()
        for name, mask in masks.items():
            cv2.imwrite(str(place / f"{name}.png"), mask.astype(np.uint8) * 255)
    return found, truth


def test_two_folders_of_masks(tmp_path: Path) -> None:
    folders = _mask_folders(tmp_path)
    outlines = outlines_of_masks(*folders, Groups({"a": "s1", "b": "s1"}), None)
    assert [(item.name, item.slide, item.score.dice) for item in outlines.items] == [
        ("a.png", "s1", 0.4),
        ("b.png", "s1", 1.0),
    ]
    assert outlines.unit == "px"
    assert any("lone.png" in note for note in outlines.notes)
    assert any("missed.png" in note for note in outlines.notes)
    cv2.imwrite(str(folders[0] / "a.png"), np.zeros((3, 4), np.uint8))
    with pytest.raises(UsageError, match=r"a.png: \(4, 3\) px"):
        outlines_of_masks(*folders, Groups(), None)


def test_the_command(tmp_path: Path) -> None:
    folders = _mask_folders(tmp_path)
    report = tmp_path / "scores"
    result = CliRunner().invoke(command, [*map(str, folders), "--mpp", "0.5", "--out", str(report)])
    assert result.exit_code == 0, result.output
    assert "| Dice, mean | 0.700 | 0.400 | 1.000 |" in result.stdout
    assert "border distance (um)" in result.stdout
    assert "lone.png" in result.stderr
    assert (report / "dice_by_slide.png").read_bytes().startswith(b"\x89PNG")
    assert len((report / "segmentation_each.csv").read_text().splitlines()) == 3
