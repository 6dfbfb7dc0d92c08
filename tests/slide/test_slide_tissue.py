"""Tissue and what is none: drawn slides with known tissue, made-up dirt, and every annotated glomerulus at hand."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
from array_slide import ArraySlide, Disk

from gloinone.drawn.layout import Layout
from gloinone.drawn.scene import SceneConfig, make_scene
from gloinone.drawn.stains import Stain
from gloinone.geometry import ring_circle
from gloinone.records import Mask, Pixels, Window
from gloinone.slide.reader import open_slide
from gloinone.slide.resolution import Resolution
from gloinone.slide.sampling import Read
from gloinone.slide.tiles import plan_tiles
from gloinone.slide.tissue import dilate_um, find_tissue, tissue_mm2, tissue_overview

UM = 8.0
GLASS = 240


def read_of(pixels: Pixels, scanned: Mask | None = None, unread: Mask | None = None) -> Read:
    height, width = pixels.shape[:2]
    everywhere = np.ones((height, width), np.bool_)
    window = Window(0, 0, width, height, width, height)
    return Read(window, pixels, everywhere if scanned is None else scanned, unread)


def tissue_of(pixels: Pixels) -> Mask:
    return find_tissue(read_of(pixels), UM)


def glass(height: int = 400, width: int = 500, level: int = GLASS, seed: int = 0) -> Pixels:
    noise = np.random.default_rng(seed).normal(level, 0.7, (height, width, 3))
    return np.clip(noise, 0, 255).round().astype(np.uint8)


def fill(pixels: Pixels, shape: Mask, colour: tuple[int, int, int], contrast: float, seed: int = 1) -> Pixels:
    """Tissue: a colour that changes from pixel to pixel, as nuclei and membranes do at 8 um/px."""
    grain = np.random.default_rng(seed).normal(0, contrast, (*shape.shape, 1))
    tissue = np.clip(np.array(colour) + grain, 0, 255).astype(np.uint8)
    return np.where(shape[..., None], tissue, pixels)


def disc(shape: tuple[int, int], x: float, y: float, radius: float) -> Mask:
    rows, columns = np.indices(shape)
    return np.asarray((columns - x) ** 2 + (rows - y) ** 2 <= radius**2, np.bool_)


def smear(pixels: Pixels, line: list[tuple[int, int]], colour: tuple[int, int, int], width: int) -> Pixels:
    """A pen's stroke: see-through, streaked, with a soft border."""
    cover = np.zeros(pixels.shape[:2], np.float32)
    cv2.polylines(cover, [np.array(line, np.int32)], False, 1.0, width)
    streaks = np.random.default_rng(2).standard_normal(cover.shape).astype(np.float32)
    streaks = cv2.GaussianBlur(streaks, (0, 0), 6)
    cover = cv2.GaussianBlur(cover, (0, 0), 1.5) * (0.9 + 0.08 * streaks / streaks.std())
    cover = np.clip(cover, 0, 1)[..., None]
    return np.clip(pixels * (1 - cover + cover * np.array(colour) / 255), 0, 255).astype(np.uint8)


STAINED = {
    "H&E": ((200, 120, 180), 14),
    "PAS": ((160, 90, 160), 12),
    "trichrome blue": ((70, 90, 170), 12),
    "silver": ((110, 108, 112), 20),
    "dark silver": ((45, 42, 48), 14),
    "pale immunostain": ((212, 210, 214), 9),
    "faded H&E": ((232, 212, 228), 2.5),
}


@pytest.mark.parametrize("stain", STAINED)
def test_tissue_of_every_stain_is_found_to_its_border(stain: str) -> None:
    truth = disc((400, 500), 240, 200, 110)
    found = tissue_of(fill(glass(), truth, *STAINED[stain]))
    assert (found & truth).sum() / (found | truth).sum() > 0.93


@pytest.mark.parametrize("stain", STAINED)
def test_a_field_that_is_tissue_from_edge_to_edge_is_all_tissue(stain: str) -> None:
    everywhere = np.ones((128, 170), np.bool_)
    assert tissue_of(fill(glass(128, 170), everywhere, *STAINED[stain])).mean() > 0.97


@pytest.mark.parametrize("level", [255, 244, 128, 0])
def test_blank_white_grey_and_black_are_no_tissue(level: int) -> None:
    assert not tissue_of(np.full((200, 300, 3), level, np.uint8)).any()
    framed = glass()
    framed[60:200, 100:350] = level
    assert not tissue_of(framed).any()


@pytest.mark.parametrize(
    "ink", [(20, 60, 180), (60, 110, 230), (10, 130, 80), (220, 25, 40), (15, 15, 18), (128, 128, 128)]
)
def test_ink_is_no_tissue(ink: tuple[int, int, int]) -> None:
    assert not tissue_of(smear(glass(), [(50, 300), (200, 120), (430, 200)], ink, 60)).any()


