"""Aperio ImageScope XML: `read_imagescope` and `imagescope_bytes`."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from lxml import etree

from gloinone.annotations.bounded import read_bounded
from gloinone.annotations.imagescope_write import COMMON_HEADERS, class_of_layer_name
from gloinone.annotations.region import (
    Annotations,
    Layer,
    Region,
    check_coordinates,
    ellipse_ring,
    glomerulus_id,
    has_area,
    open_ring,
    rectangle_ring,
)
from gloinone.annotations.safe_xml import iterate_xml, local_name
from gloinone.errors import AnnotationError
from gloinone.records import Points

_NO_AREA = {"3": "arrow", "4": "ruler"}
_POLYGON, _RECTANGLE, _ELLIPSE = "0", "1", "2"
_MEASURES = ("Length", "Area", "LengthMicrons", "AreaMicrons")
_MEND = "save it again from ImageScope"


def read_imagescope(path: Path) -> Annotations:
    """Layers, regions and mpp of an ImageScope file, in the frame of the file: level-0 px.

    Rings come without the repeated first vertex, ellipses as polygons of the same area, holes
    (`NegativeROA`) as regions of their own; arrows, rulers and stray clicks are counted only. The label
    is the layer's name ("Layer N" where it has none), or the class where the layer is one of ours.
    Missing attributes are filled in. Raises AnnotationError for what is no ImageScope XML, or hostile.
    """
    return parse_imagescope(read_bounded(path), str(path))


def parse_imagescope(data: bytes, where: str) -> Annotations:
    """As ``read_imagescope``, of bytes; ``where`` names them in errors."""
    reading = _Reading(where)
    mpp: float | None = None
    root: etree._Element | None = None
    for event, element in iterate_xml(data, where):
        name = local_name(element)
        if root is None:
            root = element
            if name != "Annotations":
                raise AnnotationError(
                    f"{where}: the root is <{name}>, not <Annotations>; is it ImageScope XML?"
                )
            mpp = _mpp(_attributes(element))
        elif event == "start" and name == "Annotation":
            reading.begin_layer(element)
        elif event == "end" and name == "AttributeHeader":
            reading.header(element)
        elif event == "end" and name == "Region":
            reading.region(element)
            element.clear()
        elif event == "end" and name == "Annotation":
            reading.end_layer(element)
            element.clear()
    return Annotations(mpp, tuple(reading.layers), dict(reading.ignored))


@dataclass
class _Reading:
    """What has been read so far; layers are built one at a time, so that no whole tree is kept."""

    where: str
    layers: list[Layer] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)
    layer: Mapping[str, str] = field(default_factory=dict)
    regions: list[Region] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)

    def begin_layer(self, element: etree._Element) -> None:
        self.layer, self.regions, self.headers = _attributes(element), [], {}

    def header(self, element: etree._Element) -> None:
        attributes = _attributes(element)
        self.headers[attributes.get("id", "")] = attributes.get("name", "")

    @property
    def layer_id(self) -> int:
        return _integer(self.layer.get("id"), len(self.layers) + 1)

    @property
    def label(self) -> str:
        name = self.layer.get("name", "")
        return class_of_layer_name(name) or name or f"Layer {self.layer_id}"

    def region(self, element: etree._Element) -> None:
        """Adds the region, or counts why not."""
        attributes = _attributes(element)
        kind = attributes.get("type", _POLYGON)
        where = f"{self.where}: layer {self.layer_id}, region {attributes.get('id', len(self.regions) + 1)}"
        vertices = open_ring(_vertices(element, where))
        if kind not in (_POLYGON, _RECTANGLE, _ELLIPSE):
            self.ignored[_NO_AREA.get(kind, f"type {kind}")] += 1
            return
        box = None
        if len(vertices) == 2 and kind in (_RECTANGLE, _ELLIPSE):
            (x0, y0), (x1, y1) = np.sort(vertices, axis=0).tolist()
            box = (x0, y0, x1, y1)
            vertices = ellipse_ring(box) if kind == _ELLIPSE else rectangle_ring(box)
        if not has_area(vertices):
            self.ignored["without area"] += 1
            return
        text = attributes.get("text", "")
        self.regions.append(
            Region(
                ring=vertices,
                label=self.label,
                text=text,
                id=glomerulus_id(text),
                is_hole=attributes.get("negativeroa", "0") not in ("", "0"),
                shape="ellipse"
                if box and kind == _ELLIPSE
                else "rectangle"
                if kind == _RECTANGLE
                else "polygon",
                box=box if kind == _ELLIPSE else None,
                measures=_measures(attributes),
                properties={"layer": self.layer_id, **self._own_columns(element)},
            )
        )

    def _own_columns(self, element: etree._Element) -> dict[str, str]:
        """Values of the layer's own columns: an Attribute's Name is the Id of its header."""
        columns = {}
        for attribute in element.iter("{*}Attribute"):
            values = _attributes(attribute)
            header = values.get("name", "")
            columns[self.headers.get(header) or header] = values.get("value", "")
        return columns

    def end_layer(self, element: etree._Element) -> None:
        own = sorted(set(self.headers) - {str(number) for number, _ in COMMON_HEADERS}, key=_by_number)
        attributes = [_attributes(a) for a in element.iterfind("{*}Attributes/{*}Attribute")]
        colour = _integer(self.layer.get("linecolor"), 0)
        self.layers.append(
            Layer(
                id=self.layer_id,
                name=self.layer.get("name", ""),
                colour=(colour & 255, colour >> 8 & 255, colour >> 16 & 255),
                regions=tuple(self.regions),
                columns=tuple(self.headers[number] for number in own),
                attributes=tuple((a.get("name", ""), a.get("value", "")) for a in attributes),
            )
        )


def _attributes(element: etree._Element) -> dict[str, str]:
    """By lower-case name: the spelling differs between versions and programs."""
    return {str(name).lower(): str(value) for name, value in element.attrib.items()}


def _vertices(element: etree._Element, where: str) -> Points:
    points = []
    for vertex in element.iter("{*}Vertex"):
        attributes = _attributes(vertex)
        try:
            points.append((_float(attributes["x"]), _float(attributes["y"])))
        except (KeyError, ValueError) as error:
            raise AnnotationError(f"{where}: vertex {len(points) + 1} has no X and Y; {_MEND}") from error
    array = np.array(points, np.float64).reshape(-1, 2)
    wrong = check_coordinates(array, where)
    if wrong:
        raise AnnotationError(f"{wrong}; {_MEND}")
    return array


def _float(text: str) -> float:
    """Also with the decimal comma that a European Windows writes."""
    return float(text.replace(",", ".") if text.count(",") == 1 and "." not in text else text)


def _integer(text: str | None, default: int) -> int:
    try:
        return int(float(text)) if text is not None else default
    except (ValueError, OverflowError):
        return default


def _by_number(header: str) -> tuple[int, str]:
    return _integer(header, 10**6), header


def _mpp(attributes: Mapping[str, str]) -> float | None:
    """None where the file does not know it; ImageScope then writes 0."""
    try:
        mpp = _float(attributes.get("micronsperpixel", "0"))
    except ValueError:
        return None
    return mpp if 0 < mpp < float("inf") else None


def _measures(attributes: Mapping[str, str]) -> dict[str, float]:
    measures = {}
    for name in _MEASURES:
        try:
            value = _float(attributes[name.lower()])
        except (KeyError, ValueError):
            continue
        if np.isfinite(value):
            measures[name] = value
    return measures
