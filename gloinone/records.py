"""The values that stages hand to each other. Frozen, checked once at birth, in level-0 pixels unless named.

The home frame is OpenSlide level-0 pixels of the uncropped plane: x right, y down, continuous, so that the
first pixel covers 0..1 and its centre is 0.5.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gloinone.doubts import Doubts
from gloinone.labels import CLASSES, NONGLOMERULAR, ClassRule

Points = NDArray[np.float64]
"""(N, 2) x, y."""
Pixels = NDArray[np.uint8]
"""(H, W, 3) RGB."""
Mask = NDArray[np.bool_]
"""(H, W)."""
PieceMap = NDArray[np.uint16]
"""(H, W) number of the piece that a pixel of tissue belongs to; 0 beside tissue and in crumbs of it."""

MppSource = Literal["csv", "file", "option"]
Status = Literal["done", "partial", "failed", "skipped"]
RowStatus = Status | Literal["pending"]
"""Of a row in summary.csv: a slide that is listed may have none of its own yet."""
OutlineSource = Literal["mask", "circle"]


@dataclass(frozen=True)
class Origin:
    """What the user says a slide is of; empty where nothing is said."""

    patient: str = ""
    stain: str = ""


UNSAID = Origin()


@dataclass(frozen=True)
class SlideInfo:
    """What is known of a slide before its pixels are read."""

    name: str
    """Path relative to the input folder, with forward slashes; the key of every table."""
    width: int
    """Level-0 px."""
    height: int
    """Level-0 px."""
    mpp: float
    """Microns per level-0 pixel: the geometric mean of x and y, so that areas are exact."""
    mpp_source: MppSource
    vendor: str
    level_downsamples: tuple[float, ...] = (1.0,)
    bounds: tuple[int, int, int, int] | None = None
    """x, y, width, height in level-0 px of what was scanned, where the file says so (openslide.bounds-*)."""

    def __post_init__(self) -> None:
        if self.width <= 0 or self.height <= 0:
            raise ValueError(f"{self.name}: empty slide {self.width} x {self.height}")
        if not 0.05 <= self.mpp <= 20:
            raise ValueError(f"{self.name}: mpp {self.mpp} outside 0.05 to 20")

    def l0_from_um(self, microns: float) -> float:
        """Length in level-0 px."""
        return microns / self.mpp

    def um_from_l0(self, pixels: float) -> float:
        """Length in microns."""
        return pixels * self.mpp


@dataclass(frozen=True)
class Window:
    """A rectangle of the slide read into an image of a fixed size; converts between the two frames."""

    x: float
    """Left, level-0 px; may lie outside the slide, where the image is padded by reflection."""
    y: float
    """Top, level-0 px."""
    width: float
    """Level-0 px."""
    height: float
    """Level-0 px."""
    width_px: int
    """Of the image."""
    height_px: int
    """Of the image."""

    def __post_init__(self) -> None:
        if min(self.width, self.height, self.width_px, self.height_px) <= 0:
            raise ValueError(f"empty window {self}")

    @property
    def downsample(self) -> float:
        """Level-0 px per image px (geometric mean of x and y, which differ by rounding only)."""
        return float(np.sqrt(self.width / self.width_px * self.height / self.height_px))

    def l0_from_image(self, points: Points) -> Points:
        """(N, 2) image px -> level-0 px, both continuous."""
        scale = np.array([self.width / self.width_px, self.height / self.height_px])
        moved: Points = np.asarray(points, np.float64) * scale + np.array([self.x, self.y])
        return moved

    def image_from_l0(self, points: Points) -> Points:
        """(N, 2) level-0 px -> image px, both continuous."""
        scale = np.array([self.width_px / self.width, self.height_px / self.height])
        moved: Points = (np.asarray(points, np.float64) - np.array([self.x, self.y])) * scale
        return moved


@dataclass(frozen=True)
class Detection:
    """One circle proposed by the detector."""

    cx: float
    cy: float
    radius: float
    score: float
    """0..1; `det_score` in the tables. Of several detectors or views the mean of those that found it."""
    votes: int = 1
    """How many detectors or views found it."""

    def __post_init__(self) -> None:
        if not (self.radius > 0 and 0 <= self.score <= 1 and self.votes >= 1):
            raise ValueError(f"not a detection: {self}")


@dataclass(frozen=True)
class Crop:
    """One circle's surroundings as the classifier sees them, and the segmenter, if the glomerulus fits in."""

    window: Window
    pixels: Pixels
    scanned: Mask | None = None
    """False where the scanner recorded nothing (alpha 0); None: recorded everywhere."""


@dataclass(frozen=True)
class Candidate:
    """A detected circle after the classifier: one row of circles.csv."""

    detection: Detection
    probabilities: tuple[float, float, float, float, float]
    """In the order of labels.CLASSES."""
    score: float
    """0..1, what is ranked by and cut at the threshold."""
    label: str
    """One of labels.CLASSES."""
    window: Window
    """Of its crop."""

    def __post_init__(self) -> None:
        if self.label not in CLASSES:
            raise ValueError(f"unknown class {self.label!r}")


