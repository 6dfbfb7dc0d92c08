"""Where on the glass there is tissue: a mask made from an overview of the slide at 8 to 16 um/px.

Tissue is told by its fine texture, not by its colour: at 8 um/px nuclei, tubules and membranes change from one
pixel to the next in every stain, silver and pale immunostains included, while glass, blank areas, grey and black
bars, ink (which lies out of focus on the other face of the glass) and shadows are smooth. A border between two
smooth areas, a cover-slip line or a speck of dust is textured too, but thin, and what is too thin to hold a
glomerulus goes. No threshold depends on the rest of the picture, so a camera field that is tissue from edge to
edge is found like a biopsy on an empty slide.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from gloinone.records import Mask, Overview, Pixels
from gloinone.slide.reader import Read, Slide

FINEST_UM_PER_PX = 8.0
COARSEST_UM_PER_PX = 16.0
MAX_OVERVIEW_PX = 12_000_000
"""The overview gets coarser above this, so that memory stays bounded: 27 x 27 mm at 8 um/px."""

MIN_TEXTURE = 2.0
"""Grey levels of 0..255. Measured at 8 um/px: tissue of all stains at hand over 3, glass under 1.5."""
REACH_PX = 3
"""Texture is averaged over 2 * 3 + 1 pixels; the zone it reaches beyond the tissue is taken off again."""
MIN_STRAND_UM = 40.0
"""Narrower than this is a line: a cover-slip's edge, a scratch, the step to a blank area."""
MIN_INRADIUS_UM = 36.0
"""A piece whose largest inscribed circle is smaller holds no glomerulus: dust, debris, threads."""
LUMEN_MM2 = 0.02
"""A smooth hole up to this belongs to the tissue: tubules, Bowman's spaces, small vessels."""
DENSE_HOLE_MM2 = 0.2
"""So does a larger one that is no brighter than the tissue around: collagen, a solid glomerulus, a clot."""
STRIP_ROWS = 1024


def tissue_overview(slide: Slide, um_per_px: float | None = None) -> Overview:
    """Read the overview and find the tissue on it; ``um_per_px`` None: as fine as memory allows."""
    info = slide.info
    if um_per_px is None:
        area_um2 = info.um_from_l0(info.width) * info.um_from_l0(info.height)
        um_per_px = float(np.clip(np.sqrt(area_um2 / MAX_OVERVIEW_PX), FINEST_UM_PER_PX, COARSEST_UM_PER_PX))
    read = slide.overview(max(um_per_px, info.mpp))
    return Overview(read.window, read.pixels, find_tissue(read, info.mpp * read.window.downsample))


def tissue_mm2(overview: Overview, mpp: float) -> float:
    """Area of the undilated mask; ``mpp`` of level 0."""
    return float(np.count_nonzero(overview.tissue)) * (overview.window.downsample * mpp / 1000) ** 2


def find_tissue(read: Read, mpp_overview: float) -> Mask:
    """(H, W) mask of tissue on an overview of ``mpp_overview`` um/px; tubules and small vessels are filled.

    A damaged stretch of the overview counts as tissue: its tiles are read if they can be, and missed if they cannot.
    """
    textured = fine_texture(read.pixels) >= MIN_TEXTURE
    textured &= ~_ink(read.pixels)
    filled = _fill_holes(textured, read.pixels, mpp_overview)
    tissue = _erode(filled, REACH_PX)
    tissue &= read.scanned
    tissue = _open(tissue, MIN_STRAND_UM / mpp_overview)
    tissue = _drop_thin_pieces(tissue, MIN_INRADIUS_UM / mpp_overview)
    return tissue if read.unread is None else tissue | read.unread


