"""GeoJSON: what QuPath reads of us, and what we read of QuPath and of others."""

import gzip
import json
import uuid
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import shape as shapely_shape

from gloinone.annotations.geojson import parse_geojson, read_geojson
from gloinone.annotations.geojson_write import geojson_bytes, regions_geojson
from gloinone.annotations.region import Region, solid_regions
from gloinone.annotations.tables import glomerulus_rows
from gloinone.errors import AnnotationError
from gloinone.labels import COLOURS

SQUARE = [[0, 0], [10, 0], [10, 10], [0, 10], [0, 0]]
HOLE = [[2, 2], [4, 2], [4, 4], [2, 4], [2, 2]]


def feature(coordinates: object = None, kind: str = "Polygon", **properties: object) -> dict[str, object]:
    geometry = {"type": kind, "coordinates": [SQUARE] if coordinates is None else coordinates}
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def parse(document: object) -> list[Region]:
    return parse_geojson(json.dumps(document).encode(), "a.geojson")


@pytest.mark.parametrize("shape", ["outline", "ellipse", "polygon"])
def test_a_feature_per_glomerulus_as_qupath_reads_it(make_result, shape):
    result = make_result()
    document = json.loads(geojson_bytes(result, shape))
    assert document["type"] == "FeatureCollection"
    rows = glomerulus_rows(result)
    for f, g, row in zip(document["features"], result.glomeruli, rows, strict=True):
        uuid.UUID(f["id"])
        p = f["properties"]
        assert (f["type"], p["objectType"], p["name"], p["isLocked"]) == (
            "Feature",
            "annotation",
            g.id,
            False,
        )
        assert p["classification"] == {"name": g.label, "color": list(COLOURS[g.label])}
        assert p["measurements"]["area_um2"] == float(row["area_um2"])
        assert p["measurements"]["score"] == float(row["score"])
        assert all(isinstance(v, float) for v in p["measurements"].values())
        assert p["metadata"]["subtype_validated"] == "false"
        polygon = shapely_shape(f["geometry"])
        assert polygon.is_valid
        d = g.candidate.detection
        if shape == "outline":
            assert polygon.area * result.info.mpp**2 == pytest.approx(g.area_um2, rel=1e-4)
        elif shape == "polygon":
            assert polygon.area == pytest.approx(np.pi * d.radius**2, rel=1e-4)
        else:
            assert f["geometry"]["isEllipse"] is True
            box = (d.cx - d.radius, d.cy - d.radius, d.cx + d.radius, d.cy + d.radius)
            np.testing.assert_allclose(polygon.bounds, box, atol=0.011)


def test_ids_are_the_same_every_time_and_differ_between_slides(make_result):
    a, b = geojson_bytes(make_result(name="a.svs")), geojson_bytes(make_result(name="b/a.svs"))
    assert a == geojson_bytes(make_result(name="a.svs"))
    ids = [f["id"] for data in (a, b) for f in json.loads(data)["features"]]
    assert len(set(ids)) == len(ids)
    geojson_bytes(make_result(name="caf\udce9 'x' <b>.svs")).decode("ascii")


def test_bounds_are_subtracted_in_the_file_and_added_in_reading(make_result, tmp_path):
    bounds = (500, 700, 20000, 20000)
    result = make_result(bounds=bounds)
    path = tmp_path / "a.geojson"
    path.write_bytes(geojson_bytes(result))
    corner = np.array(json.loads(path.read_bytes())["features"][0]["geometry"]["coordinates"][0][0])
    ring = result.glomeruli[0].outline.ring
    np.testing.assert_allclose(corner, ring[0] - [500, 700], atol=0.0051)
    np.testing.assert_allclose(read_geojson(path, bounds)[0].ring, ring, atol=0.0051)


@pytest.mark.parametrize("shape", ["outline", "ellipse", "polygon"])
def test_ours_is_read_back(make_result, shape):
    result = make_result()
    read = parse_geojson(geojson_bytes(result, shape), "a")
    assert [(r.id, r.label) for r in read] == [(g.id, g.label) for g in result.glomeruli]
    assert {r.shape for r in read} == {"ellipse" if shape == "ellipse" else "polygon"}
    assert read[0].measures["diameter_um"] == pytest.approx(result.glomeruli[0].diameter_um, abs=0.006)


