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

from gloinone.records import Mask, Overview, Pixels, SlideInfo
from gloinone.slide.light import gain_of
from gloinone.slide.sampling import Read, Slide

FINEST_UM_PER_PX = 8.0
COARSEST_UM_PER_PX = 16.0
MAX_OVERVIEW_PX = 12_000_000
"""The overview gets coarser above this, so that memory stays bounded: 27 x 27 mm at 8 um/px."""

MIN_TEXTURE = 2.0
"""Grey levels of 0..255. Measured at 8 um/px: tissue of all stains at hand over 3, glass under 1.5."""
MIN_PALE_TEXTURE, MIN_STAIN = 1.0, 10
"""Grey levels: less texture will do where there is pink or purple stain, so that faded slides are found."""
GLASS_TINT = 6
REACH_PX = 3
"""Texture is averaged over 2 * 3 + 1 pixels; the zone it reaches beyond the tissue is taken off again."""
MIN_WIDTH_UM = 88.0
"""Narrower than this holds no glomerulus: a cover-slip's edge, a scratch, a thread, the step to a blank area."""
MIN_DETAIL, MIN_DETAILED_SHARE = 1.5, 0.3
"""Grey levels, and the share of a piece's inner pixels that differ by them from their neighbours; tissue: over half."""
LUMEN_MM2 = 0.02
"""A smooth hole up to this belongs to the tissue: tubules, Bowman's spaces, small vessels."""
DENSE_HOLE_MM2 = 0.2
"""So does a larger one that is no brighter than the tissue around: collagen, a solid glomerulus, a clot."""
INK_GREEN, INK_RED, INK_BLUE = 40, 110, 125
"""How far the colour's channel leads (blue: over red alone). Tissue at hand, trichrome too: up to 6, 90, 113."""
INK_TEXTURE = 10.0
"""Tissue under ink keeps more texture than this."""
INK_BLACK, INK_BLACK_TEXTURE = 0.2, 0.04
"""Of the picture's white; silver-stained tissue as dark as this has more texture."""
MIN_PEN_UM = 100.0
FOLD_DENSITY = 1.7
"""Of the optical density of the tissue in the middle; two layers: 2."""
MIN_FOLD_UM = 400.0
"""Longer than a glomerulus: sclerosed ones, casts and silver-stained spots are as dark."""
STRIP_ROWS = 1024
"""Texture is worked out in strips, which bounds memory."""


def tissue_overview(slide: Slide, um_per_px: float | None = None) -> Overview:
    """Read the overview and find the tissue on it; ``um_per_px`` None: the usual resolution."""
    info = slide.info
    read = slide.overview(overview_um_per_px(info) if um_per_px is None else max(um_per_px, info.mpp))
    tissue = find_tissue(read, info.mpp * read.window.downsample)
    return Overview(read.window, read.pixels, tissue, read.unread, gain_of(read))


def overview_um_per_px(info: SlideInfo) -> float:
    """As fine as memory allows, and never finer than the slide."""
    area_um2 = info.um_from_l0(info.width) * info.um_from_l0(info.height)
    usual = float(np.clip(np.sqrt(area_um2 / MAX_OVERVIEW_PX), FINEST_UM_PER_PX, COARSEST_UM_PER_PX))
    return max(usual, info.mpp)


def tissue_mm2(overview: Overview, mpp: float) -> float:
    """Area of the undilated mask; ``mpp`` of level 0."""
    return float(np.count_nonzero(overview.tissue)) * (overview.window.downsample * mpp / 1000) ** 2


def find_tissue(read: Read, mpp_overview: float) -> Mask:
    """(H, W) mask of tissue on an overview of ``mpp_overview`` um/px; tubules and small vessels are filled.

    A damaged stretch of the overview counts as tissue: its tiles are read if they can be, and missed if they cannot.
    """
    energy = detail_energy(read.pixels)
    texture = local_texture(energy)
    mean = _local_mean(read.pixels)
    textured = (texture >= MIN_TEXTURE) | ((texture >= MIN_PALE_TEXTURE) & (_stain(mean) >= MIN_STAIN))
    textured &= ~_ink(mean, texture, mpp_overview)
    if not textured.any():
        return textured if read.unread is None else read.unread.copy()
    grey = cv2.cvtColor(read.pixels, cv2.COLOR_RGB2GRAY)
    middle = float(np.median(grey[textured]))
    lumens = _holes(textured, LUMEN_MM2, mpp_overview, grey > middle)
    tissue = _erode(textured | lumens, REACH_PX) & read.scanned
    tissue = _open(tissue, MIN_WIDTH_UM / mpp_overview)
    tissue |= _holes(tissue, DENSE_HOLE_MM2, mpp_overview, grey <= middle) & read.scanned
    tissue |= _holes(tissue, LUMEN_MM2, mpp_overview, None) & read.scanned
    tissue = _drop_smooth_pieces(tissue, energy)
    return tissue if read.unread is None else tissue | read.unread


def detail_energy(pixels: Pixels) -> NDArray[np.float32]:
    """(H, W) mean square over the channels of what a 3 x 3 mean takes away; grey levels squared."""
    height, width = pixels.shape[:2]
    energy = np.empty((height, width), np.float32)
    for top in range(0, height, STRIP_ROWS):
        first, last = max(0, top - 1), min(height, top + STRIP_ROWS + 1)
        strip = pixels[first:last].astype(np.float32)
        strip -= cv2.blur(strip, (3, 3), borderType=cv2.BORDER_REFLECT)
        rows = min(STRIP_ROWS, height - top)
        energy[top : top + rows] = (strip * strip).mean(axis=2)[top - first : top - first + rows]
    return energy