def test_a_stroke_beside_tissue_takes_none_of_it_away() -> None:
    truth = disc((400, 500), 150, 200, 90)
    drawn = smear(fill(glass(), truth, *STAINED["H&E"]), [(320, 30), (320, 370)], (20, 60, 180), 60)
    found = tissue_of(drawn)
    assert (found & truth).sum() / (found | truth).sum() > 0.93


def test_lines_dust_and_steps_are_no_tissue() -> None:
    dirty = glass()
    dirty[:, 300:] -= 9  # a stitched-on stretch of other brightness
    cv2.line(dirty, (0, 350), (499, 330), (150, 150, 150), 3)
    cv2.line(dirty, (100, 0), (110, 399), (190, 190, 190), 5)
    cv2.line(dirty, (400, 0), (390, 399), (80, 80, 85), 2)
    rng = np.random.default_rng(4)
    for x, y in np.mgrid[130:380:30, 20:320:30].reshape(2, -1).T:
        cv2.circle(dirty, (int(x), int(y)), int(rng.integers(1, 9)), (70, 66, 60), -1, cv2.LINE_AA)
    assert not tissue_of(dirty).any()


def test_lumens_are_filled_and_large_cavities_are_not() -> None:
    truth = disc((400, 500), 240, 200, 150)
    lumen, cavity = disc((400, 500), 180, 200, 9), disc((400, 500), 300, 200, 40)
    found = tissue_of(fill(glass(), truth & ~lumen & ~cavity, *STAINED["PAS"]))
    assert found[lumen].all()
    assert not found[disc((400, 500), 300, 200, 36)].any()


def test_a_smooth_dense_glomerulus_inside_tissue_belongs_to_it() -> None:
    tissue = fill(glass(), disc((400, 500), 240, 200, 150), *STAINED["PAS"])
    solid = disc((400, 500), 240, 200, 18)
    tissue[solid] = (120, 60, 120)
    assert tissue_of(tissue)[solid].all()


def test_a_lone_glomerulus_is_tissue() -> None:
    lone = disc((400, 500), 240, 200, 9)  # 150 um across
    assert tissue_of(fill(glass(), lone, *STAINED["PAS"]))[lone].mean() > 0.7


def test_what_was_not_scanned_is_no_tissue() -> None:
    pixels = fill(glass(), np.ones((400, 500), np.bool_), *STAINED["H&E"])
    scanned = np.ones((400, 500), np.bool_)
    scanned[:, :200] = False
    found = find_tissue(read_of(pixels, scanned), UM)
    assert not found[:, :200].any()
    assert found[:, 205:].all()


def test_a_damaged_stretch_of_the_overview_counts_as_tissue() -> None:
    unread = np.zeros((400, 500), np.bool_)
    unread[100:200, 50:90] = True
    np.testing.assert_array_equal(find_tissue(read_of(glass(), unread=unread), UM), unread)


def test_the_overview_says_what_of_it_is_damaged() -> None:
    disk = Disk(glass(1200, 1600), broken=((50, 100, 90, 200),))
    overview = tissue_overview(ArraySlide(disk, mpp=UM))
    assert overview.unread is not None
    assert overview.unread[100:200, 50:90].all()
    assert not overview.unread[600:].any()
    np.testing.assert_array_equal(overview.tissue, overview.unread)
    assert tissue_overview(ArraySlide(Disk(glass()), mpp=UM)).unread is None


def test_pictures_of_a_few_pixels() -> None:
    for shape in ((1, 1), (1, 40), (3, 2), (7, 7)):
        assert tissue_of(np.full((*shape, 3), 200, np.uint8)).shape == shape


def test_dilation_reaches_as_far_as_it_says() -> None:
    mask = np.zeros((60, 60), np.bool_)
    assert not dilate_um(mask, 75, UM).any()
    mask[30, 30] = True
    np.testing.assert_array_equal(dilate_um(mask, 75, UM), disc((60, 60), 30, 30, 75 / UM))


def test_overview_and_area_of_a_slide() -> None:
    truth = np.kron(disc((120, 150), 70, 60, 40), np.ones((8, 8), np.bool_)).astype(np.bool_)
    fine = cv2.resize(fill(glass(120, 150), disc((120, 150), 70, 60, 40), *STAINED["H&E"]), (1200, 960))
    slide = ArraySlide(Disk(fine), mpp=1.0)
    overview = tissue_overview(slide)
    assert overview.tissue.shape == overview.pixels.shape[:2] == (120, 150)
    assert tissue_mm2(overview, 1.0) == pytest.approx(truth.sum() / 1e6, rel=0.05)
    coarse = tissue_overview(slide, 16.0)
    assert coarse.tissue.shape == (60, 75)