@dataclass(frozen=True)
class Outline:
    """The border of one glomerulus."""

    ring: Points
    """(N, 2) level-0 px, first vertex not repeated, at least three."""
    source: OutlineSource
    """`circle` where the segmenter left nothing and the detector's circle stands in."""
    flagged: bool
    """Over 5 % of the mask was dropped or filled to get one ring, it meets the crop's border, or nothing was left."""
    mask: Mask
    """Frame and size of the crop; what the ring encloses."""
    window: Window
    """Of that crop: the candidate's, or a larger one where the glomerulus reached over it."""


@dataclass(frozen=True)
class Glomerulus:
    """A candidate that is kept: one row of glomeruli.csv, one region in XML and GeoJSON."""

    number: int
    """From 1 in reading order, the same in every file."""
    candidate: Candidate
    outline: Outline
    crop: Pixels | None
    """None where the picture was not kept, which happens to what is read back only."""
    area_um2: float
    perimeter_um: float
    diameter_um: float
    """Of the circle of the same area."""
    circularity: float
    """4 pi area / perimeter^2; 1 for a circle."""
    at_edge: bool
    """Touches the border of the slide, of what was scanned or of its piece of tissue."""
    piece: int | None = None
    """Number of the piece of tissue it lies on; None on crumbs of tissue."""
    track: int | None = None
    """The same for the same glomerulus at every level of a core, from 1; None where nobody looked."""
    doubts: Doubts = field(default_factory=Doubts)

    @property
    def id(self) -> str:
        """G001 and on; more digits from a thousand."""
        return f"G{self.number:03d}"

    @property
    def label(self) -> str:
        """One of labels.CLASSES."""
        return self.candidate.label


@dataclass(frozen=True)
class Overview:
    """The slide at 8 to 16 um/px: the tissue mask is made from it and overlays are drawn on it."""

    window: Window
    """The whole slide."""
    pixels: Pixels
    tissue: Mask
    """Tissue, undilated."""
    unread: Mask | None = None
    """True where the file is damaged; counted as tissue, since it may be. None: all was read."""
    gain: float = 1.0
    """What the networks see the slide's pixels multiplied by; over 1 where its white is dark."""


@dataclass(frozen=True)
class Piece:
    """Tissue that lies apart from other tissue: a section, or one level of a core."""

    number: int
    """From 1 in reading order."""
    x: float
    """Left of its box, level-0 px."""
    y: float
    """Top of its box, level-0 px."""
    width: float
    """Level-0 px."""
    height: float
    """Level-0 px."""
    tissue_mm2: float
    core: int | None = None
    """Number of the core that it is a level of, from 1; None on a slide of too many pieces to say."""
    level: int | None = None
    """Which, from 1, in reading order."""


@dataclass(frozen=True)
class SlideResult:
    """All that is known of one slide after the job; every output file is made from this."""

    info: SlideInfo
    overview: Overview
    tissue_mm2: float
    tissue_read_fraction: float
    """Share of the tissue area that could be read, 0..1; 1 without tissue."""
    candidates: tuple[Candidate, ...]
    """As far down as the detector goes, in reading order."""
    glomeruli: tuple[Glomerulus, ...]
    notes: tuple[str, ...] = ()
    """What a reader should know, a sentence each: unread tiles and where, a flagged frame, ..."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Wall time per step; goes to the log and state only."""
    unread: tuple[tuple[float, float, float, float], ...] = ()
    """x0, y0, x1, y1 in level-0 px of what could not be read; the overlay hatches it."""
    subtype_validated: bool = False
    """Whether the classifier's card says that pathologists validated the kinds of sclerosis."""
    voters: int = 1
    """Detectors, each as often as it has views, that had a vote on every circle."""
    picture: Crop | None = None
    """The whole slide, finer, where the overview is too small to look at (a biopsy, a camera field)."""
    pieces: tuple[Piece, ...] = ()
    """By number."""
    origin: Origin = UNSAID
    piece_map: PieceMap | None = None
    """In the overview's frame; None: nobody looked for pieces."""
    doubts: Doubts = field(default_factory=Doubts)
    """Of the slide as a whole."""
    rule: ClassRule = field(default_factory=ClassRule)
    """By which the candidates have their classes."""

    @property
    def status(self) -> Status:
        """`partial` when tissue could not be read."""
        return "done" if self.tissue_read_fraction >= 1 else "partial"

    def count(self, label: str) -> int:
        """Glomeruli of one class."""
        return sum(g.label == label for g in self.glomeruli)

    @property
    def n_glomeruli(self) -> int:
        """Without the non-glomerular, which are kept only on request."""
        return sum(g.label != NONGLOMERULAR for g in self.glomeruli)
