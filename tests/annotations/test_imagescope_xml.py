"""ImageScope XML: what is written, by the rules of other readers; what is read, however it is spelt."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree
from shapely import Polygon

from gloinone.annotations.imagescope import parse_imagescope, read_imagescope
from gloinone.annotations.imagescope_write import annotations_bytes, frame_note, imagescope_bytes
from gloinone.annotations.region import Annotations, Layer, Region
from gloinone.annotations.tables import glomerulus_rows
from gloinone.errors import AnnotationError
from gloinone.labels import CLASSES


def read_by_position(data: bytes) -> list[tuple[int, int, list[tuple[float, float]]]]:
    """(layer id, region type, vertices) as programs read them that count children and know no names."""
    found = []
    for annotation in etree.fromstring(data):
        regions = annotation[1]
        for region in regions[1:]:  # the first child is the table of headers
            vertices = [(float(v.get("X")), float(v.get("Y"))) for v in region[1]]
            found.append((int(annotation.get("Id")), int(region.get("Type")), vertices))
    return found


def xml_of(body: str, attributes: str = 'MicronsPerPixel="0.25"') -> bytes:
    return f"<Annotations {attributes}>{body}</Annotations>".encode()


def one_region(region: str, vertices: str, layer: str = 'Id="1" Name="x" LineColor="255"') -> bytes:
    inside = f"<Region {region}><Attributes/><Vertices>{vertices}</Vertices></Region>"
    return xml_of(f"<Annotation {layer}><Attributes/><Regions>{inside}</Regions><Plots/></Annotation>")


SQUARE = "".join(f'<Vertex X="{x}" Y="{y}" Z="0"/>' for x, y in [(0, 0), (10, 0), (10, 10), (0, 10)])


@pytest.mark.parametrize("shape", ["outline", "ellipse", "polygon"])
def test_positional_readers_find_every_glomerulus_once(make_result, shape):
    result = make_result()
    found = read_by_position(imagescope_bytes(result, shape))
    assert [layer for layer, _, _ in found] == [1, 2, 3, 4]
    for (_, kind, vertices), g in zip(found, result.glomeruli, strict=True):
        d = g.candidate.detection
        if shape == "ellipse":
            assert kind == 2
            corners = [(d.cx - d.radius, d.cy - d.radius), (d.cx + d.radius, d.cy + d.radius)]
            np.testing.assert_allclose(vertices, corners, atol=0.011)
        else:
            assert kind == 0
            assert vertices[0] == vertices[-1]
            expected = g.outline.ring if shape == "outline" else None
            if expected is not None:
                np.testing.assert_allclose(vertices[:-1], expected, atol=0.0051)
            else:
                assert Polygon(vertices).area == pytest.approx(np.pi * d.radius**2, rel=1e-4)


def test_layers_have_fixed_ids_colours_and_order_even_when_empty(make_result):
    root = etree.fromstring(imagescope_bytes(make_result(labels=["disappearing"])))
    assert [a.get("Id") for a in root] == ["1", "2", "3", "4", "5"]
    assert [a.get("LineColor") for a in root][:4] == ["255", "65535", "16744448", "65280"]
    assert [a.get("Name").split(" (")[0] for a in root] == list(CLASSES)
    assert ["not validated" in a.get("Name") for a in root] == [False, True, True, True, False]
    assert all([child.tag for child in a] == ["Attributes", "Regions", "Plots"] for a in root)
    assert {a.get("Type") for a in root} == {"4"}
    headers = [(h.get("Id"), h.get("Name")) for h in root[0][1][0]]
    assert [i for i, _ in headers] == ["9999", "9997", "9996", "9998", "1", "2"]
    assert headers[4:] == [("1", "Description"), ("2", "Probability")]
    assert [len(a.findall("Regions/Region")) for a in root] == [0, 0, 0, 1, 0]


def test_text_and_columns_give_the_probability_of_the_class(make_result):
    region = etree.fromstring(imagescope_bytes(make_result(labels=["normal", "solidified"])))[2][1][1]
    assert region.get("Text") == "G002 0.92"
    values = {a.get("Name"): a.get("Value") for a in region[0]}
    assert values["2"] == "0.9200"
    assert values["1"].startswith("solidified; p_sclerosed 0.96")


@pytest.mark.parametrize("shape", ["outline", "ellipse", "polygon"])
def test_lengths_and_areas_are_those_of_an_independent_measurement(make_result, shape):
    result = make_result()
    mpp = result.info.mpp
    root = etree.fromstring(imagescope_bytes(result, shape))
    assert float(root.get("MicronsPerPixel")) == mpp
    for region in root.iter("Region"):
        vertices = [(float(v.get("X")), float(v.get("Y"))) for v in region[1]]
        if shape == "ellipse":
            radius = (vertices[1][0] - vertices[0][0]) / 2
            area, length = np.pi * radius**2, 2 * np.pi * radius
        else:
            polygon = Polygon(vertices)
            area, length = polygon.area, polygon.length
        assert float(region.get("Area")) == pytest.approx(area, rel=1e-4)
        assert float(region.get("Length")) == pytest.approx(length, rel=1e-4)
        assert float(region.get("AreaMicrons")) == pytest.approx(area * mpp**2, rel=1e-4)
        assert float(region.get("LengthMicrons")) == pytest.approx(length * mpp, rel=1e-4)


def test_xml_and_table_agree_to_the_digit(make_result):
    result = make_result()
    regions = {r.get("Text")[:4]: r for r in etree.fromstring(imagescope_bytes(result)).iter("Region")}
    for row in glomerulus_rows(result):
        assert regions[row["id"]].get("AreaMicrons") == row["area_um2"]
        assert regions[row["id"]].get("LengthMicrons") == row["perimeter_um"]


@pytest.mark.parametrize("shape", ["outline", "ellipse", "polygon"])
def test_our_xml_is_read_back_with_class_and_id(make_result, shape):
    result = make_result(labels=CLASSES)
    read = parse_imagescope(imagescope_bytes(result, shape), "a.xml")
    assert read.mpp == result.info.mpp
    assert [(r.label, r.id) for r in read.regions] == [(g.label, g.id) for g in result.glomeruli]
    assert read.regions[0].properties["Probability"] == "0.9200"
    again = parse_imagescope(annotations_bytes(read), "b.xml")
    for a, b in zip(read.regions, again.regions, strict=True):
        assert (a.text, a.box, a.ring.tolist()) == (b.text, b.box, b.ring.tolist())


def test_the_same_result_is_the_same_bytes_and_plain_ascii(make_result):
    result = make_result(name="Größe <&\udce9>.svs")
    assert imagescope_bytes(result) == imagescope_bytes(result)
    imagescope_bytes(result).decode("ascii")


def test_leica_slides_carry_a_warning(make_result):
    assert "Leica" in (frame_note(make_result(vendor="leica").info) or "")
    assert frame_note(make_result().info) is None


def test_no_glomeruli_is_a_file_with_empty_layers(make_result):
    read = parse_imagescope(imagescope_bytes(make_result(labels=[])), "a.xml")
    assert [layer.id for layer in read.layers] == [1, 2, 3, 4, 5]
    assert read.regions == []


names = st.text("aZ0 \t\n\r<>&\"'éß中😀", max_size=12)
coordinates = st.integers(-10_000_000, 10_000_000).map(lambda v: v / 100)


@st.composite
def regions(draw: st.DrawFn) -> Region:
    text, hole = draw(names), draw(st.booleans())
    corner, size = draw(st.tuples(coordinates, coordinates)), draw(st.tuples(*[st.integers(1, 10**4)] * 2))
    x, y, w, h = *corner, *size
    box = (x, y, x + w, y + h)
    ring = np.array([[x, y], [x + w, y], [x + w, y + h], [x, y + h]])
    match draw(st.sampled_from(["polygon", "rectangle", "ellipse"])):
        case "ellipse":
            return Region(ring, text=text, is_hole=hole, shape="ellipse", box=box)
        case "rectangle":
            return Region(ring, text=text, is_hole=hole, shape="rectangle")
        case _:
            middle = np.array([[x - w / 4, y + h / 2]])
            return Region(np.vstack([ring, middle]).round(2), text=text, is_hole=hole)


layers = st.builds(
    Layer,
    id=st.integers(1, 10**6),
    name=names,
    colour=st.tuples(*[st.integers(0, 255)] * 3),
    regions=st.lists(regions(), max_size=4).map(tuple),
)


@settings(deadline=None, max_examples=60)
@given(st.builds(Annotations, mpp=st.sampled_from([None, 0.25, 0.466667]), layers=st.tuples(layers, layers)))
def test_any_annotations_survive_writing_and_reading(annotations):
    read = parse_imagescope(annotations_bytes(annotations), "a.xml")
    assert read.mpp == annotations.mpp
    assert [(a.id, a.colour) for a in read.layers] == [(a.id, a.colour) for a in annotations.layers]
    for a, b in zip(annotations.regions, read.regions, strict=True):
        assert (a.shape, a.is_hole) == (b.shape, b.is_hole)
        if a.box:
            np.testing.assert_allclose(b.box, a.box, atol=0.0051)
        else:
            np.testing.assert_allclose(b.ring, a.ring, atol=0.0051)
    assert annotations_bytes(read) == annotations_bytes(parse_imagescope(annotations_bytes(read), "b.xml"))


@pytest.mark.shared
def test_what_imagescope_wrote_is_written_again_and_read_back_to_the_same_regions(
    shared_data: Path, tmp_path
):
    original = read_imagescope(shared_data / "slides/kidney-he/kidney-he.imagescope.xml")
    assert original.mpp == 0.466667
    assert [len(layer.regions) for layer in original.layers] == [4, 1, 6]
    (tmp_path / "again.xml").write_bytes(annotations_bytes(original))
    again = read_imagescope(tmp_path / "again.xml")
    assert [(a.id, a.name, a.colour, a.columns, a.attributes) for a in again.layers] == [
        (a.id, a.name, a.colour, a.columns, a.attributes) for a in original.layers
    ]
    for a, b in zip(original.regions, again.regions, strict=True):
        assert (a.label, a.text, a.is_hole, a.shape) == (b.label, b.text, b.is_hole, b.shape)
        np.testing.assert_array_equal(a.ring, b.ring)
        # ImageScope measured the same regions itself
        for name in ("Length", "Area", "LengthMicrons", "AreaMicrons"):
            assert b.measures[name] == pytest.approx(a.measures[name], rel=5e-6, abs=0.11)


def test_polygon_with_and_without_the_repeated_vertex_is_the_same():
    first = '<Vertex X="0" Y="0"/>'
    rings = [
        parse_imagescope(one_region('Type="0"', v), "a").regions[0].ring for v in (SQUARE, SQUARE + first)
    ]
    assert rings[0].tolist() == rings[1].tolist() == [[0, 0], [10, 0], [10, 10], [0, 10]]


def test_ellipse_becomes_a_ring_of_its_area_whatever_corners_it_has():
    vertices = '<Vertex X="30" Y="0"/><Vertex X="10" Y="10"/>'
    region = parse_imagescope(one_region('Type="2"', vertices), "a").regions[0]
    assert region.box == (10, 0, 30, 10)
    assert Polygon(region.ring).area == pytest.approx(np.pi * 10 * 5)


def test_rectangle_by_four_vertices_and_by_two():
    two = '<Vertex X="0" Y="0"/><Vertex X="10" Y="10"/>'
    for vertices in (SQUARE, two):
        region = parse_imagescope(one_region('Type="1"', vertices), "a").regions[0]
        assert region.shape == "rectangle"
        assert Polygon(region.ring).area == 100


def test_arrows_rulers_and_stray_clicks_are_counted_and_nothing_else():
    line = '<Vertex X="0" Y="0"/><Vertex X="9" Y="9"/>'
    for kind, vertices, what in (("3", line, "arrow"), ("4", line, "ruler"), ("0", line, "without area"),
                                 ("0", "", "without area"), ("7", SQUARE, "type 7")):  # fmt: skip
        read = parse_imagescope(one_region(f'Type="{kind}"', vertices), "a")
        assert (read.regions, read.ignored) == ([], {what: 1})


def test_holes_keep_their_mark():
    assert parse_imagescope(one_region('NegativeROA="1"', SQUARE), "a").regions[0].is_hole


def test_missing_attributes_and_other_spellings_are_understood():
    vertices = SQUARE.replace("X=", "x=").replace('"10"', '"10,5"')
    read = parse_imagescope(one_region('TEXT="hello"', vertices, layer=""), "a")
    assert (read.layers[0].id, read.regions[0].label, read.regions[0].text) == (1, "Layer 1", "hello")
    assert read.regions[0].ring.max() == 10.5
    assert parse_imagescope(xml_of("", ""), "a").mpp is None
    assert parse_imagescope(xml_of("", 'MicronsPerPixel="0"'), "a").mpp is None


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "iso-8859-1", "windows-1252"])
def test_encodings(encoding):
    body = one_region("", SQUARE, 'Name="Größe"').decode()
    declared = encoding.removesuffix("-sig")
    data = f'<?xml version="1.0" encoding="{declared}"?>\n{body}'.encode(encoding)
    assert parse_imagescope(data, "a").regions[0].label == "Größe"


def test_utf8_that_claims_to_be_utf16_is_read_all_the_same():
    data = b'<?xml version="1.0" encoding="utf-16"?>' + one_region("", SQUARE)
    assert len(parse_imagescope(data, "a").regions) == 1


LAUGHS = """<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">
<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]><Annotations><Annotation Name="&c;">&c;</Annotation></Annotations>"""
OUTSIDE = '<!DOCTYPE l [<!ENTITY x SYSTEM "file:///etc/passwd">]><Annotations Name="x">&x;</Annotations>'


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (LAUGHS.encode(), "document type or entities"),
        (LAUGHS.replace('"1.0"', '"1.0" encoding="utf-16"').encode("utf-16"), "document type or entities"),
        (OUTSIDE.encode(), "document type or entities"),
        (b'<?xml version="1.0" encoding="utf-7"?>+ADw-Annotations/>', "unknown encoding"),
        (b"<Annotations>\xff</Annotations>", "not utf-8"),
        (b"", "not XML"),
        (b"hello", "not XML"),
        (b"<Annotations>", "not XML"),
        (b"<Annotations>&nbsp;</Annotations>", "not XML"),
        (b"<html></html>", "root is <html>"),
        (b"<Annotations>" + b"<a>" * 5000 + b"</a>" * 5000 + b"</Annotations>", "not XML"),
        (one_region("", '<Vertex X="a" Y="0"/>'), "layer 1, region 1: vertex 1 has no X and Y"),
        (one_region("", '<Vertex X="nan" Y="0"/>'), "not a number"),
        (one_region("", '<Vertex X="1e300" Y="0"/>'), "beyond"),
        (one_region("", '<Vertex Y="0"/>'), "vertex 1"),
    ],
)
def test_what_is_no_imagescope_xml_or_hostile_is_refused(data, words):
    with pytest.raises(AnnotationError, match=words) as caught:
        parse_imagescope(data, "bad.xml")
    assert str(caught.value).startswith("bad.xml: ")


def test_huge_files_are_refused_without_being_built(tmp_path, monkeypatch):
    monkeypatch.setattr("gloinone.annotations.safe_xml.MAX_ELEMENTS", 100)
    with pytest.raises(AnnotationError, match="over 100 elements"):
        parse_imagescope(b"<Annotations>" + b"<a/>" * 200 + b"</Annotations>", "bad.xml")
    huge = tmp_path / "huge.xml"
    with huge.open("wb") as file:
        file.truncate(200 * 2**20)
    with pytest.raises(AnnotationError, match="over 128 MB"):
        read_imagescope(huge)
    with pytest.raises(AnnotationError, match="no such file"):
        read_imagescope(tmp_path / "none.xml")
    with pytest.raises(AnnotationError, match="cannot be read"):
        read_imagescope(tmp_path)
