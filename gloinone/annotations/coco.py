"""COCO's object annotations, of many images in one file; also the CircleNet dialect with a centre and a radius."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gloinone.annotations.bounded import read_bounded
from gloinone.annotations.region import (
    Box,
    Region,
    check_coordinates,
    ellipse_ring,
    has_area,
    is_rectangle,
    open_ring,
)
from gloinone.errors import AnnotationError
from gloinone.records import Points

_MEND = "export it again with circle_center and circle_radius, or with polygons"
CIRCLE_SLACK = 0.02
"""Of its radius: a polygon that stays as near to the circle is no outline that was drawn."""


def is_coco(path: Path) -> bool:
    """Whether the file is a COCO file by its keys."""
    try:
        document = json.loads(read_bounded(path))
    except (AnnotationError, ValueError, RecursionError):
        return False
    return isinstance(document, dict) and {"images", "annotations"} <= document.keys()


def coco_names(path: Path) -> list[str]:
    """File names of its images."""
    return [str(image.get("file_name", "")) for image in _rows(_load(path), "images", path)]


def read_coco(path: Path, slide: str | None = None) -> list[Region]:
    """Regions of one slide, px of its image; of the only image where no slide is named.

    An object without polygons is its circle, as the polygon of the same area; the pieces of one object have the same
    id; `iscrowd` is cut. Raises AnnotationError for what is not COCO, or has neither circles nor polygons.
    """
    document = _load(path)
    images = [
        i
        for i in _rows(document, "images", path)
        if slide is None or same_slide(slide, str(i.get("file_name")))
    ]
    if len(images) != 1:
        raise AnnotationError(
            f"{path}: {len(images)} images for {slide or 'one slide'}; name each slide's image once"
        )
    categories = {c.get("id"): str(c.get("name", "")) for c in _rows(document, "categories", path)}
    regions = []
    for number, row in enumerate(_rows(document, "annotations", path), start=1):
        if row.get("image_id") != images[0].get("id"):
            continue
        where = f"{path}: annotation {row.get('id', number)}"
        name = categories.get(row.get("category_id"), "")
        cut = {"cut": True} if row.get("iscrowd") else {}
        for part, (ring, box) in enumerate(_shapes(row, where)):
            regions.append(
                Region(
                    ring=ring,
                    label=name,
                    id=str(row.get("id", number)),
                    part=part,
                    shape="ellipse" if box else "rectangle" if is_rectangle(ring) else "polygon",
                    box=box,
                    properties=cut,
                )
            )
    return regions


def same_slide(slide: str, file_name: str) -> bool:
    """Whether an image is the slide, whatever its folder and suffix.

    >>> same_slide("b/a.svs", "export/a.png"), same_slide("b/a.svs", "aa.png")
    (True, False)
    """
    return Path(slide).stem == Path(file_name).stem


def _shapes(row: Mapping[str, Any], where: str) -> list[tuple[Points, Box | None]]:
    """Rings that have an area: the polygons, else the circle, with its box."""
    try:
        box = _circle_box(row)
    except (TypeError, ValueError) as error:
        raise AnnotationError(f"{where}: a circle without its numbers ({error}); {_MEND}") from error
    try:
        rings = _polygons(row)
    except (KeyError, TypeError, ValueError) as error:
        if box is None:
            raise AnnotationError(f"{where}: no circle and no polygons ({error}); {_MEND}") from error
        rings = []
    circle = [] if box is None else [ellipse_ring(box)]
    for ring in (*rings, *circle):
        if wrong := check_coordinates(ring, where):
            raise AnnotationError(f"{wrong}; {_MEND}")
    drawn = [ring for ring in rings if has_area(ring)]
    if box is None or (drawn and not (len(drawn) == 1 and _follows(drawn[0], box))):
        return [(ring, None) for ring in drawn]
    return [(ring, box) for ring in circle if has_area(ring)]


def _circle_box(row: Mapping[str, Any]) -> Box | None:
    """Which the circle touches; None where there is none."""
    if "circle_center" not in row or "circle_radius" not in row:
        return None
    (cx, cy), radius = (float(v) for v in row["circle_center"]), abs(float(row["circle_radius"]))
    return cx - radius, cy - radius, cx + radius, cy + radius


def _polygons(row: Mapping[str, Any]) -> list[Points]:
    polygons = row["segmentation"]
    if not isinstance(polygons, list):
        raise TypeError("a run-length mask")
    return [open_ring(np.array(polygon, np.float64).reshape(-1, 2)) for polygon in polygons]


def _follows(ring: Points, box: Box) -> bool:
    """Whether the ring is the circle that touches the box, drawn as a polygon, as we write it ourselves."""
    x0, y0, x1, y1 = box
    distance, radius = np.hypot(*(ring - [(x0 + x1) / 2, (y0 + y1) / 2]).T), (x1 - x0) / 2
    return bool(np.abs(distance - radius).max() < CIRCLE_SLACK * radius)


def _load(path: Path) -> Mapping[str, Any]:
    try:
        document = json.loads(read_bounded(path))
    except (ValueError, RecursionError) as error:
        raise AnnotationError(f"{path}: not JSON ({error}); {_MEND}") from error
    if not isinstance(document, dict):
        raise AnnotationError(f"{path}: not a COCO file; {_MEND}")
    return document


def _rows(document: Mapping[str, Any], key: str, path: Path) -> list[Mapping[str, Any]]:
    rows = document.get(key)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise AnnotationError(f"{path}: no list of {key}; {_MEND}")
    return rows