def test_no_glomeruli_is_an_empty_collection(make_result):
    assert parse_geojson(geojson_bytes(make_result(labels=[])), "a") == []


coordinates = st.integers(-10_000_000, 10_000_000).map(lambda v: v / 100)


@st.composite
def regions(draw: st.DrawFn) -> Region:
    x, y = draw(coordinates), draw(coordinates)
    ring = np.array([[x, y], [x + draw(st.integers(1, 999)), y], [x, y + draw(st.integers(1, 999))]])
    return Region(
        ring=ring.round(2),
        label=draw(st.text('aZ \n"<é中😀', max_size=8)),
        is_hole=draw(st.booleans()),
        measures=draw(st.dictionaries(st.sampled_from(["area um^2", "é"]), st.floats(-1e9, 1e9), max_size=2)),
        properties={"cut": draw(st.booleans())},
    )


@settings(deadline=None, max_examples=60)
@given(st.lists(regions(), max_size=6), st.sampled_from([None, (7, 9, 100, 100)]))
def test_any_regions_survive_writing_and_reading(found, bounds):
    if found:
        found[0] = Region(found[0].ring, found[0].label)  # a hole needs something to be in
    data = regions_geojson(found, "a.svs", bounds[:2] if bounds else (0, 0))
    read = parse_geojson(data, "a", bounds)
    assert [r.is_hole for r in read] == [r.is_hole for r in found]
    for a, b in zip(found, read, strict=True):
        np.testing.assert_allclose(a.ring, b.ring, atol=0.0051)
    for a, b in zip(solid_regions(found), solid_regions(read), strict=True):
        assert (a.label, a.measures, a.properties.get("cut")) == (
            b.label,
            b.measures,
            b.properties.get("cut"),
        )


def test_collection_list_and_single_feature_gzipped_or_not(tmp_path):
    for document in ({"type": "FeatureCollection", "features": [feature()]}, [feature()], feature()):
        for pack, name in ((lambda b: b, "a.geojson"), (gzip.compress, "a.geojson.gz")):
            (tmp_path / name).write_bytes(pack(json.dumps(document).encode()))
            assert read_geojson(tmp_path / name)[0].ring.tolist() == SQUARE[:-1]
    assert len(parse_geojson(b"\xef\xbb\xbf" + json.dumps(feature()).encode(), "a")) == 1
    assert len(parse_geojson(json.dumps(feature()).encode("utf-16"), "a")) == 1


def test_holes_and_multi_polygons():
    read = parse(feature([[SQUARE, HOLE], [HOLE]], "MultiPolygon", name="G007"))
    assert [(r.is_hole, r.id, len(r.ring)) for r in read] == [
        (False, "G007", 4),
        (True, "G007", 4),
        (False, "G007", 4),
    ]


@pytest.mark.parametrize(
    ("classification", "label"),
    [
        ({"name": "normal"}, "normal"),
        ({"names": ["Glomerulus", "sclerosed"], "color": [1, 2, 3]}, "Glomerulus: sclerosed"),
        ("normal", "normal"),
        (None, ""),
        ({}, ""),
    ],
)
def test_classification(classification, label):
    assert parse(feature(classification=classification))[0].label == label


def test_measurements_of_both_ages_and_other_properties():
    new = parse(feature(measurements={"a": 1, "b": None, "c": True}, cut=True))[0]
    old = parse(feature(measurements=[{"name": "a", "value": 1.5}]))[0]
    assert (new.measures, new.properties, old.measures) == ({"a": 1.0}, {"cut": True}, {"a": 1.5})


def test_measurements_that_are_not_finite_are_none_as_qupath_0_4_writes_them():
    lacking = {"a": 1.5, "b": float("nan"), "c": float("inf"), "d": -float("inf")}
    read = parse(feature(measurements=lacking, other=float("nan")))
    assert (read[0].measures, read[0].properties) == ({"a": 1.5}, {"other": None})
    assert b"NaN" not in regions_geojson(read, "a")
    old = [{"name": name, "value": value} for name, value in lacking.items()]
    assert parse(feature(measurements=old))[0].measures == {"a": 1.5}


def test_ids_and_names_that_qupath_gave_stay():
    own = str(uuid.uuid4())
    region = parse(feature(name="left core") | {"id": own})[0]
    written = json.loads(regions_geojson([region], "a"))["features"][0]
    assert (written["id"], written["properties"]["name"]) == (own, "left core")


