"""Writes COCO's object annotations of one slide: `coco_bytes`."""

import json

import numpy as np

from gloinone.annotations.glomerulus_region import glomerulus_regions
from gloinone.annotations.region import DECIMALS, OutputShape, Region
from gloinone.geometry import measure_ring
from gloinone.labels import CLASSES, GLOMERULUS
from gloinone.records import Detection, SlideResult


def coco_bytes(result: SlideResult, shape: OutputShape = "outline") -> bytes:
    """An image with an annotation per glomerulus, level-0 px of the uncropped plane; the same bytes every time.

    Outlines are polygons under a category per class. Circles are in CircleNet's dialect: one category, a centre and a
    radius, and the class in a key of its own.
    """
    info = result.info
    categories = CLASSES if shape == "outline" else (GLOMERULUS,)
    glomeruli = sorted(result.glomeruli, key=lambda glomerulus: glomerulus.number)
    annotations = []
    for g, region in zip(glomeruli, glomerulus_regions(result, shape), strict=True):
        own = _polygon(region) if shape == "outline" else _circle(region, g.candidate.detection)
        annotations.append({"id": g.number, "image_id": 1, "iscrowd": 0, "name": g.id, **own})
    said = {
        "images": [{"id": 1, "file_name": info.name, "width": info.width, "height": info.height}],
        "categories": [{"id": number, "name": name} for number, name in enumerate(categories, start=1)],
        "annotations": annotations,
    }
    return (json.dumps(said, separators=(",", ":"), allow_nan=False) + "\n").encode("ascii")


def _polygon(region: Region) -> dict[str, object]:
    ring = np.round(region.ring, DECIMALS)
    (x0, y0), (x1, y1) = ring.min(axis=0), ring.max(axis=0)
    return {
        "category_id": 1 + CLASSES.index(region.label),
        "bbox": [round(float(v), DECIMALS) for v in (x0, y0, x1 - x0, y1 - y0)],
        "segmentation": [ring.ravel().tolist()],
        "area": round(measure_ring(ring).area, DECIMALS),
    }


def _circle(region: Region, detection: Detection) -> dict[str, object]:
    cx, cy, radius = (round(v, DECIMALS) for v in (detection.cx, detection.cy, detection.radius))
    polygon = _polygon(region)
    return {
        **polygon,
        "category_id": 1,
        "class": region.label,
        "bbox": [round(v, DECIMALS) for v in (cx - radius, cy - radius, 2 * radius, 2 * radius)],
        "circle_center": [cx, cy],
        "circle_radius": radius,
    }
