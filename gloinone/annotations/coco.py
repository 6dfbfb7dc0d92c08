"""COCO's object annotations, of many images in one file; also the CircleNet dialect with a centre and a radius."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gloinone.annotations.bounded import read_bounded
from gloinone.annotations.region import Region, check_coordinates, has_area, open_ring
from gloinone.errors import AnnotationError
from gloinone.geometry import circle_ring
from gloinone.records import Points

_MEND = "export it again with circle_center and circle_radius, or with polygons"


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

    A circle becomes its polygon of the same area; the pieces of one object have the same id; `iscrowd` is cut.
    Raises AnnotationError for what is not COCO, or has neither circles nor polygons.
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
        rings = _rings(row, where)
        for ring in rings:
            if wrong := check_coordinates(ring, where):
                raise AnnotationError(f"{wrong}; {_MEND}")
        for part, ring in enumerate(filter(has_area, rings)):
            own = str(row.get("id", number))
            regions.append(Region(ring=ring, label=name, id=own, part=part, properties=cut))
    return regions


def same_slide(slide: str, file_name: str) -> bool:
    """Whether an image is the slide, whatever its folder and suffix.

    >>> same_slide("b/a.svs", "export/a.png"), same_slide("b/a.svs", "aa.png")
    (True, False)
    """
    return Path(slide).stem == Path(file_name).stem


def _rings(row: Mapping[str, Any], where: str) -> list[Points]:
    try:
        if "circle_center" in row and "circle_radius" in row:
            (cx, cy), radius = row["circle_center"], float(row["circle_radius"])
            return [circle_ring(float(cx), float(cy), radius)]
        polygons = row["segmentation"]
        if not isinstance(polygons, list):
            raise TypeError("a run-length mask")
        return [open_ring(np.array(polygon, np.float64).reshape(-1, 2)) for polygon in polygons]
    except (KeyError, TypeError, ValueError) as error:
        raise AnnotationError(f"{where}: no circle and no polygons ({error}); {_MEND}") from error


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