def local_texture(energy: NDArray[np.float32]) -> NDArray[np.float32]:
    """(H, W) root of the mean energy within ``REACH_PX``; grey levels."""
    size = 2 * REACH_PX + 1
    return np.sqrt(np.asarray(cv2.blur(energy, (size, size), borderType=cv2.BORDER_REFLECT), np.float32))


def _local_mean(pixels: Pixels) -> Pixels:
    size = 2 * REACH_PX + 1
    return np.asarray(cv2.blur(pixels, (size, size), borderType=cv2.BORDER_REFLECT), np.uint8)


def _stain(mean: Pixels) -> NDArray[np.int16]:
    """(H, W) how far green stays behind red and blue, more than it does where the picture is brightest.

    The brightest may be pale tissue itself; what is more than a tint of the glass is not taken off.
    """
    red, green, blue = (mean[..., channel].astype(np.int16) for channel in range(3))
    tint = np.minimum(red, blue) - green
    bright = green >= 0.97 * np.percentile(green, 99)
    return np.asarray(tint - np.int16(min(GLASS_TINT, np.median(tint[bright]))), np.int16)


def find_ink(pixels: Pixels, mpp_overview: float) -> Mask:
    """(H, W) strokes of a pen on an overview; they are no tissue."""
    return _ink(_local_mean(pixels), local_texture(detail_energy(pixels)), mpp_overview)


def find_folds(overview: Overview, mpp_overview: float) -> Mask:
    """(H, W) tissue that lies over tissue: nearly twice as dense as usual, on pieces longer than a glomerulus."""
    if not overview.tissue.any():
        return overview.tissue
    mean = _local_mean(overview.pixels).astype(np.float32) + 1
    density = -np.log(np.minimum(mean / np.percentile(mean, 99, axis=(0, 1)), 1)).mean(axis=2)
    dense = overview.tissue & (density >= FOLD_DENSITY * np.median(density[overview.tissue]))
    _, pieces, stats, _ = cv2.connectedComponentsWithStats(dense.view(np.uint8))
    extent_px = stats[:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]].max(axis=1)
    long = extent_px * mpp_overview >= MIN_FOLD_UM
    long[0] = False
    return np.asarray(long[pieces], np.bool_)


def _ink(mean: Pixels, texture: NDArray[np.float32], mpp_overview: float) -> Mask:
    """Strokes of a pen: of a colour that no stain has, or black; smooth; and as broad as a pen's tip."""
    red, green, blue = (mean[..., channel].astype(np.int16) for channel in range(3))
    strongest = np.maximum(np.maximum(red, green), blue)
    white = float(np.percentile(strongest, 99))
    coloured = green - np.maximum(red, blue) >= INK_GREEN
    coloured |= red - np.maximum(green, blue) >= INK_RED
    coloured |= blue - red >= INK_BLUE
    black = (strongest < INK_BLACK * white) & (texture < INK_BLACK_TEXTURE * white)
    ink = (coloured & (texture < INK_TEXTURE)) | black
    strokes = _open(ink, MIN_PEN_UM / mpp_overview)
    reach = _disc(2 * REACH_PX)  # the blurred border of a stroke is textured, and half of it is no longer ink
    return np.asarray(cv2.dilate(strokes.astype(np.uint8), reach), np.bool_)


def _holes(mask: Mask, max_mm2: float, mpp_overview: float, among: Mask | None) -> Mask:
    """Pieces of what is not in the mask up to that size; of those with ``among``, the ones mostly in it.

    Pieces that touch the image's border count where they are small: the hole goes on, but not for long.
    """
    count, pieces, stats, _ = cv2.connectedComponentsWithStats((~mask).view(np.uint8), connectivity=4)
    area = np.maximum(stats[:, cv2.CC_STAT_AREA], 1)
    fill = area * (mpp_overview / 1000) ** 2 <= max_mm2
    if among is not None:
        fill &= np.bincount(pieces.ravel(), among.ravel(), count) / area > 0.5
    fill[0] = False
    return np.asarray(fill[pieces], np.bool_)


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
    """What is at least that wide, and of the rest what lies half that near to it: the frayed edges of tissue.

    Beyond the image its border goes on, so that twice the image's size is as good as any greater width.
    """
    width_px = min(width_px, 2 * max(mask.shape))
    reach = int(np.ceil(width_px))
    padded = np.pad(mask, reach, mode="edge").view(np.uint8)
    wide = np.asarray(cv2.morphologyEx(padded, cv2.MORPH_OPEN, _disc(max(1.0, width_px / 2))), np.uint8)
    near = np.asarray(cv2.dilate(wide, _disc(max(1.0, width_px / 2))), np.bool_)
    return mask & near[reach : reach + mask.shape[0], reach : reach + mask.shape[1]]


def _drop_smooth_pieces(tissue: Mask, energy: NDArray[np.float32]) -> Mask:
    """Drop connected pieces that are textured only along their border: specks of dust, blots."""
    if not tissue.any():
        return tissue
    count, pieces = cv2.connectedComponents(tissue.view(np.uint8), connectivity=8)
    inner = np.where(_erode(tissue, REACH_PX), pieces, 0).ravel()
    detailed = energy.ravel() >= MIN_DETAIL**2
    share = np.bincount(inner, detailed, count) / np.maximum(np.bincount(inner, minlength=count), 1)
    keep = share >= MIN_DETAILED_SHARE
    keep[0] = False
    return np.asarray(keep[pieces], np.bool_)


def dilate_um(mask: Mask, reach_um: float, mpp_overview: float) -> Mask:
    """The mask and all within ``reach_um`` of it."""
    if not mask.any():
        return mask
    distance = cv2.distanceTransform((~mask).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(distance <= reach_um / mpp_overview, np.bool_)
