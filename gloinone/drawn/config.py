"""What a drawn slide is asked to show, and what is known of each thing planted in it."""

from dataclasses import dataclass

from gloinone.drawn.layout import LAYOUTS, Layout
from gloinone.drawn.stains import STAINS, Stain
from gloinone.errors import UsageError
from gloinone.geometry import ring_circle
from gloinone.labels import DISAPPEARING, NORMAL, OBSOLESCENT, SOLIDIFIED
from gloinone.records import Points


@dataclass(frozen=True)
class SceneConfig:
    """What to draw. The same numbers give the same slide, and `mpp` alone may change without moving anything."""

    width_um: float = 3000.0
    height_um: float = 2000.0
    stain: Stain = "pas"
    normal: int = 6
    obsolescent: int = 2
    solidified: int = 2
    disappearing: int = 2
    decoys: int = 6
    """Round things that are no glomeruli, of every kind in turn."""
    layout: Layout = "section"
    seed: int = 0
    mpp: float = 0.5
    scarring: float = 0.2
    """Share of the tissue that is scarred (small tubules far apart), 0..1."""
    levels: int = 1
    """Of the layout core: all cores again, cut so many times through the same glomeruli, one level below the other."""
    torn: bool = False
    """Of the layout core: the first core is in two parts, a gap of 120 um between."""

    def __post_init__(self) -> None:
        if self.stain not in STAINS:
            raise UsageError(f"unknown stain {self.stain!r}; known: {', '.join(STAINS)}")
        if self.layout not in LAYOUTS:
            raise UsageError(f"unknown layout {self.layout!r}; known: {', '.join(LAYOUTS)}")
        if not 0.05 <= self.mpp <= 20:
            raise UsageError(f"mpp {self.mpp} is outside 0.05 to 20 um/px")
        if not (self.width_um >= 100 and self.height_um >= 100):
            raise UsageError(
                f"a slide of {self.width_um:g} x {self.height_um:g} um is too small; 100 x 100 is least"
            )
        if min(self.decoys, *self.counts.values()) < 0:
            raise UsageError("counts of glomeruli and decoys cannot be negative")
        if self.levels < 1 or (self.is_cut and self.layout != "core"):
            raise UsageError(
                f"{self.levels} levels, layout {self.layout}: levels and tears are of the layout core"
            )
        if not 0 <= self.scarring <= 1 or self.seed < 0:
            raise UsageError(
                f"scarring {self.scarring} must lie in 0..1, seed {self.seed} must not be negative"
            )

    @property
    def counts(self) -> dict[str, int]:
        """How many glomeruli of each class."""
        return {
            NORMAL: self.normal,
            OBSOLESCENT: self.obsolescent,
            SOLIDIFIED: self.solidified,
            DISAPPEARING: self.disappearing,
        }

    @property
    def is_cut(self) -> bool:
        """Several levels, or a tear."""
        return self.levels > 1 or self.torn

    @property
    def size_um(self) -> tuple[float, float]:
        """Width and height."""
        return self.width_um, self.height_um

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height of the drawing."""
        return max(1, round(self.width_um / self.mpp)), max(1, round(self.height_um / self.mpp))


@dataclass(frozen=True)
class DrawnGlomerulus:
    """One planted thing and its true outline, microns from the top left corner of the slide."""

    cx_um: float
    """Centre of gravity of the ring."""
    cy_um: float
    ring_um: Points
    """(N, 2), first vertex not repeated."""
    label: str
    """One of labels.CLASSES; decoys are non-glomerular."""
    kind: str = ""
    """Of a decoy: which."""
    core: int = 0
    """Of a slide with levels: which core it lies in, from 1."""
    level: int = 0
    """And at which level of it, from 1."""
    track: int = 0
    """The same number for the same glomerulus at every level, from 1."""

    @property
    def radius_um(self) -> float:
        """Of the circle of the same area."""
        return ring_circle(self.ring_um)[2]

    @property
    def reach_um(self) -> float:
        """Of the circle about the centre that holds the whole ring."""
        return float(((self.ring_um - [self.cx_um, self.cy_um]) ** 2).sum(axis=1).max() ** 0.5)
