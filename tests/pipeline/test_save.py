"""What lies in a slide's folder, and that its numbers agree with each other and with an independent measurement."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import shapely
import tifffile
from made_result import INFO, blob, made_glomerulus, made_result, renamed
from PIL import Image

from gloinone.annotations.columns import CIRCLES, GLOMERULI
from gloinone.annotations.csv_text import read_table
from gloinone.annotations.geojson import read_geojson
from gloinone.annotations.imagescope import read_imagescope
from gloinone.pipeline.measure import measure_glomerulus
from gloinone.pipeline.save import SaveOptions, write_slide
from gloinone.records import Crop, SlideResult
from gloinone.segmentation.outline import OutlineConfig, make_outline

ALL = SaveOptions()


def saved(folder: Path, result: SlideResult, options: SaveOptions = ALL) -> Path:
    folder.mkdir(parents=True)
    write_slide(folder, result, options)
    return folder


def listing(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_every_file_is_there(tmp_path: Path) -> None:
    ids = ("G001", "G002", "G003")
    pictures = {f"{kind}/{i}.png" for kind in ("crops", "masks") for i in ids}
    tables = {
        "a.xml",
        "a.geojson",
        "glomeruli.csv",
        "circles.csv",
        "pieces.csv",
        "cores.csv",
        "overlay.jpg",
        "contact.jpg",
    }
    tables |= {"result.json", "thumbnail.jpg", "tissue.png"}
    assert listing(saved(tmp_path / "all", made_result(3))) == tables | pictures | {"masks.tif"}
    few = saved(tmp_path / "few", made_result(3), SaveOptions(crops=False, masks=False))
    assert listing(few) == tables
    rows = read_table(few / "glomeruli.csv", GLOMERULI)
    assert [row["crop"] for row in rows] == [row["mask"] for row in rows] == [None] * 3


def test_the_map_of_pieces_is_read_back_as_it_was(tmp_path: Path) -> None:
    result = made_result(0)
    pieces = np.arange(result.overview.tissue.size, dtype=np.uint32).reshape(result.overview.tissue.shape)
    pieces = (pieces % 2**16).astype(np.uint16)
    folder = saved(tmp_path / "a", replace(result, piece_map=pieces))
    assert (np.asarray(Image.open(folder / "pieces.png")) == pieces).all()


def test_numbers_agree_with_an_independent_measurement(tmp_path: Path) -> None:
    result = made_result(6)
    folder = saved(tmp_path / "a", result)
    rows = read_table(folder / "glomeruli.csv", GLOMERULI)
    xml = {region.id: region for region in read_imagescope(folder / "a.xml").regions}
    geojson = {region.id: region for region in read_geojson(folder / "a.geojson")}
    labels = tifffile.imread(folder / "masks.tif", key=0)
    assert len(rows) == len(xml) == len(geojson) == len(np.unique(labels)) - 1 == 6
    for glomerulus, row in zip(result.glomeruli, rows, strict=True):
        name = glomerulus.id
        true_um2 = shapely.Polygon(glomerulus.outline.ring).area * INFO.mpp**2
        mask = np.asarray(Image.open(folder / "masks" / f"{name}.png"))
        assert row["id"] == name
        assert row["area_um2"] == pytest.approx(true_um2, abs=0.06)
        assert xml[name].measures["AreaMicrons"] == pytest.approx(true_um2, rel=1e-3)
        assert geojson[name].measures["area_um2"] == pytest.approx(true_um2, abs=0.06)
        for region in (xml[name], geojson[name]):
            assert shapely.Polygon(region.ring).area * INFO.mpp**2 == pytest.approx(true_um2, rel=1e-3)
        assert (mask > 0).sum() * float(str(row["crop_mpp"])) ** 2 == pytest.approx(true_um2, rel=0.005)
        assert (labels == glomerulus.number).sum() == pytest.approx(true_um2, rel=0.005)


@pytest.mark.parametrize("x", [1500.4, 60.0])
def test_numbers_agree_for_what_the_segmenter_outlines(tmp_path: Path, x: float) -> None:
    """From the network's probabilities on; at 60 px the border of the slide cuts the glomerulus."""
    true = blob(x, 1200.7, 170)
    ideal = made_glomerulus(1, true)
    window, detection = ideal.candidate.window, ideal.candidate.detection
    columns, rows = np.meshgrid(np.arange(256) + 0.5, np.arange(256) + 0.5)
    inside = shapely.contains_xy(shapely.Polygon(window.image_from_l0(true)), columns, rows)
    size = (INFO.width, INFO.height)
    outline = make_outline(inside.astype(np.float32), window, detection, OutlineConfig(), size)
    glomerulus = measure_glomerulus(1, ideal.candidate, outline, Crop(window, ideal.crop), INFO)
    result = replace(made_result(0), glomeruli=(glomerulus,), candidates=(glomerulus.candidate,))
    folder = saved(tmp_path / "a", result)
    row = read_table(folder / "glomeruli.csv", GLOMERULI)[0]
    true_um2 = shapely.Polygon(true).intersection(shapely.box(0, 0, *size)).area * INFO.mpp**2
    mask = np.asarray(Image.open(folder / "masks" / "G001.png"))
    labels = tifffile.imread(folder / "masks.tif", key=0)
    assert row["at_edge"] is (x == 60)
    assert row["area_um2"] == pytest.approx(true_um2, rel=0.01)
    assert read_imagescope(folder / "a.xml").regions[0].measures["AreaMicrons"] == pytest.approx(
        true_um2, rel=0.01
    )
    assert (mask > 0).sum() * float(str(row["crop_mpp"])) ** 2 == pytest.approx(row["area_um2"], rel=0.005)
    assert (labels == 1).sum() == pytest.approx(row["area_um2"], rel=0.005)


