"""A glomerulus that reaches over its crop is outlined in a larger one."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
import shapely

from gloinone.geometry import measure_ring, ring_mask
from gloinone.pipeline import outlining
from gloinone.pipeline.outlining import MOST_LOOKS, Outlined, outline_all
from gloinone.records import Crop, Detection, Outline
from gloinone.segmentation.outline import circle_outline, reaches_border
from gloinone.slide.crops import CONTEXT_UM, read_crops
from gloinone.slide.reader import Slide, open_slide
from gloinone.slide.resolution import Resolution

WIDTH, HEIGHT = 900, 700


@pytest.fixture
def slide(tmp_path: Path) -> Iterator[Slide]:
    path = tmp_path / "a.png"
    pixels = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    cv2.imwrite(str(path), pixels)
    with open_slide(path, "a.png", Resolution(1.0, "option")) as opened:
        yield opened


class Seeing:
    """A segmenter that sees of an ellipse what lies in the crop and on the slide."""

    def __init__(self, cx: float, cy: float, half_width: float, half_height: float) -> None:
        disc = shapely.Point(0, 0).buffer(1, quad_segs=32)
        self.shape = shapely.affinity.translate(shapely.affinity.scale(disc, half_width, half_height), cx, cy)
        self.looks: list[list[Crop]] = []

    def __call__(
        self, crops: Sequence[Crop], detections: Sequence[Detection], size: tuple[int, int]
    ) -> list[Outline]:
        assert size == (WIDTH, HEIGHT)
        self.looks.append(list(crops))
        return [self.outline(crop, detection) for crop, detection in zip(crops, detections, strict=True)]

    def outline(self, crop: Crop, _: Detection) -> Outline:
        window = crop.window
        square = shapely.box(window.x, window.y, window.x + window.width, window.y + window.height)
        seen = self.shape & square & shapely.box(0, 0, WIDTH, HEIGHT)
        ring = shapely.get_coordinates(seen.exterior)[:-1]
        mask = ring_mask(window.image_from_l0(ring), window.width_px, window.height_px)
        return Outline(ring, "mask", reaches_border(mask), mask, window)


def _outlined(slide: Slide, seeing: Seeing, *circles: tuple[float, float, float]) -> list[Outlined]:
    detections = [Detection(*circle, 0.9) for circle in circles]
    crops = [crop for crop in read_crops(slide, np.array(circles), 1) if crop is not None]
    return outline_all(slide, 1.0, list(zip(detections, crops, strict=True)), seeing)


def test_a_long_glomerulus_is_whole_and_its_mask_and_crop_have_one_frame(slide: Slide):
    seeing = Seeing(400, 300, 90, 50)
    [one] = _outlined(slide, seeing, (400, 300, 67))
    assert [len(look) for look in seeing.looks] == [1, 1]
    assert measure_ring(one.outline.ring).area == pytest.approx(seeing.shape.area)
    assert not one.outline.flagged
    assert one.outline.window == one.crop.window
    assert one.outline.mask.shape == one.crop.pixels.shape[:2]
    assert 2 * 90 < one.crop.window.width < 2 * (90 + CONTEXT_UM)
    inside = one.outline.mask.mean() * one.crop.window.width * one.crop.window.height
    assert inside == pytest.approx(seeing.shape.area, rel=0.01)


def test_what_fits_is_looked_at_once_and_others_stay_in_their_places(slide: Slide):
    seeing = Seeing(400, 300, 90, 50)
    round_one, long_one = (400.0, 300.0, 90.0), (400.0, 300.0, 67.0)
    found = _outlined(slide, seeing, round_one, long_one, round_one)
    assert [len(look) for look in seeing.looks] == [3, 1]
    widths = [one.crop.window.width for one in found]
    assert widths[::2] == pytest.approx([2 * (90 + CONTEXT_UM)] * 2, abs=2)
    assert found[1].outline.window == found[1].crop.window
    assert measure_ring(found[1].outline.ring).area == pytest.approx(seeing.shape.area)


def test_beyond_the_slide_nothing_is_looked_for(slide: Slide):
    """There a crop holds the mirror picture of the glomerulus, which a segmenter takes for more of it."""
    seeing = Seeing(20, 300, 90, 50)
    [one] = _outlined(slide, seeing, (30, 300, 50))
    assert one.crop.window.x >= -2 * CONTEXT_UM
    assert one.outline.ring[:, 0].max() == pytest.approx(110)


def test_what_has_no_end_stays_flagged(slide: Slide):
    seeing = Seeing(450, 350, 4000, 4000)
    [one] = _outlined(slide, seeing, (450, 350, 60))
    assert len(seeing.looks) == MOST_LOOKS
    assert one.outline.flagged
    assert reaches_border(one.outline.mask)


def test_nothing_in_the_larger_crop_leaves_the_first_outline(slide: Slide):
    class Losing(Seeing):
        def outline(self, crop: Crop, detection: Detection) -> Outline:
            if len(self.looks) > 1:
                return circle_outline(crop.window, detection, (WIDTH, HEIGHT))
            return super().outline(crop, detection)

    _assert_first(_outlined(slide, Losing(400, 300, 90, 50), (400, 300, 67)))


def test_a_larger_crop_that_cannot_be_read_leaves_the_first_outline(
    slide: Slide, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(outlining, "read_crops", lambda slide, circles, workers: [None] * len(circles))
    seeing = Seeing(400, 300, 90, 50)
    _assert_first(_outlined(slide, seeing, (400, 300, 67)))
    assert [len(look) for look in seeing.looks] == [1, 0]


def _assert_first(found: Sequence[Outlined]) -> None:
    [one] = found
    assert one.outline.source == "mask"
    assert one.outline.flagged
    assert one.crop.window.width == pytest.approx(2 * (67 + CONTEXT_UM), abs=2)
    assert one.outline.window == one.crop.window