def fine_texture(pixels: Pixels) -> NDArray[np.float32]:
    """(H, W) root mean square, over 7 x 7 px and the channels, of what a 3 x 3 mean takes away; grey levels."""
    height, width = pixels.shape[:2]
    texture = np.empty((height, width), np.float32)
    halo = REACH_PX + 1
    for top in range(0, height, STRIP_ROWS):
        first, last = max(0, top - halo), min(height, top + STRIP_ROWS + halo)
        strip = pixels[first:last].astype(np.float32)
        detail = strip - cv2.blur(strip, (3, 3), borderType=cv2.BORDER_REFLECT)
        size = 2 * REACH_PX + 1
        energy = cv2.blur((detail * detail).mean(axis=2), (size, size), borderType=cv2.BORDER_REFLECT)
        rows = min(STRIP_ROWS, height - top)
        texture[top : top + rows] = np.sqrt(energy[top - first : top - first + rows])
    return texture


def _ink(pixels: Pixels) -> Mask:
    return np.zeros(pixels.shape[:2], np.bool_)


def _fill_holes(textured: Mask, pixels: Pixels, mpp_overview: float) -> Mask:
    """Close lumens, and dense smooth areas that tissue surrounds; holes at the border stay open."""
    if not textured.any():
        return textured
    count, pieces, stats, _ = cv2.connectedComponentsWithStats((~textured).view(np.uint8), connectivity=4)
    height, width = textured.shape
    left, top = stats[:, cv2.CC_STAT_LEFT], stats[:, cv2.CC_STAT_TOP]
    right, bottom = left + stats[:, cv2.CC_STAT_WIDTH], top + stats[:, cv2.CC_STAT_HEIGHT]
    area_mm2 = stats[:, cv2.CC_STAT_AREA] * (mpp_overview / 1000) ** 2
    enclosed = (left > 0) & (top > 0) & (right < width) & (bottom < height)
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    brightness = np.bincount(pieces.ravel(), grey.ravel(), count) / np.maximum(stats[:, cv2.CC_STAT_AREA], 1)
    dense = brightness <= np.median(grey[textured])
    fill = (area_mm2 <= LUMEN_MM2) | (enclosed & dense & (area_mm2 <= DENSE_HOLE_MM2))
    fill[0] = False
    return np.asarray(textured | fill[pieces], np.bool_)


def _disc(radius_px: float) -> NDArray[np.uint8]:
    reach = int(np.floor(radius_px))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    return np.asarray(x * x + y * y <= radius_px * radius_px + 0.5, np.uint8)


def _erode(mask: Mask, reach_px: int) -> Mask:
    """The image's border does not count as an edge: tissue goes on beyond it."""
    kernel = np.ones((2 * reach_px + 1, 2 * reach_px + 1), np.uint8)
    eroded = cv2.erode(mask.view(np.uint8), kernel, borderType=cv2.BORDER_CONSTANT, borderValue=1)
    return np.asarray(eroded, np.bool_)


def _open(mask: Mask, width_px: float) -> Mask:
    kernel = _disc(max(1.0, width_px / 2))
    reach = kernel.shape[0] // 2
    padded = np.pad(mask, reach, mode="edge").view(np.uint8)
    opened = np.asarray(cv2.morphologyEx(padded, cv2.MORPH_OPEN, kernel), np.bool_)
    return opened[reach : reach + mask.shape[0], reach : reach + mask.shape[1]]


def _drop_thin_pieces(tissue: Mask, min_inradius_px: float) -> Mask:
    """Keep connected pieces in which a circle of this radius has room."""
    tissue = np.ascontiguousarray(tissue)
    if not tissue.any():
        return tissue
    count, pieces = cv2.connectedComponents(tissue.view(np.uint8), connectivity=8)
    depth = cv2.distanceTransform(tissue.view(np.uint8), cv2.DIST_L2, 5)
    keep = np.zeros(count, np.bool_)
    keep[np.asarray(pieces, np.intp)[depth >= min_inradius_px]] = True
    keep[0] = False
    return np.asarray(keep[pieces], np.bool_)


def dilate_um(mask: Mask, reach_um: float, mpp_overview: float) -> Mask:
    """The mask and all within ``reach_um`` of it."""
    if not mask.any():
        return mask
    distance = cv2.distanceTransform((~mask).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(distance * mpp_overview <= reach_um, np.bool_)
