"""Slides whose white is dark: what it is told from, and that the networks alone see them brighter."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from gloinone.detection.predict import DetectConfig, Detector, SlideTiles
from gloinone.drawn.config import SceneConfig
from gloinone.drawn.slide import draw_slide
from gloinone.labels import ClassRule
from gloinone.pipeline.run_slide import Stages, analyse
from gloinone.records import Crop, Detection, Outline, Pixels, Window
from gloinone.slide.light import MOST_GAIN, gain_of, lit
from gloinone.slide.reader import open_slide
from gloinone.slide.resolution import Resolution
from gloinone.slide.sampling import Read
from gloinone.slide.tissue import tissue_overview

SIZE = 80


def _read(white: tuple[int, int, int], tissue: int = 60) -> Read:
    pixels = np.full((SIZE, SIZE, 3), white, np.uint8)
    pixels[SIZE // 4 :] = tissue
    return Read(Window(0, 0, 800, 800, SIZE, SIZE), pixels, np.ones((SIZE, SIZE), np.bool_))


@pytest.mark.parametrize(
    ("white", "gain"),
    [((255, 255, 255), 1.0), ((245, 240, 238), 1.0), ((163, 160, 150), 245 / 163), ((90, 80, 90), MOST_GAIN)],
)
def test_a_dark_white_is_made_as_bright_as_usual(white: tuple[int, int, int], gain: float) -> None:
    assert gain_of(_read(white)) == pytest.approx(gain)


def test_what_was_not_scanned_or_not_read_says_nothing() -> None:
    read = _read((160, 160, 160))
    top = np.zeros((SIZE, SIZE), np.bool_)
    top[:10] = True
    pixels = read.pixels.copy()
    pixels[top] = 255  # how blanks are filled
    assert gain_of(replace(read, pixels=pixels)) == 1.0
    assert gain_of(replace(read, pixels=pixels, scanned=~top)) == pytest.approx(245 / 160)
    assert gain_of(replace(read, pixels=pixels, unread=top)) == pytest.approx(245 / 160)
    assert gain_of(replace(read, scanned=np.zeros_like(top))) == 1.0


def test_light_is_a_factor_that_ends_at_white() -> None:
    pixels = np.array([[[100, 150, 200]]], np.uint8)
    assert lit(pixels, 1.5).tolist() == [[[150, 225, 255]]]
    assert lit(pixels, 1.0) is pixels


@pytest.fixture
def pictures(tmp_path: Path) -> tuple[Path, Path]:
    """A drawn region, and how a camera with too little light shows it."""
    drawn = tmp_path / "drawn.tif"
    config = SceneConfig(
        900, 700, normal=1, obsolescent=0, solidified=0, disappearing=0, decoys=0, seed=4, mpp=1.0
    )
    draw_slide(drawn, config)
    with open_slide(drawn, "drawn.tif", Resolution()) as slide:
        pixels = slide.read_window(0, 0, 900, 700, 900, 700).pixels
    bright, dark = tmp_path / "bright.png", tmp_path / "dark.png"
    cv2.imwrite(str(bright), pixels[..., ::-1])
    cv2.imwrite(str(dark), cv2.convertScaleAbs(pixels, alpha=0.65)[..., ::-1])
    return bright, dark


def _seen(path: Path) -> tuple[list[Pixels], list[Pixels], Pixels]:
    """What detector and second stage are shown of a slide, and the crop that is kept of its glomerulus."""
    tiles: list[Pixels] = []
    crops: list[Pixels] = []

    class Looking(Detector):
        def __init__(self) -> None:
            self.config = DetectConfig(mpp=2.0, edge_px=256, margin_um=100, floor=0.1, max_iou=0.35)
            self.batch_size = 1

    class Found:
        circles = np.array([[450.0, 350, 80, 0.9]])
        unread = ()

    def detect(begun: SlideTiles, _: object) -> Found:
        with closing(begun):
            tiles.extend(read.pixels for read in begun.stream if read.pixels is not None)
        return Found()

    def classify(shown: Sequence[Crop]) -> NDArray[np.float64]:
        crops.extend(crop.pixels for crop in shown)
        return np.tile([0.8, 0.05, 0.05, 0.05, 0.05], (len(shown), 1))

    def segment(shown: Sequence[Crop], found: Sequence[Detection], _: object) -> list[Outline]:
        crops.extend(crop.pixels for crop in shown)
        ring = np.array([[400.0, 300], [500, 300], [500, 400], [400, 400]])
        whole = np.ones((256, 256), np.bool_)
        inside = np.pad(whole[1:-1, 1:-1], 1)
        return [
            Outline(ring, "mask", False, inside, crop.window) for crop, _ in zip(shown, found, strict=True)
        ]

    stages = Stages(
        read=Looking().read,
        detect=detect,
        classify=classify,
        segment=segment,
        rule=ClassRule(),
        score_combination="product",
        min_score=0.3,
    )
    with open_slide(path, path.name, Resolution(1.0, "option")) as slide:
        result = analyse(slide, stages, lambda *_: None)
    return tiles, crops, result.glomeruli[0].crop


def test_the_networks_see_a_dark_slide_as_a_bright_one_and_its_crops_stay_dark(
    pictures: tuple[Path, Path],
) -> None:
    bright, dark = (_seen(path) for path in pictures)
    assert len(dark[0]) == len(bright[0]) > 0
    assert len(dark[1]) == len(bright[1]) == 2  # once classified, once outlined
    for a, b in zip((*bright[0], *bright[1]), (*dark[0], *dark[1]), strict=True):
        assert np.abs(a.astype(int) - b).mean() < 4
    assert bright[2].mean() * 0.65 == pytest.approx(dark[2].mean(), rel=0.02)


def test_a_bright_slide_is_left_as_it_is(pictures: tuple[Path, Path]) -> None:
    with open_slide(pictures[0], "bright.png", Resolution(1.0, "option")) as slide:
        assert tissue_overview(slide).gain == pytest.approx(1.0, abs=0.03)
