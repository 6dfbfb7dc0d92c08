"""Writes annotations for HistomicsUI of the Digital Slide Archive: `dsa_bytes`."""

import json

from gloinone.annotations.geojson_write import qupath_origin
from gloinone.annotations.glomerulus_region import glomerulus_regions
from gloinone.annotations.region import DECIMALS, OutputShape, Region
from gloinone.labels import COLOURS
from gloinone.records import SlideResult

NAME = "gloinone"
DESCRIPTION = "Glomeruli found by gloinone. Research use only; the kinds of sclerosis are not validated."


def dsa_bytes(result: SlideResult, shape: OutputShape = "outline") -> bytes:
    """One annotation with a closed polyline per glomerulus, grouped by class; the same bytes every time.

    Large-image shows what was scanned, as QuPath does, so the corner of openslide.bounds-* is subtracted.
    """
    x, y = qupath_origin(result.info)
    elements = [_element(region, x, y) for region in glomerulus_regions(result, shape)]
    said = {"name": NAME, "description": DESCRIPTION, "elements": elements}
    return (json.dumps(said, separators=(",", ":"), allow_nan=False) + "\n").encode("ascii")


def _element(region: Region, x0: float, y0: float) -> dict[str, object]:
    colour = ", ".join(map(str, COLOURS[region.label]))
    return {
        "type": "polyline",
        "closed": True,
        "points": [
            [round(float(x - x0), DECIMALS), round(float(y - y0), DECIMALS), 0] for x, y in region.ring
        ],
        "label": {"value": region.text},
        "group": region.label,
        "lineColor": f"rgb({colour})",
        "fillColor": f"rgba({colour}, 0)",
    }
