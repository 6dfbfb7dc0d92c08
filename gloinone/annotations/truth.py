"""Truth for training and evaluation, whatever program wrote it: one file a slide, found by the slide's name."""

from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from gloinone.annotations.geojson import read_geojson
from gloinone.annotations.imagescope import read_imagescope
from gloinone.annotations.region import Region
from gloinone.errors import AnnotationError
from gloinone.geometry import circle_ring, ring_circle
from gloinone.labels import CLASSES, GLOMERULUS, NONGLOMERULAR, SCLEROSED

IGNORE = "ignore"
KNOWN = (*CLASSES, SCLEROSED, GLOMERULUS, IGNORE)
SUFFIXES = (".geojson", ".geojson.gz", ".truth.geojson", ".xml", ".png")
BORDER_PX = 1.5
"""A mask's piece that comes this close to the border is cut by it."""


@dataclass(frozen=True)
class Truth:
    """What is known of one slide, level-0 px."""

    glomeruli: tuple[Region, ...]
    """Whole ones, labelled by one of the classes, `sclerosed` or `glomerulus`."""
    ignored: tuple[Region, ...]
    """Cut, or marked to be ignored: neither truth nor background."""
    others: tuple[Region, ...] = ()
    """Marked as no glomerulus: background that is worth showing to a classifier."""

    def circles(self) -> NDArray[np.float64]:
        """(N, 3) cx, cy, radius of the circles of the same area."""
        return _circles(self.glomeruli)

    def ignored_circles(self) -> NDArray[np.float64]:
        """(M, 3) likewise."""
        return _circles(self.ignored)

    def ignoring(self, circles: NDArray[np.float64]) -> "Truth":
        """The same with (K, 3) more circles to ignore."""
        rings = [circle_ring(float(cx), float(cy), float(r)) for cx, cy, r in circles]
        return replace(self, ignored=(*self.ignored, *(Region(ring, label=IGNORE) for ring in rings)))


def _circles(regions: tuple[Region, ...]) -> NDArray[np.float64]:
    return np.array([ring_circle(r.ring) for r in regions], np.float64).reshape(-1, 3)


def find_truth(slide_name: str, folder: Path) -> Path:
    """The truth file of a slide: the same relative path or file name with another suffix."""
    relative = Path(slide_name)
    for stem in (relative.with_suffix(""), relative, Path(relative.name).with_suffix("")):
        for suffix in SUFFIXES:
            path = folder / f"{stem}{suffix}"
            if path.is_file():
                return path
    raise AnnotationError(
        f"{slide_name}: no truth in {folder}; expected {relative.stem} with one of {', '.join(SUFFIXES)}"
    )


def read_truth(path: Path) -> Truth:
    """Read one truth file; an unknown class name is an error that lists the names in the file."""
    if path.suffix == ".png":
        regions = _regions_of_mask(path)
    elif path.suffix == ".xml":
        regions = list(read_imagescope(path).regions)
    else:
        regions = list(read_geojson(path))
    unknown = sorted({r.label for r in regions} - set(KNOWN))
    if unknown:
        raise AnnotationError(
            f"{path}: unknown class names {', '.join(map(repr, unknown))}; known: {', '.join(KNOWN)}; rename the layers"
        )
    whole = [r for r in regions if not r.is_hole and r.label != NONGLOMERULAR]
    cut = [r.label == IGNORE or bool(r.properties.get("cut")) for r in whole]
    return Truth(
        tuple(r for r, c in zip(whole, cut, strict=True) if not c),
        tuple(r for r, c in zip(whole, cut, strict=True) if c),
        tuple(r for r in regions if not r.is_hole and r.label == NONGLOMERULAR),
    )


def _regions_of_mask(path: Path) -> list[Region]:
    """Each connected piece of a mask is one glomerulus; pieces at the border are cut."""
    mask = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_GRAYSCALE)
    if mask is None:
        raise AnnotationError(f"{path}: not a readable mask; write it as an 8-bit or 1-bit PNG")
    height, width = mask.shape
    contours, _ = cv2.findContours((mask > 0).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    regions = []
    for contour in contours:
        ring = contour[:, 0].astype(np.float64) + 0.5
        if len(ring) < 3 or cv2.contourArea(contour) < 16:
            continue
        low, high = ring.min(axis=0), ring.max(axis=0)
        at_border = bool(
            (low < BORDER_PX).any() or high[0] > width - BORDER_PX or high[1] > height - BORDER_PX
        )
        regions.append(Region(ring=ring, label=GLOMERULUS, properties={"cut": at_border}))
    return regions
