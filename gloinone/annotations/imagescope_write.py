"""Writes Aperio ImageScope XML, element by element in the order that readers which count children expect."""

from collections.abc import Sequence

from lxml import etree

from gloinone.annotations.glomerulus_region import OWN_COLUMNS, glomerulus_regions
from gloinone.annotations.region import (
    DECIMALS,
    Annotations,
    Layer,
    OutputShape,
    Region,
    ellipse_measures,
)
from gloinone.geometry import measure_ring
from gloinone.labels import CLASSES, COLOURS, SCLEROSED_KINDS
from gloinone.records import SlideInfo, SlideResult

COMMON_HEADERS = ((9999, "Region"), (9997, "Length"), (9996, "Area"), (9998, "Text"))
"""Columns that every layer of ImageScope's region table has."""

_TYPES = {"polygon": "0", "rectangle": "1", "ellipse": "2"}
_NOT_VALIDATED = " (kind not validated by a pathologist)"
LAYER_NAMES = {name: name + (_NOT_VALIDATED if name in SCLEROSED_KINDS else "") for name in CLASSES}
"""Of our layers, whose Ids are 1 to 5 in this order, empty or not: a region that a pathologist moves to
another layer has then another class, and `non-glomerular` is where false ones go."""


def class_of_layer_name(name: str) -> str:
    """One of labels.CLASSES if the layer is one of ours, else nothing."""
    return next((label for label, ours in LAYER_NAMES.items() if name in (label, ours)), "")


def imagescope_bytes(result: SlideResult, shape: OutputShape = "outline") -> bytes:
    """ImageScope XML of a slide: a layer per class, a region per glomerulus, the same bytes every time."""
    return annotations_bytes(annotations_of_result(result, shape))


def annotations_of_result(result: SlideResult, shape: OutputShape = "outline") -> Annotations:
    """The five layers of a slide; frame: level 0 of the uncropped plane."""
    regions = glomerulus_regions(result, shape)
    layers = (
        Layer(
            id=number,
            name=LAYER_NAMES[label],
            colour=COLOURS[label],
            regions=tuple(region for region in regions if region.label == label),
            columns=OWN_COLUMNS,
        )
        for number, label in enumerate(CLASSES, start=1)
    )
    return Annotations(result.info.mpp, tuple(layers))


def frame_note(info: SlideInfo) -> str | None:
    """What a reader must know of the frame of the XML, where viewers disagree on it."""
    if info.vendor != "leica":
        return None
    return (
        "Leica SCN: the XML counts pixels from the corner of the whole plane, as OpenSlide does; some "
        "versions of ImageScope count from the scanned area or turn it: check one outline before using them"
    )


def annotations_bytes(annotations: Annotations) -> bytes:
    """ImageScope XML of any layers; ASCII, with true lengths and areas of what is written."""
    mpp = annotations.mpp
    root = etree.Element("Annotations", MicronsPerPixel=f"{mpp or 0:.6f}")
    for layer in annotations.layers:
        _add_layer(root, layer, mpp)
    etree.indent(root, "\t")
    return etree.tostring(root, encoding="us-ascii", xml_declaration=False) + b"\n"


def _add_layer(root: etree._Element, layer: Layer, mpp: float | None) -> None:
    red, green, blue = layer.colour
    annotation = etree.SubElement(
        root,
        "Annotation",
        Id=str(layer.id),
        Name=_xml_text(layer.name),
        ReadOnly="0",
        NameReadOnly="0",
        LineColorReadOnly="0",
        Incremental="0",
        Type="4",
        LineColor=str(red + 256 * green + 65536 * blue),
        Visible="1",
        Selected="0",
        MarkupImagePath="",
        MacroName="",
    )
    attributes = etree.SubElement(annotation, "Attributes")
    for name, value in layer.attributes:
        etree.SubElement(attributes, "Attribute", Name=_xml_text(name), Id="0", Value=_xml_text(value))
    regions = etree.SubElement(annotation, "Regions")
    _add_headers(regions, layer.columns)
    for number, region in enumerate(layer.regions, start=1):
        _add_region(regions, number, region, layer.columns, mpp)
    etree.SubElement(annotation, "Plots")


def _add_headers(regions: etree._Element, columns: Sequence[str]) -> None:
    headers = etree.SubElement(regions, "RegionAttributeHeaders")
    for number, name in (*COMMON_HEADERS, *enumerate(columns, start=1)):
        etree.SubElement(headers, "AttributeHeader", Id=str(number), Name=_xml_text(name), ColumnWidth="-1")


def _add_region(
    regions: etree._Element, number: int, region: Region, columns: Sequence[str], mpp: float | None
) -> None:
    area, length = ellipse_measures(region.box) if region.box else measure_ring(region.ring)[:2]
    scale = mpp or 0.0
    element = etree.SubElement(
        regions,
        "Region",
        Id=str(number),
        Type=_TYPES[region.shape],
        Zoom="0.500000",
        Selected="0",
        ImageLocation="",
        ImageFocus="-1",
        Length=f"{length:.2f}",
        Area=f"{area:.1f}",
        LengthMicrons=f"{length * scale:.2f}",
        AreaMicrons=f"{area * scale**2:.1f}",
        Text=_xml_text(region.text),
        NegativeROA="1" if region.is_hole else "0",
        InputRegionId="0",
        Analyze="1",
        DisplayId=str(number),
    )
    attributes = etree.SubElement(element, "Attributes")
    for header, name in enumerate(columns, start=1):
        if name in region.properties:
            value = _xml_text(str(region.properties[name]))
            etree.SubElement(attributes, "Attribute", Name=str(header), Id="0", Value=value)
    vertices = etree.SubElement(element, "Vertices")
    for x, y in _corners(region):
        etree.SubElement(vertices, "Vertex", X=_coordinate(x), Y=_coordinate(y), Z="0")


def _corners(region: Region) -> list[tuple[float, float]]:
    """What stands in the file: two corners of an ellipse, four of a rectangle, a closed polygon."""
    if region.box:
        x0, y0, x1, y1 = region.box
        return [(x0, y0), (x1, y1)]
    ring = [(float(x), float(y)) for x, y in region.ring]
    return ring if region.shape == "rectangle" else [*ring, ring[0]]


def _coordinate(value: float) -> str:
    """As ImageScope writes it: no trailing zeros, and none of minus zero."""
    text = f"{value:.{DECIMALS}f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _xml_text(text: str) -> str:
    """With a replacement for what XML cannot hold: control characters and halves of surrogates."""
    return "".join(
        c
        if c in "\t\n\r" or 0x20 <= ord(c) < 0xD800 or 0xE000 <= ord(c) < 0xFFFE or ord(c) > 0xFFFF
        else "\ufffd"
        for c in text
    )