def test_crop_and_mask_lie_in_the_frame_of_the_row(tmp_path: Path) -> None:
    result = made_result(3)
    folder = saved(tmp_path / "a", result)
    table = read_table(folder / "glomeruli.csv", GLOMERULI)
    for glomerulus, row in zip(result.glomeruli, table, strict=True):
        assert row["crop"] == f"slides/case 1/a.svs/crops/{glomerulus.id}.png"
        crop = np.asarray(Image.open(folder / "crops" / f"{glomerulus.id}.png"))
        mask = np.asarray(Image.open(folder / "masks" / f"{glomerulus.id}.png"))
        assert np.array_equal(crop, glomerulus.crop)
        assert set(np.unique(mask)) == {0, 255}
        x, y, width = (float(str(row[name])) for name in ("crop_x", "crop_y", "crop_width"))
        rows, columns = np.nonzero(mask)
        centre = np.array([columns.mean() + 0.5, rows.mean() + 0.5]) * width / 256 + [x, y]
        true = shapely.Polygon(glomerulus.outline.ring).centroid
        assert np.hypot(*(centre - [true.x, true.y])) < 1
    # circles.csv says what the classifier saw
    seen = {row["glomerulus"]: row["crop_width"] for row in read_table(folder / "circles.csv", CIRCLES)}
    larger = [float(str(row["crop_width"])) - float(str(seen[row["id"]])) for row in table]
    assert larger == pytest.approx([0, 0, 60])


def test_same_result_same_bytes(tmp_path: Path) -> None:
    a, b = (saved(tmp_path / name, made_result(5)) for name in "ab")
    assert listing(a) == listing(b)
    for name in listing(a):
        assert (a / name).read_bytes() == (b / name).read_bytes(), name


def test_nothing_found(tmp_path: Path) -> None:
    folder = saved(tmp_path / "a", made_result(0))
    assert (
        read_table(folder / "glomeruli.csv", GLOMERULI) == read_table(folder / "circles.csv", CIRCLES) == []
    )
    assert not tifffile.imread(folder / "masks.tif", key=0).any()
    assert not list((folder / "crops").iterdir())
    assert read_imagescope(folder / "a.xml").regions == []


def test_more_than_999_get_four_digits_and_names_may_be_odd(tmp_path: Path) -> None:
    many = made_glomerulus(1000, blob(800, 800, 150))
    result = renamed(replace(made_result(1), glomeruli=(many,), candidates=(many.candidate,)), "=é <b>&'.tif")
    folder = saved(tmp_path / "a", result)
    assert {"=é <b>&'.xml", "=é <b>&'.geojson", "crops/G1000.png"} <= listing(folder)
    assert read_table(folder / "glomeruli.csv", GLOMERULI)[0]["slide"] == "=é <b>&'.tif"


@pytest.mark.parametrize("shape", ["ellipse", "polygon"])
def test_circles_in_place_of_outlines(tmp_path: Path, shape: str) -> None:
    result = made_result(2)
    folder = saved(tmp_path / "a", result, SaveOptions(shape=shape))  # type: ignore[arg-type]
    circle_um2 = np.pi * (result.glomeruli[0].candidate.detection.radius * INFO.mpp) ** 2
    for region in (read_imagescope(folder / "a.xml").regions[0], read_geojson(folder / "a.geojson")[0]):
        assert shapely.Polygon(region.ring).area * INFO.mpp**2 == pytest.approx(circle_um2, rel=1e-3)
