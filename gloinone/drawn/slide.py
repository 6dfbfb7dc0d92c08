"""One call that makes a slide file and the truth beside it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gloinone.annotations.geojson_write import regions_geojson
from gloinone.annotations.region import Region
from gloinone.drawn.config import DrawnGlomerulus, SceneConfig
from gloinone.drawn.scene import draw
from gloinone.drawn.write import write_svs, write_tiff
from gloinone.errors import OutputError, UsageError
from gloinone.geometry import ring_circle
from gloinone.records import Mask, Points

_OBJECTIVE_MPP = 10.0
"""Magnification times microns per pixel of the usual scanners: 20 x 0.5, 40 x 0.25."""


@dataclass(frozen=True)
class PlantedThing:
    """A glomerulus or a decoy, level-0 px."""

    ring: Points
    """(N, 2), first vertex not repeated."""
    label: str
    """One of labels.CLASSES."""
    kind: str = ""
    """Of a decoy: which."""
    core: int = 0
    """Of a slide with levels: which core it lies in, from 1."""
    level: int = 0
    """And at which level of it, from 1."""
    track: int = 0
    """The same number for the same glomerulus at every level, from 1."""

    @property
    def circle(self) -> tuple[float, float, float]:
        """cx, cy, radius of the circle of the same area."""
        return ring_circle(self.ring)


@dataclass(frozen=True)
class Truth:
    """All that is known of a drawn slide, level-0 px."""

    path: Path
    """Of the slide."""
    truth_path: Path
    """Of the GeoJSON beside it."""
    width: int
    height: int
    mpp: float
    glomeruli: tuple[PlantedThing, ...]
    decoys: tuple[PlantedThing, ...]
    tissue: Mask
    """At `tissue_mpp`, whole slide."""
    tissue_mpp: float
    tissue_mm2: float

    @property
    def circles(self) -> NDArray[np.float64]:
        """(N, 3) cx, cy, radius of the glomeruli."""
        return np.array([thing.circle for thing in self.glomeruli], np.float64).reshape(-1, 3)

    @property
    def labels(self) -> tuple[str, ...]:
        """Class of each glomerulus."""
        return tuple(thing.label for thing in self.glomeruli)

    @property
    def rings(self) -> tuple[Points, ...]:
        """Outline of each glomerulus."""
        return tuple(thing.ring for thing in self.glomeruli)


def draw_slide(path: Path, config: SceneConfig) -> Truth:
    """Draws `config` into `path` (.tif, .tiff or .svs) and writes `<stem>.truth.geojson` beside it.

    UsageError for another suffix or a scene that does not fit, OutputError for a place that cannot be written.
    """
    suffix = path.suffix.lower()
    if suffix not in (".tif", ".tiff", ".svs"):
        raise UsageError(f"{path.name}: a slide is drawn as .tif or .svs")
    drawing = draw(config)
    truth_path = path.with_name(f"{path.stem}.truth.geojson")
    glomeruli = tuple(_in_pixels(thing, config.mpp) for thing in drawing.glomeruli)
    decoys = tuple(_in_pixels(thing, config.mpp) for thing in drawing.decoys)
    try:
        if suffix == ".svs":
            write_svs(path, drawing.pixels, config.mpp, _OBJECTIVE_MPP / config.mpp)
        else:
            write_tiff(path, drawing.pixels, config.mpp)
        truth_path.write_bytes(truth_geojson((*glomeruli, *decoys), path.name))
    except OSError as error:
        raise OutputError(f"{path}: {error.strerror or error}; draw the slide where you may write") from error
    width, height = config.size_px
    return Truth(
        path=path,
        truth_path=truth_path,
        width=width,
        height=height,
        mpp=config.mpp,
        glomeruli=glomeruli,
        decoys=decoys,
        tissue=drawing.tissue,
        tissue_mpp=drawing.tissue_mpp,
        tissue_mm2=drawing.tissue_mm2,
    )


def truth_geojson(things: tuple[PlantedThing, ...], slide_name: str) -> bytes:
    """FeatureCollection for QuPath; decoys are there too, as non-glomerular."""
    regions = [
        Region(
            thing.ring,
            thing.label,
            id=f"T{number:03d}",
            properties={"decoy": thing.kind} if thing.kind else {},
        )
        for number, thing in enumerate(things, start=1)
    ]
    return regions_geojson(regions, slide_name)


def _in_pixels(thing: DrawnGlomerulus, mpp: float) -> PlantedThing:
    return PlantedThing(
        thing.ring_um / mpp, thing.label, thing.kind, core=thing.core, level=thing.level, track=thing.track
    )
