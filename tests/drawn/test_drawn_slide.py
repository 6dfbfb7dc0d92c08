"""One call makes a slide and its truth; the truth beside it says the same as the truth returned."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import openslide
import pytest

from gloinone.annotations.geojson import read_geojson
from gloinone.annotations.truth import find_truth, read_truth
from gloinone.drawn.scene import SceneConfig
from gloinone.drawn.slide import draw_slide
from gloinone.errors import OutputError, UsageError
from gloinone.labels import NONGLOMERULAR

CONFIG = SceneConfig(
    1000, 800, normal=2, obsolescent=1, solidified=0, disappearing=1, decoys=2, seed=3, mpp=0.5
)


def test_slide_and_truth_agree(tmp_path: Path) -> None:
    truth = draw_slide(tmp_path / "a slide.svs", CONFIG)
    assert truth.truth_path == tmp_path / "a slide.truth.geojson"
    assert {path.name for path in tmp_path.iterdir()} == {"a slide.svs", "a slide.truth.geojson"}
    with openslide.OpenSlide(truth.path) as slide:
        assert slide.dimensions == (truth.width, truth.height) == (2000, 1600)
        assert slide.properties["openslide.objective-power"] == "20"
        assert float(slide.properties["openslide.mpp-x"]) == truth.mpp == 0.5
    assert truth.labels == ("normal", "normal", "obsolescent", "disappearing")
    assert truth.tissue.shape == (100, 125)
    assert truth.tissue.mean() * 0.8 == pytest.approx(truth.tissue_mm2, rel=0.02)


def test_geojson_round_trip(tmp_path: Path) -> None:
    truth = draw_slide(tmp_path / "a.tif", CONFIG)
    regions = read_geojson(truth.truth_path)
    assert [r.label for r in regions] == [*truth.labels, NONGLOMERULAR, NONGLOMERULAR]
    for region, thing in zip(regions, (*truth.glomeruli, *truth.decoys), strict=True):
        np.testing.assert_allclose(region.ring, thing.ring, atol=0.01)
    known = read_truth(find_truth("a.tif", tmp_path))
    np.testing.assert_allclose(known.circles(), truth.circles, atol=0.02)
    features = json.loads(truth.truth_path.read_text())["features"]
    assert [f["properties"].get("decoy") for f in features][-2:] == [d.kind for d in truth.decoys]


def test_the_same_slide_at_two_magnifications(tmp_path: Path) -> None:
    truths = [draw_slide(tmp_path / f"{mpp}.tif", replace(CONFIG, mpp=mpp)) for mpp in (0.5, 1.0)]
    for truth in truths[1:]:
        np.testing.assert_allclose(truth.circles * truth.mpp, truths[0].circles * truths[0].mpp)
        assert truth.tissue_mm2 == truths[0].tissue_mm2


def test_files_repeat_byte_for_byte(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        draw_slide(tmp_path / folder / "a.svs", replace(CONFIG, mpp=1.0))
    for name in ("a.svs", "a.truth.geojson"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_a_slide_without_glomeruli(tmp_path: Path) -> None:
    truth = draw_slide(
        tmp_path / "a.tif", replace(CONFIG, normal=0, obsolescent=0, disappearing=0, decoys=0, mpp=2)
    )
    assert truth.circles.shape == (0, 3)
    assert read_geojson(truth.truth_path) == []


def test_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"a.png: a slide is drawn as .tif or .svs"):
        draw_slide(tmp_path / "a.png", CONFIG)
    with pytest.raises(OutputError, match="No such file"):
        draw_slide(tmp_path / "missing" / "a.tif", replace(CONFIG, mpp=2))
