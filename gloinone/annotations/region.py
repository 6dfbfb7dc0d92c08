"""One annotated area, and the file full of them, whatever program drew it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from gloinone.geometry import circle_ring, measure_ring
from gloinone.records import Points

RegionShape = Literal["polygon", "rectangle", "ellipse"]
OutputShape = Literal["outline", "ellipse", "polygon"]
"""What stands for a glomerulus in XML and GeoJSON: its outline, or its circle in one of two ways."""
Box = tuple[float, float, float, float]
"""x0, y0, x1, y1."""
Rgb = tuple[int, int, int]

MAX_COORDINATE = 1e8
"""Level-0 px; no slide is that large, so whatever lies beyond is damage."""
DECIMALS = 2
"""Of a coordinate in a file: a hundredth of a level-0 pixel is a few nanometres."""

_GLOMERULUS_ID = re.compile(r"G\d{3,}\b")


@dataclass(frozen=True, eq=False)
class Region:
    """One ring in level-0 px of the uncropped plane.

    A hole is a region of its own with ``is_hole``, as in ImageScope. The parts of one multi-polygon are
    regions with the same id, numbered from 0, one after the other.
    """

    ring: Points
    """(N, 2), first vertex not repeated, N >= 3; an ellipse is its polygon of the same area."""
    label: str = ""
    """Class as the file names it; for our own files one of labels.CLASSES."""
    text: str = ""
    """What the reader sees beside it."""
    id: str = ""
    """G012 where the region is one of our glomeruli, else what the file has."""
    part: int = 0
    """Which of the outer rings of its object it is, or lies in as a hole, from 0."""
    is_hole: bool = False
    shape: RegionShape = "polygon"
    box: Box | None = None
    """Of an ellipse: the box it touches, from which the files write it."""
    measures: Mapping[str, float] = field(default_factory=dict)
    properties: Mapping[str, object] = field(default_factory=dict)
    """Whatever else the file says of it: `cut`, `layer`, own columns of ImageScope, ..."""

    @property
    def has_outline(self) -> bool:
        """Whether its border was drawn; a circle, an ellipse or a box only says where it lies and how large it is."""
        return self.shape == "polygon" and self.properties.get("from") != "box"

    def __post_init__(self) -> None:
        if self.ring.ndim != 2 or self.ring.shape[1] != 2 or len(self.ring) < 3:
            raise ValueError(f"a region is at least three points, got an array of shape {self.ring.shape}")
        if not np.isfinite(self.ring).all():
            raise ValueError("a region with a vertex that is not a number")
        if (self.shape == "ellipse") != (self.box is not None):
            raise ValueError("an ellipse has a box, and nothing else has one")


@dataclass(frozen=True)
class Layer:
    """A named colour with its regions; ImageScope's `Annotation`."""

    id: int
    name: str
    """May be empty; ImageScope then shows "Layer N"."""
    colour: Rgb
    regions: tuple[Region, ...] = ()
    columns: tuple[str, ...] = ()
    """Own columns of the region table, numbered from 1; a region's value stands in its properties."""
    attributes: tuple[tuple[str, str], ...] = (("Description", ""),)
    """Name and value, of the layer itself."""


@dataclass(frozen=True)
class Annotations:
    """A whole annotation file."""

    mpp: float | None
    """Microns per pixel as the file says, None where it does not."""
    layers: tuple[Layer, ...]
    ignored: Mapping[str, int] = field(default_factory=dict)
    """How many of what was no area: arrows, rulers, stray clicks."""

    @property
    def regions(self) -> list[Region]:
        """Of all layers, in their order."""
        return [region for layer in self.layers for region in layer.regions]


def glomerulus_id(text: str) -> str:
    """Id of the glomerulus that a text names first, or nothing.

    >>> glomerulus_id("G012 0.97"), glomerulus_id("Glomerulus")
    ('G012', '')
    """
    match = _GLOMERULUS_ID.match(text)
    return match.group() if match else ""


def open_ring(points: Points) -> Points:
    """Without a repeat of the first vertex at the end."""
    while len(points) > 1 and np.array_equal(points[0], points[-1]):
        points = points[:-1]
    return points


def has_area(points: Points) -> bool:
    """Whether the vertices enclose anything; a stray click or a line does not."""
    return len(points) >= 3 and measure_ring(points - points[0]).area > 0


def ellipse_ring(box: Box) -> Points:
    """Polygon of the same area as the ellipse that touches the box."""
    x0, y0, x1, y1 = box
    semi_axes = np.abs([x1 - x0, y1 - y0]) / 2
    return circle_ring(0, 0, 1) * semi_axes + np.array([x0 + x1, y0 + y1]) / 2


def ellipse_measures(box: Box) -> tuple[float, float]:
    """Area, and length by Ramanujan's second formula, of the ellipse that touches the box.

    >>> ellipse_measures((0., 0., 2., 2.)) == (np.pi, 2 * np.pi)
    True
    """
    x0, y0, x1, y1 = box
    a, b = abs(x1 - x0) / 2, abs(y1 - y0) / 2
    if a + b == 0:
        return 0.0, 0.0
    h = ((a - b) / (a + b)) ** 2
    return float(np.pi * a * b), float(np.pi * (a + b) * (1 + 3 * h / (10 + np.sqrt(4 - 3 * h))))


def is_rectangle(ring: Points) -> bool:
    """Four corners with sides along the axes: a box that was drawn with the tool for it, not an outline.

    >>> is_rectangle(rectangle_ring((0.0, 0.0, 2.0, 1.0))), is_rectangle(np.array([[0, 0], [2, 0], [3, 1], [0, 1.0]]))
    (True, False)
    """
    along = ring == np.roll(ring, -1, axis=0)  # a side keeps x or y, by turns
    return len(ring) == 4 and bool((along.sum(axis=1) == 1).all() and (along[0] == along[2]).all())


def rectangle_ring(box: Box) -> Points:
    """The four corners, clockwise on the screen."""
    x0, y0, x1, y1 = box
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], np.float64)


def check_coordinates(points: Points, where: str) -> str | None:
    """What is wrong with the coordinates of a foreign file, in words, or None."""
    if not np.isfinite(points).all():
        return f"{where}: a coordinate is not a number"
    if len(points) and np.abs(points).max() > MAX_COORDINATE:
        return f"{where}: a coordinate lies beyond {MAX_COORDINATE:.0f} px"
    return None


def solid_regions(regions: Sequence[Region]) -> list[Region]:
    """Without the holes."""
    return [region for region in regions if not region.is_hole]


def without_slips(regions: Sequence[Region], min_share: float = 0.1) -> list[Region]:
    """Without the parts, and their holes, that are smaller than a share of the largest part of the same object.

    A brush leaves such slivers, and none is an object of its own.
    """
    objects: list[list[Region]] = []
    for region in regions:
        if not objects or (region.part == 0 and not region.is_hole):
            objects.append([])
        objects[-1].append(region)
    kept: list[Region] = []
    for parts in objects:
        areas = {region.part: measure_ring(region.ring).area for region in solid_regions(parts)}
        least = min_share * max(areas.values(), default=0.0)
        kept += [region for region in parts if areas.get(region.part, least) >= least]
    return kept