def test_a_picture_of_a_few_pixels_takes_no_time() -> None:
    """At .05 um/px a pen's stroke is 2000 px wide."""
    for height, width in ((1, 1), (3, 5)):
        slide = ArraySlide(Disk(np.full((height, width, 3), 40, np.uint8)), mpp=0.05)
        assert not tissue_overview(slide).tissue.any()


def test_a_slide_without_tissue_has_none() -> None:
    overview = tissue_overview(ArraySlide(Disk(glass(800, 900)), mpp=1.0))
    assert tissue_mm2(overview, 1.0) == 0


@pytest.mark.parametrize(("stain", "layout"), [("pas", "section"), ("he", "core"), ("silver", "core")])
def test_a_drawn_slides_tissue_is_known_within_ten_percent(stain: Stain, layout: Layout) -> None:
    config = SceneConfig(1600, 1200, stain, 2, 1, 1, 1, decoys=2, layout=layout, seed=3, mpp=4.0)
    scene = make_scene(config)
    drawn = scene.draw(4.0, (0, 0, *config.size_px))
    found = tissue_of(cv2.resize(drawn, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))
    truth = scene.tissue(UM)
    assert found.sum() * (UM / 1000) ** 2 == pytest.approx(scene.tissue_mm2, rel=0.1)
    both = tuple(slice(0, min(a, b)) for a, b in zip(found.shape, truth.shape, strict=True))
    assert (found[both] & truth[both]).sum() / (found[both] | truth[both]).sum() > 0.9


def geojson_rings(path: Path) -> Iterator[np.ndarray]:
    for feature in json.loads(path.read_text("utf-8"))["features"]:
        geometry = feature["geometry"]
        parts = [geometry["coordinates"]] if geometry["type"] == "Polygon" else geometry["coordinates"]
        yield max((np.array(part[0], np.float64)[:-1] for part in parts), key=len)


def imagescope_rings(path: Path) -> Iterator[np.ndarray]:
    """The glomeruli of kidney-he: layers 1 and 2; layer 3 holds tubules."""
    for layer in ElementTree.parse(path).getroot().findall("Annotation"):
        if layer.get("Id") in ("1", "2"):
            for region in layer.iter("Region"):
                yield np.array([[float(v.get("X", 0)), float(v.get("Y", 0))] for v in region.iter("Vertex")])


def annotated(data: Path, folder: str) -> Iterator[tuple[Path, Resolution, list[np.ndarray]]]:
    if folder == "hubmap-wsi":
        for name in ("pas-a", "pas-b"):
            yield (
                data / folder / f"{name}.tif",
                Resolution(),
                list(geojson_rings(data / folder / f"{name}.geojson")),
            )
    elif folder == "slides/kidney-he":
        (xml,) = (data / folder).glob("*.xml")
        (svs,) = (data / folder).glob("*.svs")
        yield svs, Resolution(0.466667, "option"), list(imagescope_rings(xml))
    else:
        with (data / folder / "slides.csv").open(encoding="utf-8") as stream:
            for row in csv.DictReader(stream):
                path = data / folder / row["slide"]
                rings = list(geojson_rings(path.with_suffix(".geojson")))
                yield path, Resolution(float(row["mpp"]), "csv"), rings


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.parametrize(
    ("folder", "expected"),
    [("hubmap-wsi", 393), ("slides/kidney-he", 5), ("biopsies-he", 548), ("regions-he", 547), ("fields", 87)],
)
def test_every_annotated_glomerulus_lies_in_the_tiles_that_are_read(
    shared_data: Path, folder: str, expected: int
) -> None:
    """Its centre in exactly one core, and the whole of it in that tile's window."""
    count = 0
    for path, resolution, rings in annotated(shared_data, folder):
        with open_slide(path, path.name, resolution) as slide:
            overview = tissue_overview(slide)
        for edge_px, margin_um in ((768, 224.0), (512, 200.0)):
            plan = plan_tiles(slide.info, overview, 2.0, edge_px, margin_um)
            for ring in rings:
                cx, cy, _ = ring_circle(ring)
                own = [tile for tile in plan.tiles if tile.holds(np.array([[cx, cy]]))[0]]
                assert len(own) == 1, (path.name, cx, cy)
                w = own[0].window
                assert (ring >= (w.x, w.y)).all(), (path.name, cx, cy)
                assert (ring <= (w.x + w.width, w.y + w.height)).all(), (path.name, cx, cy)
        count += len(rings)
    assert count == expected
