"""A kidney slide made up from a seed, in microns, and drawn at any magnification. No file is touched here."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import shapely

from gloinone.drawn.compose import compose, plant
from gloinone.drawn.config import DrawnGlomerulus, SceneConfig
from gloinone.drawn.layout import tissue_mask
from gloinone.drawn.render import Glass, render
from gloinone.drawn.stains import draw_palette
from gloinone.drawn.strokes import Element
from gloinone.records import Mask, Pixels, Points

__all__ = ["Drawing", "DrawnGlomerulus", "Scene", "SceneConfig", "draw", "make_scene"]

TISSUE_MPP = 8.0


@dataclass(frozen=True)
class Scene:
    """All that lies on the glass, in microns, before it is drawn."""

    config: SceneConfig
    tissue_um: tuple[Points, ...]
    """Outlines of the pieces; in the layout `full` they stick out of the slide."""
    elements: tuple[Element, ...]
    """In the order of painting."""
    glomeruli: tuple[DrawnGlomerulus, ...]
    decoys: tuple[DrawnGlomerulus, ...]

    @cached_property
    def glass(self) -> Glass:
        """Colours and texture."""
        palette = draw_palette(self.config.stain, np.random.default_rng((self.config.seed, 2)))
        return Glass(palette, self.config.seed)

    def tissue(self, mpp: float) -> Mask:
        """(H, W) of the whole slide at `mpp`."""
        return tissue_mask(self.tissue_um, self.config.size_um, mpp)

    @property
    def tissue_mm2(self) -> float:
        """Area inside the outlines, lumens included."""
        slide = shapely.box(0, 0, *self.config.size_um)
        return (
            sum(float(shapely.Polygon(ring).buffer(0).intersection(slide).area) for ring in self.tissue_um)
            / 1e6
        )

    def draw(self, mpp: float, box_px: tuple[int, int, int, int]) -> Pixels:
        """(H, W, 3) the pixels x, y, width, height of the slide whose pixel is `mpp` microns."""
        return render(self.elements, self.tissue_um, self.glass, mpp, box_px)


@dataclass(frozen=True)
class Drawing:
    """A drawn slide and its truth."""

    pixels: Pixels
    mpp: float
    tissue: Mask
    """At `tissue_mpp`."""
    tissue_mpp: float
    tissue_mm2: float
    glomeruli: tuple[DrawnGlomerulus, ...]
    decoys: tuple[DrawnGlomerulus, ...]


def make_scene(config: SceneConfig) -> Scene:
    """Everything on the slide; does not depend on `config.mpp`. UsageError if there is no room for it."""
    rng = np.random.default_rng((config.seed, 1))
    tissue, planted = plant(config, rng)
    elements = compose(config, tissue, planted, rng)
    glomeruli = tuple(thing for thing in planted if not thing.kind)
    decoys = tuple(thing for thing in planted if thing.kind)
    return Scene(config, tuple(tissue), tuple(elements), glomeruli, decoys)


def draw(config: SceneConfig) -> Drawing:
    """Makes up the scene and draws the whole of it at `config.mpp`."""
    scene = make_scene(config)
    pixels = scene.draw(config.mpp, (0, 0, *config.size_px))
    tissue = scene.tissue(TISSUE_MPP)
    return Drawing(pixels, config.mpp, tissue, TISSUE_MPP, scene.tissue_mm2, scene.glomeruli, scene.decoys)
