"""GeoJSON as QuPath reads and writes it: `read_geojson` and `geojson_bytes`."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from gloinone.annotations.bounded import read_bounded
from gloinone.annotations.region import (
    Region,
    check_coordinates,
    ellipse_ring,
    glomerulus_id,
    has_area,
    is_rectangle,
    open_ring,
)
from gloinone.errors import AnnotationError
from gloinone.records import Points

Bounds = tuple[int, int, int, int]
"""x, y, width, height in level-0 px: SlideInfo.bounds."""

MAX_BYTES = 64 * 2**20
"""Less than of XML, since the parser builds the whole document: lists take up to twenty times their text."""

_OWN_PROPERTIES = ("classification", "name", "measurements")


def read_geojson(path: Path, bounds: Bounds | None = None) -> list[Region]:
    """Areas of a .geojson or .geojson.gz, in level-0 px of the uncropped plane.

    Takes a FeatureCollection, a list of features or a single one, with polygons and multi-polygons; points
    and lines are left out. ``bounds`` of the slide are added, as QuPath subtracts them. Raises
    AnnotationError for what is not GeoJSON.
    """
    return parse_geojson(read_bounded(path, MAX_BYTES), str(path), bounds)


def parse_geojson(data: bytes, where: str, bounds: Bounds | None = None) -> list[Region]:
    """As ``read_geojson``, of bytes; ``where`` names them in errors."""
    document = _load(data, where)
    offset = np.array(bounds[:2] if bounds else (0, 0), np.float64)
    regions = []
    for number, feature in enumerate(_features(document, where), start=1):
        regions += list(_regions(feature, f"{where}: feature {number}", offset))
    return regions


def _load(data: bytes, where: str) -> object:
    try:  # NaN and Infinity, which is no JSON but what QuPath 0.4 writes for a measurement it lacks: null
        document: object = json.loads(data.decode(_json_encoding(data)), parse_constant=lambda _: None)
    except RecursionError as error:
        raise AnnotationError(f"{where}: nested too deeply for GeoJSON; export it again") from error
    except ValueError as error:  # broken JSON, broken text, a number of thousands of digits
        raise AnnotationError(f"{where}: not GeoJSON ({error}); export it again from QuPath") from error
    return document


def _json_encoding(data: bytes) -> str:
    return "utf-8-sig" if data.startswith(b"\xef\xbb\xbf") else json.detect_encoding(data)


def _features(document: object, where: str) -> list[object]:
    if isinstance(document, list):
        return document
    if isinstance(document, dict):
        if document.get("type") == "FeatureCollection" and isinstance(document.get("features"), list):
            return list(document["features"])
        if document.get("type") == "Feature":
            return [document]
    raise AnnotationError(f"{where}: no FeatureCollection, Feature or list of them; export it as GeoJSON")


def _regions(feature: object, where: str, offset: Points) -> Iterator[Region]:
    """The outer ring of every polygon of a feature, each followed by its holes."""
    if not isinstance(feature, dict) or feature.get("type") != "Feature":
        raise AnnotationError(f"{where}: is not a Feature; export it again as GeoJSON")
    properties = feature.get("properties") or {}
    geometry = feature.get("geometry") or {}
    if not isinstance(properties, dict) or not isinstance(geometry, dict):
        raise AnnotationError(f"{where}: properties or geometry is not an object; export it again")
    label = _label(properties.get("classification"))
    text = str(properties.get("name") or "")
    region_id = glomerulus_id(text) or str(feature.get("id") or "")
    measures = _measures(properties.get("measurements"))
    others = {str(key): value for key, value in properties.items() if key not in _OWN_PROPERTIES}
    is_ellipse = geometry.get("isEllipse") is True
    part = -1
    for polygon in _polygons(geometry, where):
        for index, coordinates in enumerate(polygon):
            ring = _ring(coordinates, where) + offset
            if not has_area(ring):
                if index == 0:
                    break
                continue
            part += index == 0
            box = None
            if is_ellipse:
                x0, y0, x1, y1 = (float(v) for v in (*ring.min(axis=0), *ring.max(axis=0)))
                box = (x0, y0, x1, y1)
            yield Region(
                ring=ellipse_ring(box) if box else ring,
                label=label,
                text=text,
                id=region_id,
                part=part,
                is_hole=index > 0,
                shape="ellipse" if box else "rectangle" if is_rectangle(ring) else "polygon",
                box=box,
                measures=measures,
                properties=others,
            )


def _polygons(geometry: Mapping[str, object], where: str) -> Iterator[list[object]]:
    """Every polygon as its list of rings; nothing for points and lines."""
    kind, coordinates = geometry.get("type"), geometry.get("coordinates")
    if kind == "GeometryCollection":
        parts = geometry.get("geometries")
        for part in parts if isinstance(parts, list) else []:
            if isinstance(part, dict) and part.get("type") in ("Polygon", "MultiPolygon"):
                yield from _polygons(part, where)
        return
    if kind not in ("Polygon", "MultiPolygon"):
        return
    polygons = coordinates if kind == "MultiPolygon" else [coordinates]
    if not isinstance(polygons, list) or not all(isinstance(rings, list) for rings in polygons):
        raise AnnotationError(f"{where}: a {kind} without its lists of coordinates; export it again")
    yield from polygons


def _ring(coordinates: object, where: str) -> Points:
    """(N, 2) without a repeat of the first vertex; N may be anything."""
    if not isinstance(coordinates, list):
        raise AnnotationError(f"{where}: a ring is not a list of positions; export it again")
    try:
        ring = np.array(
            [(_number(position[0]), _number(position[1])) for position in coordinates], np.float64
        )
    except (TypeError, IndexError, KeyError, OverflowError, ValueError) as error:
        raise AnnotationError(
            f"{where}: a position is not [x, y] of finite numbers; export it again"
        ) from error
    ring = ring.reshape(-1, 2)
    wrong = check_coordinates(ring, where)
    if wrong:
        raise AnnotationError(f"{wrong}; export it again from the image it belongs to")
    return open_ring(ring)


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is not a number")
    return float(value)


def _label(classification: object) -> str:
    """Name of QuPath's class, whose parts are joined as QuPath shows them."""
    if isinstance(classification, str):
        return classification
    if not isinstance(classification, dict):
        return ""
    names = classification.get("names")
    if isinstance(names, list):
        return ": ".join(str(name) for name in names)
    return str(classification.get("name") or "")


def _measures(measurements: object) -> dict[str, float]:
    """From {name: number}, or from the older [{name, value}]."""
    if isinstance(measurements, list):
        pairs = [(m.get("name"), m.get("value")) for m in measurements if isinstance(m, dict)]
    elif isinstance(measurements, dict):
        pairs = list(measurements.items())
    else:
        pairs = []
    return {
        str(name): float(value)
        for name, value in pairs
        if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300
    }
