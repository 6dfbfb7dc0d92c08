"""Patches for training, read from slides with truth: each glomerulus, what is marked as none, and background."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gloinone.annotations.region import Region
from gloinone.annotations.truth import Truth
from gloinone.geometry import circle_iou, ring_circle, ring_mask
from gloinone.labels import NONGLOMERULAR
from gloinone.learning.patches import PATCH_PX, SPREAD, UNKNOWN, Patches
from gloinone.records import Overview, Points, Window
from gloinone.slide.crops import CONTEXT_UM, crop_window
from gloinone.slide.light import lit
from gloinone.slide.reader import Slide

BACKGROUND_RADII_UM = (45.0, 120.0)
"""Of circles drawn where no glomerulus is, on slides that have none to take a size from."""


@dataclass(frozen=True)
class SlideOrigin:
    """How a slide's patches are named."""

    slide: str
    group: str
    """Patient."""
    source: str


@dataclass(frozen=True)
class Place:
    """A circle on a slide, what it is, and its outline if it is a glomerulus."""

    circle: NDArray[np.float64]
    """(3,) cx, cy, radius; level-0 px."""
    label: str
    ring: Points | None = None


def truth_places(truth: Truth) -> list[Place]:
    """Whole glomeruli, and what is marked as none."""

    def circle(region: Region) -> NDArray[np.float64]:
        return np.array(ring_circle(region.ring))

    def outline(region: Region) -> Points | None:
        return region.ring if region.has_outline else None

    known = [Place(circle(r), r.label, outline(r)) for r in truth.glomeruli]
    return known + [Place(circle(r), NONGLOMERULAR) for r in truth.others]


def background_places(
    slide: Slide, overview: Overview, truth: Truth, count: int, rng: np.random.Generator
) -> list[Place]:
    """Circles on tissue, as large as this slide's glomeruli, that touch none of them, cut ones included.

    They lie where the truth is complete.
    """
    rows, columns = np.nonzero(overview.tissue)
    if not len(rows):
        return []
    taken = np.concatenate([truth.circles(), truth.ignored_circles()])
    low, high = np.log(BACKGROUND_RADII_UM)
    um = np.exp(rng.uniform(low, high, 16))
    radii = truth.circles()[:, 2] if len(truth.glomeruli) else slide.info.l0_from_um(1.0) * um
    places: list[Place] = []
    for _ in range(count * 20):  # on slides full of glomeruli most tries fail
        if len(places) == count:
            break
        i = rng.integers(len(rows))
        at = overview.window.l0_from_image(np.array([[columns[i], rows[i]]]) + rng.random((1, 2)))[0]
        radius = float(rng.choice(radii) * np.exp(rng.uniform(-0.35, 0.35)))
        gap = np.hypot(*(taken[:, :2] - at).T) - taken[:, 2]
        reach = radius + slide.info.l0_from_um(CONTEXT_UM)
        # Mirrored borders must not become the mark of what is no glomerulus
        within = min(*at, slide.info.width - at[0], slide.info.height - at[1]) >= reach
        known = truth.is_complete_at(at[None])[0]
        if known and within and not (gap < 0.8 * radius).any():
            places.append(Place(np.array([*at, radius]), NONGLOMERULAR))
    return places


def false_places(circles: NDArray[np.float64], truth: Truth, per_glomerulus: float = 2.0) -> list[Place]:
    """A detector's circles (N, 4: cx, cy, radius, score) that touch no glomerulus where all are known, best first."""
    taken = np.concatenate([truth.circles(), truth.ignored_circles()])
    circles = circles[truth.is_complete_at(circles)]
    free = circles[circle_iou(circles, taken).max(axis=1, initial=0) < 0.02]
    free = free[np.argsort(-free[:, 3], kind="stable")]
    most = int(np.ceil(per_glomerulus * max(4, len(truth.glomeruli))))
    return [Place(circle[:3], NONGLOMERULAR) for circle in free[:most]]


def read_patches(slide: Slide, places: Sequence[Place], origin: SlideOrigin, gain: float = 1.0) -> Patches:
    """One patch each, its pixels times ``gain``; other glomeruli in it are background of the one that is meant."""
    count = len(places)
    pixels = np.empty((count, PATCH_PX, PATCH_PX, 3), np.uint8)
    masks = np.zeros((count, PATCH_PX, PATCH_PX), np.uint8)
    radius = np.empty(count)
    context = slide.info.l0_from_um(CONTEXT_UM)
    for i, place in enumerate(places):
        cx, cy, r = (float(v) for v in place.circle)
        crop = crop_window(cx, cy, r, slide.info.mpp)
        edge = crop.width * SPREAD
        window = Window(cx - edge / 2, cy - edge / 2, edge, edge, PATCH_PX, PATCH_PX)
        read = slide.read_window(window.x, window.y, edge, edge, PATCH_PX, PATCH_PX)
        pixels[i] = lit(read.pixels, gain)
        radius[i] = r / (r + context) * (PATCH_PX / SPREAD / 2)
        if place.ring is not None:
            masks[i] = ring_mask(read.window.image_from_l0(place.ring), PATCH_PX, PATCH_PX)
            masks[i][~read.scanned] = UNKNOWN
    return Patches(
        pixels,
        masks,
        radius,
        tuple(place.label for place in places),
        (origin.group,) * count,
        (origin.slide,) * count,
        (origin.source,) * count,
    )