def test_points_lines_and_what_has_no_area_are_left_out():
    assert parse(feature([1, 2], "Point")) == parse(feature([[0, 0], [1, 1]], "LineString")) == []
    assert parse(feature([[[0, 0], [1, 1], [0, 0]]])) == parse(feature([[]])) == parse(feature([])) == []
    assert parse({"type": "Feature", "geometry": None, "properties": None}) == []
    collection = {"type": "GeometryCollection", "geometries": [feature()["geometry"]]}
    assert len(parse({"type": "Feature", "geometry": collection, "properties": {}})) == 1


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "not GeoJSON"),
        (b"hello", "not GeoJSON"),
        (b"\xff\xfe\xff", "not GeoJSON"),
        (b"{}", "no FeatureCollection"),
        (b"3", "no FeatureCollection"),
        (b'{"type":"FeatureCollection"}', "no FeatureCollection"),
        (b"[3]", "feature 1: is not a Feature"),
        (b"[" * 100_000, "nested too deeply|not GeoJSON"),
        (json.dumps(feature([[[0, 0], [float("nan"), 0], [1, 1]]])).encode(), "not \\[x, y\\] of finite"),
        (json.dumps(feature([[[0, 0], [1, -float("inf")], [1, 1]]])).encode(), "not \\[x, y\\] of finite"),
        (
            json.dumps(feature([[[0, 0], [1, 0], [1, 1]]])).replace("[1, 0]", "[1e999, 0]").encode(),
            "not a number",
        ),
        (
            json.dumps(feature([[[0, 0], [1, 0], [1, 1]]])).replace("[1, 0]", f"[{'9' * 400}, 0]").encode(),
            "position",
        ),
        (
            json.dumps(feature([[[0, 0], [1, 0], [1, 1]]])).replace("[1, 0]", f"[{'9' * 9999}, 0]").encode(),
            "not Geo",
        ),
        (json.dumps(feature([[[0, 0], [1e12, 0], [1, 1]]])).encode(), "beyond"),
        (json.dumps(feature([[[0, 0], ["1", 0], [1, 1]]])).encode(), "not \\[x, y\\]"),
        (json.dumps(feature([[[0, 0], [1], [1, 1]]])).encode(), "not \\[x, y\\]"),
        (json.dumps(feature([[[0, 0], 7, [1, 1]]])).encode(), "not \\[x, y\\]"),
        (json.dumps(feature([7])).encode(), "not a list of positions"),
        (json.dumps(feature(7)).encode(), "without its lists"),
        (json.dumps(feature([7], "MultiPolygon")).encode(), "without its lists"),
        (json.dumps(feature() | {"properties": 7}).encode(), "not an object"),
    ],
)
def test_what_is_no_geojson_or_hostile_is_refused(data, words):
    with pytest.raises(AnnotationError, match=words) as caught:
        parse_geojson(data, "bad.geojson")
    assert str(caught.value).startswith("bad.geojson: ")


def test_bombs_damage_and_missing_files_are_refused(tmp_path):
    bomb = tmp_path / "bomb.geojson.gz"
    bomb.write_bytes(gzip.compress(b" " * (65 * 2**20), compresslevel=1))
    with pytest.raises(AnnotationError, match="over 64 MB"):
        read_geojson(bomb)
    bomb.write_bytes(bomb.read_bytes()[:1000])
    with pytest.raises(AnnotationError, match="damaged"):
        read_geojson(bomb)
    with pytest.raises(AnnotationError, match="no such file"):
        read_geojson(tmp_path / "none.geojson")


@pytest.mark.shared
def test_truth_of_the_shared_slides_is_read_whole(shared_data: Path):
    counts = {}
    for name in ("pas-a", "pas-b"):
        found = read_geojson(shared_data / "hubmap-wsi" / f"{name}.geojson")
        counts[name] = (len(found), sum(bool(r.properties["cut"]) for r in found))
    assert counts == {"pas-a": (226, 36), "pas-b": (167, 35)}
    labels = [
        r.label for p in sorted((shared_data / "regions-he").glob("*.geojson")) for r in read_geojson(p)
    ]
    assert (labels.count("normal"), labels.count("sclerosed"), len(labels)) == (335, 212, 547)
