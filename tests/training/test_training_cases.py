"""What a detector's training keeps of a slide: places to learn from, and places to be adapted to."""

import json
from pathlib import Path

import numpy as np
import pytest

from gloinone.detection.cases import Case
from gloinone.detection.validate import tissue_windows
from gloinone.drawn.config import SceneConfig
from gloinone.drawn.slide import draw_slide
from gloinone.training.cases import collect_cases
from gloinone.training.sources import SlideFolder, listed_slides, truth_slides

WIDTH, HEIGHT = 1200, 900
SCENE = SceneConfig(WIDTH, HEIGHT, normal=2, obsolescent=0, solidified=0, disappearing=0, decoys=0, mpp=1.5)


@pytest.fixture
def slides(tmp_path: Path) -> Path:
    """A drawn slide; its truth lies elsewhere."""
    (tmp_path / "slides").mkdir()
    draw_slide(tmp_path / "slides" / "s.tif", SCENE)
    return tmp_path / "slides"


def case_of(pictures: Path, truth: Path, complete: bool | None = True) -> Case:
    folder = SlideFolder(pictures, truth, complete=complete)
    slides = truth_slides(listed_slides([folder], print), frozenset(), print)
    cases = collect_cases(slides, truth / "cache", 1.5, lambda line: None)
    assert len(cases) == 1
    return cases[0]


def with_region(slides: Path, truth: Path, right: float) -> Path:
    """Truth that is complete left of there."""
    document = json.loads((slides / "s.truth.geojson").read_text("utf-8"))
    ring = [[0, 0], [right, 0], [right, HEIGHT], [0, HEIGHT], [0, 0]]
    area = {"type": "Polygon", "coordinates": [ring]}
    properties = {"classification": {"name": "region"}}
    document["features"].append({"type": "Feature", "geometry": area, "properties": properties})
    truth.mkdir()
    (truth / "s.geojson").write_text(json.dumps(document), "utf-8")
    return truth


def test_a_detector_is_adapted_to_all_tissue_whatever_is_outlined(slides: Path, tmp_path: Path) -> None:
    whole = case_of(slides, slides)
    windows = tissue_windows(whole, 2.0)
    assert len(windows) > 0
    assert whole.slide_tissue is None
    part = case_of(slides, with_region(slides, tmp_path / "part", 400))
    assert 0 < part.tissue[:, 0].max() <= 400 < whole.tissue[:, 0].max()
    partial = case_of(slides, slides, complete=False)
    assert len(partial.tissue) == 0
    for case in (part, partial):
        assert case.tissue_mm2 == whole.tissue_mm2
        assert all(map(np.array_equal, tissue_windows(case, 2.0), windows))
        assert len(tissue_windows(case, 2.0)) == len(windows)
