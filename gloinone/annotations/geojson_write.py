"""Writes GeoJSON for QuPath: `geojson_bytes` of a slide, `regions_geojson` of any regions."""

import json
import uuid
from collections.abc import Sequence

import numpy as np

from gloinone.annotations.glomerulus_region import OWN_COLUMNS, glomerulus_regions
from gloinone.annotations.region import DECIMALS, Box, OutputShape, Region, glomerulus_id
from gloinone.labels import COLOURS
from gloinone.records import Points, SlideInfo, SlideResult

NAMESPACE = uuid.UUID("7b0f6a1e-3c55-5d0e-9a3f-6f1d0c2b8e94")
"""Ours, for ids that are the same every time and differ between slides."""

_ELLIPSE_VERTICES = 64


def geojson_bytes(result: SlideResult, shape: OutputShape = "outline") -> bytes:
    """A feature per glomerulus in the frame of QuPath, the same bytes every time.

    QuPath crops a slide to openslide.bounds-*, so their corner is subtracted.
    """
    return regions_geojson(glomerulus_regions(result, shape), result.info.name, qupath_origin(result.info))


def qupath_origin(info: SlideInfo) -> tuple[float, float]:
    """Corner of what QuPath shows, level-0 px of the uncropped plane."""
    return (info.bounds[0], info.bounds[1]) if info.bounds else (0, 0)


def regions_geojson(
    regions: Sequence[Region], slide_name: str, origin: tuple[float, float] = (0.0, 0.0)
) -> bytes:
    """FeatureCollection, a feature a line; ids by slide and region. A hole belongs to the region before it."""
    features: list[dict[str, object]] = []
    solids = [place for place, region in enumerate(regions) if not region.is_hole]
    used: set[str] = set()
    for place, following in zip(solids, [*solids, len(regions)][1:], strict=True):
        region = regions[place]
        key = region.id or f"region {place + 1}"
        key = f"{key}, region {place + 1}" if key in used else key
        used.add(key)
        feature_id = _feature_id(slide_name, key)
        features.append(_feature(region, regions[place + 1 : following], feature_id, np.array(origin)))
    lines = (json.dumps(feature, separators=(",", ":"), allow_nan=False) for feature in features)
    return ('{"type":"FeatureCollection","features":[\n' + ",\n".join(lines) + "\n]}\n").encode("ascii")


def _feature_id(slide_name: str, key: str) -> str:
    """UUID of a region; one that came from QuPath keeps its own."""
    try:
        return str(uuid.UUID(key))
    except ValueError:
        # a file name that is no valid Unicode holds lone surrogates, which UTF-8 cannot
        name = f"{slide_name}\n{key}".encode("utf-8", "backslashreplace").decode("utf-8")
        return str(uuid.uuid5(NAMESPACE, name))


def _feature(region: Region, holes: Sequence[Region], feature_id: str, origin: Points) -> dict[str, object]:
    ring = _ring_on_ellipse(region.box) if region.box else region.ring
    geometry: dict[str, object] = {
        "type": "Polygon",
        "coordinates": [_closed(ring - origin), *(_closed(hole.ring - origin) for hole in holes)],
    }
    if region.box:
        geometry["isEllipse"] = True  # QuPath then makes an ellipse of the polygon's bounding box
    properties: dict[str, object] = {"objectType": "annotation"}
    if region.label:
        colour = COLOURS.get(region.label)
        properties["classification"] = {"name": region.label} | ({"color": list(colour)} if colour else {})
    name = glomerulus_id(region.id) or region.text
    if name:
        properties["name"] = name
    properties["isLocked"] = False
    if region.measures:
        properties["measurements"] = dict(region.measures)
    properties |= {name: value for name, value in region.properties.items() if name not in OWN_COLUMNS}
    return {"type": "Feature", "id": feature_id, "geometry": geometry, "properties": properties}


def _ring_on_ellipse(box: Box) -> Points:
    """Vertices on the ellipse itself, its four extremes among them, so that the bounding box is exact."""
    x0, y0, x1, y1 = box
    angle = np.arange(_ELLIPSE_VERTICES) * 2 * np.pi / _ELLIPSE_VERTICES
    unit = np.column_stack([np.cos(angle), np.sin(angle)])
    ring: Points = unit * np.array([x1 - x0, y1 - y0]) / 2 + np.array([x0 + x1, y0 + y1]) / 2
    return ring


def _closed(ring: Points) -> list[list[float]]:
    # adding 0.0 makes minus zero plain zero
    points = [[round(float(x), DECIMALS) + 0.0, round(float(y), DECIMALS) + 0.0] for x, y in ring]
    return [*points, points[0]]
