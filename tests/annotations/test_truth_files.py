"""Truth found by name and read from every kind of file."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from gloinone.annotations.truth import find_truth, read_truth
from gloinone.annotations.unlabelled import read_unlabelled
from gloinone.errors import AnnotationError


def _feature(label: str, x: float, cut: bool = False) -> dict[str, object]:
    ring = [[x, 0], [x + 100, 0], [x + 100, 100], [x, 100], [x, 0]]
    return {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"classification": {"name": label}, "cut": cut},
    }


def _write(path: Path, *features: dict[str, object]) -> Path:
    path.write_text(json.dumps({"type": "FeatureCollection", "features": list(features)}))
    return path


def test_truth_lies_beside_or_under_the_same_path(tmp_path: Path):
    with pytest.raises(AnnotationError, match=r"b/a.svs: no truth in"):
        find_truth("b/a.svs", tmp_path)
    flat = _write(tmp_path / "a.geojson")
    assert find_truth("b/a.svs", tmp_path) == flat
    (tmp_path / "b").mkdir()
    nested = _write(tmp_path / "b" / "a.geojson")
    assert find_truth("b/a.svs", tmp_path) == nested


def test_classes_cut_and_what_is_to_be_ignored(tmp_path: Path):
    path = _write(
        tmp_path / "a.geojson",
        _feature("glomerulus", 0),
        _feature("sclerosed", 200),
        _feature("normal", 400, cut=True),
        _feature("ignore", 600),
        _feature("non-glomerular", 800),
    )
    truth = read_truth(path)
    assert [r.label for r in truth.glomeruli] == ["glomerulus", "sclerosed"]
    assert truth.circles()[0] == pytest.approx((50, 50, 100 / np.sqrt(np.pi)))
    assert truth.ignored_circles()[:, 0].tolist() == pytest.approx([450, 650])


def test_unknown_names_are_listed(tmp_path: Path):
    path = _write(tmp_path / "a.geojson", _feature("tubule", 0), _feature("glom", 9))
    with pytest.raises(AnnotationError, match="unknown class names 'glom', 'tubule'"):
        read_truth(path)


def test_pieces_of_a_mask_and_those_its_border_cuts(tmp_path: Path):
    mask = np.zeros((200, 300), np.uint8)
    cv2.circle(mask, (100, 100), 30, 255, -1)
    cv2.circle(mask, (290, 50), 30, 255, -1)
    mask[150, 20] = 255  # a speck is no glomerulus
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), mask)
    truth = read_truth(path)
    assert truth.circles() == pytest.approx(np.array([[100.5, 100.5, 30]]), abs=0.6)
    assert len(truth.ignored) == 1


def test_a_mask_that_is_no_picture(tmp_path: Path):
    path = tmp_path / "a.png"
    path.write_text("no picture")
    with pytest.raises(AnnotationError, match="not a readable mask"):
        read_truth(path)


def test_nothing_annotated(tmp_path: Path):
    truth = read_truth(_write(tmp_path / "a.geojson"))
    assert truth.circles().shape == (0, 3)
    assert truth.ignored_circles().shape == (0, 3)


@pytest.mark.shared
def test_shared_truth_has_the_counts_its_readme_states(shared_data: Path):
    a = read_truth(shared_data / "hubmap-wsi" / "pas-a.geojson")
    assert (len(a.glomeruli), len(a.ignored)) == (226 - 36, 36)
    b = read_truth(shared_data / "hubmap-wsi" / "pas-b.geojson")
    assert (len(b.glomeruli), len(b.ignored)) == (167 - 35, 35)
    biopsies = [read_truth(p) for p in sorted((shared_data / "biopsies-he").glob("*.geojson"))]
    assert sum(len(t.glomeruli) for t in biopsies) == 548 - 85
    tiles = [read_truth(p) for p in sorted((shared_data / "aidpath-tiles" / "masks").glob("*.png"))]
    # 27 glomeruli, one of them in two pieces
    assert sum(len(t.glomeruli) + len(t.ignored) for t in tiles) == 28


def test_glomeruli_without_an_outline_are_ignored(tmp_path: Path):
    listed = tmp_path / "unlabelled.csv"
    listed.write_text("slide,x,y,radius,source\na.svs,900,40.5,30,h1\na.svs,1200,40,20,h1\nb.svs,1,2,3,h1\n")
    circles = read_unlabelled(listed)
    assert circles["a.svs"].tolist() == [[900, 40.5, 30], [1200, 40, 20]]
    truth = read_truth(_write(tmp_path / "a.geojson", _feature("normal", 0), _feature("ignore", 600)))
    more = truth.ignoring(circles["a.svs"])
    assert more.glomeruli == truth.glomeruli
    assert more.ignored_circles()[1:] == pytest.approx(circles["a.svs"], abs=1e-6)


@pytest.mark.parametrize("row", ["a.svs,1,2", "a.svs,1,2,-3", "a.svs,1,nan,3", "a.svs,one,2,3"])
def test_a_list_with_a_circle_that_is_none_is_an_error(tmp_path: Path, row: str):
    listed = tmp_path / "unlabelled.csv"
    listed.write_text(f"slide,x,y,radius\n{row}\n")
    with pytest.raises(AnnotationError, match="not a list of circles"):
        read_unlabelled(listed)
