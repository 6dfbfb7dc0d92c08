"""Truth found by name and read from every kind of file."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from gloinone.annotations.class_names import ClassNames, read_class_names
from gloinone.annotations.region import Region
from gloinone.annotations.truth import find_truth, read_truth
from gloinone.annotations.unlabelled import read_unlabelled
from gloinone.errors import AnnotationError, NoTruthError
from gloinone.geometry import circle_ring


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


@pytest.mark.parametrize("other", ["a.xml", "a.geojson.gz", "a.truth.geojson", "a.png", "a.svs.geojson"])
def test_two_files_of_one_slide_are_one_too_many(tmp_path: Path, other: str):
    _write(tmp_path / "a.geojson")
    (tmp_path / other).write_text("whatever")
    with pytest.raises(AnnotationError, match=f"several files of truth in .*: a.geojson, {other}; keep one"):
        find_truth("a.svs", tmp_path)


def test_a_picture_is_not_its_own_mask(tmp_path: Path):
    slide = tmp_path / "a.png"
    slide.write_text("a picture")
    with pytest.raises(NoTruthError, match="no truth in"):
        find_truth("a.png", tmp_path, slide=slide)
    truth = _write(tmp_path / "a.geojson")
    assert find_truth("a.png", tmp_path, slide=slide) == find_truth("a.png", tmp_path) == truth
    masks = tmp_path / "masks"
    masks.mkdir()
    (masks / "a.png").write_text("a mask")
    assert find_truth("a.png", masks, slide=slide) == find_truth("a.png", masks) == masks / "a.png"


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


def test_a_mask_of_another_size_than_the_slide(tmp_path: Path):
    mask = np.zeros((200, 300), np.uint8)
    cv2.circle(mask, (100, 100), 30, 255, -1)
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), mask)
    assert len(read_truth(path, size=(300, 200)).glomeruli) == 1
    with pytest.raises(AnnotationError, match=r"mask is 300 x 200 px, but the slide 200 x 300; draw it at"):
        read_truth(path, size=(200, 300))


@pytest.mark.parametrize("text", ["no picture", ""])
def test_a_mask_that_is_no_picture(tmp_path: Path, text: str):
    path = tmp_path / "a.png"
    path.write_text(text)
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


def test_only_within_its_regions_is_a_truth_complete(tmp_path: Path):
    truth = read_truth(_write(tmp_path / "a.geojson", _feature("normal", 0), _feature("region", 500)))
    assert len(truth.glomeruli) == 1
    points = np.array([[550.0, 50], [50, 50], [550, 150]])
    assert truth.is_complete_at(points).tolist() == [True, False, False]
    assert truth.partial() == truth
    whole = read_truth(_write(tmp_path / "b.geojson", _feature("normal", 0)))
    assert whole.is_complete_at(points).all()
    assert not whole.partial().is_complete_at(points).any()


def test_a_hole_in_a_region_is_not_complete(tmp_path: Path):
    region = _parts("region", (0, 100))
    region["geometry"]["coordinates"][0].append([[20, 0], [60, 0], [60, 40], [20, 40], [20, 0]])  # type: ignore[index]
    island = _parts("region", (30, 10))
    truth = read_truth(_write(tmp_path / "a.geojson", region, island))
    points = np.array([[10.0, 10], [50, 30], [5, 80], [35, 5], [110, 50]])
    assert truth.is_complete_at(points).tolist() == [True, False, True, True, False]


def _table(path: Path, *rows: str) -> ClassNames:
    path.write_text("\n".join(["name,class", *rows]), "utf-8")
    return read_class_names(path)


def test_names_of_others_are_mapped(tmp_path: Path):
    path = _write(tmp_path / "a.geojson", _feature("Glom", 0), _feature("GS", 200), _feature("", 400))
    names = _table(tmp_path / "c.csv", "glom,glomerulus", "GS,sclerosed", ",ignore")
    truth = read_truth(path, names)
    assert [r.label for r in truth.glomeruli] == ["glomerulus", "sclerosed"]
    assert len(truth.ignored) == 1
    lacking = _table(tmp_path / "d.csv", "GS,sclerosed")
    listed = r"names '\(no name\)', 'Glom'; all names: '\(no name\)' 1, 'GS' 1, 'Glom' 1; add them to .*d.csv"
    with pytest.raises(AnnotationError, match=listed):
        read_truth(path, lacking)


def test_layers_without_a_name_are_mapped_by_their_number(tmp_path: Path):
    region = Region(np.eye(3, 2), label="whatever", properties={"layer": 2})
    named = _table(tmp_path / "c.csv", "Layer 2,normal").named(region)
    assert named is not None
    assert named.label == "normal"


@pytest.mark.parametrize(
    ("rows", "word"),
    [(["a,tubule"], "line 2: 'tubule' is none of"), (["a,normal", "A,ignore"], "twice"), ([], "empty table")],
)
def test_a_table_of_classes_that_says_nothing_is_an_error(tmp_path: Path, rows: list[str], word: str):
    with pytest.raises(AnnotationError, match=word):
        _table(tmp_path / "c.csv", *rows)
    (tmp_path / "c.csv").write_text("one,two\na,b\n", "utf-8")
    with pytest.raises(AnnotationError, match="columns name,class"):
        read_class_names(tmp_path / "c.csv")


def _coco(path: Path, **changed: object) -> Path:
    document: dict[str, object] = {
        "images": [{"id": 7, "file_name": "x/a.png"}, {"id": 8, "file_name": "b.png"}],
        "categories": [{"id": 1, "name": "glomerulus"}, {"id": 2, "name": "sclerosed"}],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 1, "circle_center": [50, 60], "circle_radius": 20},
            {"id": 2, "image_id": 7, "category_id": 2, "segmentation": [[0, 0, 9, 0, 9, 9, 0, 9]]},
            {
                "id": 3,
                "image_id": 7,
                "category_id": 1,
                "iscrowd": 1,
                "segmentation": [[90, 0, 99, 0, 99, 9, 90, 9]],
            },
            {"id": 4, "image_id": 8, "category_id": 1, "circle_center": [1, 2], "circle_radius": 3},
        ],
    }
    path.write_text(json.dumps(document | changed), "utf-8")
    return path


def test_coco_holds_many_slides(tmp_path: Path):
    path = _coco(tmp_path / "instances.json")
    (tmp_path / "other.json").write_text("[]", "utf-8")
    assert find_truth("deep/a.svs", tmp_path) == find_truth("a.svs", path) == path
    truth = read_truth(path, slide_name="a.svs")
    assert [r.label for r in truth.glomeruli] == ["glomerulus", "sclerosed"]
    assert truth.circles()[0] == pytest.approx((50, 60, 20))
    assert len(truth.ignored) == 1
    assert read_truth(path, slide_name="b.svs").circles()[0] == pytest.approx((1, 2, 3))
    for where in (tmp_path, path):
        with pytest.raises(AnnotationError, match=r"c\.svs: no"):
            find_truth("c.svs", where)
    with pytest.raises(AnnotationError, match="2 images for one slide"):
        read_truth(path)


def test_polygons_of_coco_come_before_its_circles(tmp_path: Path):
    """A circle alone, one beside its outline, one beside its own polygon, and one beside nothing at all."""
    circle = {"image_id": 7, "category_id": 1, "circle_center": [50, 50], "circle_radius": 20}
    outline, same = [30, 40, 80, 45, 60, 70], circle_ring(50, 50, 20).ravel().tolist()
    drawn = [
        {**circle, "id": n, **own}
        for n, own in enumerate(
            ({}, {"segmentation": [outline]}, {"segmentation": [same]}, {"segmentation": [[]]})
        )
    ]
    drawn.append({"image_id": 7, "category_id": 1, "id": 9, "segmentation": [[0, 0, 9, 0, 9, 9, 0, 9]]})
    truth = read_truth(_coco(tmp_path / "a.json", annotations=drawn), slide_name="a")
    assert [region.has_outline for region in truth.glomeruli] == [False, True, False, False, False]
    assert truth.glomeruli[1].ring.ravel().tolist() == outline
    assert truth.circles()[[0, 2, 3]] == pytest.approx(np.array([[50, 50, 20]] * 3))


def test_coco_without_areas_is_an_error(tmp_path: Path):
    box = [{"id": 5, "image_id": 7, "category_id": 1, "bbox": [0, 0, 9, 9]}]
    with pytest.raises(AnnotationError, match="annotation 5: no circle and no polygons"):
        read_truth(_coco(tmp_path / "a.json", annotations=box), slide_name="a")
    packed = [{"id": 6, "image_id": 7, "category_id": 1, "segmentation": {"counts": "x", "size": [9, 9]}}]
    with pytest.raises(AnnotationError, match="run-length"):
        read_truth(_coco(tmp_path / "a.json", annotations=packed), slide_name="a")


def _rings(*squares: tuple[float, float]) -> list[list[list[list[float]]]]:
    """Of a MultiPolygon: squares from x on, of an edge."""
    return [[[[x, 0], [x + e, 0], [x + e, e], [x, e], [x, 0]]] for x, e in squares]


def _parts(label: str, *squares: tuple[float, float]) -> dict[str, object]:
    geometry = {"type": "MultiPolygon", "coordinates": _rings(*squares)}
    return {"type": "Feature", "geometry": geometry, "properties": {"classification": {"name": label}}}


def test_a_slip_of_the_brush_is_no_glomerulus(tmp_path: Path):
    slip = _parts("normal", (500, 20), (0, 100))
    slip["geometry"]["coordinates"][0].append([[505, 5], [510, 5], [510, 10], [505, 5]])  # type: ignore[index]
    merged = _parts("sclerosed", (1000, 100), (1200, 40), (1400, 90))
    truth = read_truth(_write(tmp_path / "a.geojson", slip, merged, _feature("normal", 2000)))
    assert truth.circles()[:, 0].tolist() == pytest.approx([50, 1050, 1220, 1445, 2050])
    polygons = [[0, 0, 99, 0, 99, 99, 0, 99], [200, 0, 209, 0, 209, 9, 200, 9], [5, 5, 5, 5, 5, 5]]
    drawn = [
        {"id": n, "image_id": 7, "category_id": 1, "segmentation": p}
        for n, p in enumerate((polygons, polygons[1:]))
    ]
    coco = read_truth(_coco(tmp_path / "a.json", annotations=drawn), slide_name="a")
    # alone, what is as small is a glomerulus
    assert coco.circles()[:, 0].tolist() == pytest.approx([49.5, 204.5])
