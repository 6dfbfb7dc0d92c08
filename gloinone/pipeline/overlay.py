"""overlay.jpg: the slide, every glomerulus outlined and numbered, and a foot with scale bar and legend."""

import cv2
import numpy as np

from gloinone.labels import COLOURS, NONGLOMERULAR, NORMAL, SCLEROSED, SCLEROSED_KINDS
from gloinone.pipeline.drawing import (
    INK,
    WHITE,
    Colour,
    Text,
    draw_ring,
    draw_texts,
    draw_thin_ring,
    text_width,
)
from gloinone.pipeline.placing import Boxes, place_labels
from gloinone.records import Mask, Pixels, SlideInfo, SlideResult, Window
from gloinone.slide.pieces import pixel_boxes

LONG_SIDE_PX = (1600, 4000)
"""Of the overlay: a camera field is enlarged to the first, a resection reduced to the second."""
MIN_FOOT_PX = 480
"""A narrow slide gets white beside it, so that its legend can be read."""
UM_PER_PX = 4.0
"""Between the two: a glomerulus of 200 um is 50 px wide."""
PICTURE_MEGAPIXELS = 48
"""Pixels that may be decoded only to look at them."""
MIN_CONTOUR_UM2 = 150.0**2
"""Smaller holes (vessels, tubules) are left without a line."""
TISSUE_LINE: Colour = (40, 80, 160)
UNREAD_LINE: Colour = (190, 30, 30)
SCALE_MM = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0)


def overlay_um_per_px(info: SlideInfo) -> float:
    """Resolution at which the overlay is drawn."""
    long_um = info.um_from_l0(max(info.width, info.height))
    smallest, largest = LONG_SIDE_PX
    return max(long_um / largest, min(UM_PER_PX, long_um / smallest))


def picture_um_per_px(info: SlideInfo, of_overview: float) -> float | None:
    """Resolution of the picture to read beside the overview, so that the overlay is sharp.

    ``of_overview``: that of the overview, um/px. None where that will do, or where the slide has no level from which
    a picture is cheap.
    """
    wanted = max(overlay_um_per_px(info), info.mpp)
    if wanted > 0.8 * of_overview:
        return None
    usable = [d for d in info.level_downsamples if d * info.mpp <= 1.02 * wanted] or [1.0]
    megapixels = info.width * info.height / max(usable) ** 2 / 1e6
    return wanted if megapixels <= PICTURE_MEGAPIXELS else None


def draw_overlay(result: SlideResult) -> Pixels:
    """The overlay of one slide: (H, W, 3), the picture above, the foot below, both from the left border."""
    info = result.info
    um_per_px = overlay_um_per_px(info)
    width_px = max(1, round(info.um_from_l0(info.width) / um_per_px))
    height_px = max(1, round(info.um_from_l0(info.height) / um_per_px))
    window = Window(0, 0, info.width, info.height, width_px, height_px)
    pixels = _enlarged(result, width_px, height_px)
    long_side = max(width_px, height_px)
    _draw_unread(pixels, result, window)
    _draw_tissue(pixels, result.overview.tissue, um_per_px)
    rings = [window.image_from_l0(g.outline.ring) for g in result.glomeruli]
    thickness = max(2, round(long_side / 1300))
    for glomerulus, ring in zip(result.glomeruli, rings, strict=True):
        draw_ring(pixels, ring, COLOURS[glomerulus.label], thickness)
    size_px = int(np.clip(long_side / 140, 20, 26))
    boxes = np.array([[*r.min(axis=0), *r.max(axis=0)] for r in rings], np.float64).reshape(-1, 4)
    numbers = _piece_numbers(result, 2 * size_px, (width_px, height_px))
    pixels = draw_texts(pixels, [*numbers, *_labels(result, boxes, size_px, (width_px, height_px))])
    foot = draw_foot(result, max(width_px, MIN_FOOT_PX), um_per_px)
    beside = np.full((height_px, foot.shape[1] - width_px, 3), 255, np.uint8)
    return np.vstack([np.hstack([pixels, beside]), foot])


def _enlarged(result: SlideResult, width_px: int, height_px: int) -> Pixels:
    """The finest picture at hand in the size of the overlay."""
    source = result.overview.pixels if result.picture is None else result.picture.pixels
    method = cv2.INTER_AREA if source.shape[1] > width_px else cv2.INTER_CUBIC
    return np.array(cv2.resize(source, (width_px, height_px), interpolation=method), np.uint8)


def _draw_tissue(pixels: Pixels, tissue: Mask, um_per_px: float) -> None:
    """A thin line around the tissue; the mask is coarser than the picture and is smoothed on the way."""
    height_px, width_px = pixels.shape[:2]
    smooth = cv2.resize(tissue.astype(np.float32), (width_px, height_px), interpolation=cv2.INTER_LINEAR)
    inside = (smooth > 0.5).astype(np.uint8)
    contours, _ = cv2.findContours(inside, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    for contour in contours:
        if cv2.contourArea(contour) * um_per_px**2 >= MIN_CONTOUR_UM2:
            draw_thin_ring(pixels, contour[:, 0].astype(np.float64) + 0.5, TISSUE_LINE)


def _draw_unread(pixels: Pixels, result: SlideResult, window: Window) -> None:
    """Hatch the rectangles that could not be read."""
    for x0, y0, x1, y1 in result.unread:
        corners = window.image_from_l0(np.array([[x0, y0], [x1, y1]]))
        (left, top), (right, bottom) = (
            np.clip(corners, 0, [window.width_px, window.height_px]).round().astype(int)
        )
        patch = pixels[top:bottom, left:right]
        if patch.size:
            patch[:] = hatched(patch)


def hatched(patch: Pixels) -> Pixels:
    """The patch, paler, under diagonal lines and a border."""
    height, width = patch.shape[:2]
    y, x = np.mgrid[:height, :width]
    pale = (0.5 * patch + 127).astype(np.uint8)
    border = (x < 2) | (y < 2) | (x >= width - 2) | (y >= height - 2)
    lines = ((x + y) % 16 < 2) | border
    return np.where(lines[..., None], np.array(UNREAD_LINE, np.uint8), pale)


def _labels(result: SlideResult, boxes: Boxes, size_px: int, size: tuple[int, int]) -> list[Text]:
    """The ids, each beside its glomerulus and clear of the others where there is room."""
    sizes = np.array([[text_width(g.id, size_px) + 2, size_px * 1.15] for g in result.glomeruli])
    places = place_labels(boxes, sizes.reshape(-1, 2), size)
    return [
        Text(float(x), float(y), g.id, size_px, WHITE, INK)
        for g, (x, y) in zip(result.glomeruli, places, strict=True)
    ]


def _piece_numbers(result: SlideResult, size_px: int, size: tuple[int, int]) -> list[Text]:
    """Each piece's number above its highest point."""
    if result.piece_map is None:
        return []
    height, width = result.piece_map.shape
    texts = []
    for number, (left, top, right, _) in pixel_boxes(result.piece_map).items():
        columns = left + np.flatnonzero(result.piece_map[top, left:right] == number)
        x, y = (float(np.median(columns)) + 0.5) * size[0] / width, top * size[1] / height
        wide = text_width(str(number), size_px)
        place = np.clip([x - wide / 2, y - 1.3 * size_px], 0, [max(0, size[0] - wide), size[1]])
        texts.append(Text(float(place[0]), float(place[1]), str(number), size_px, TISSUE_LINE, WHITE))
    return texts


def draw_foot(result: SlideResult, width_px: int, um_per_px: float) -> Pixels:
    """Scale bar and legend on white, as many lines as the width asks for: (H, width_px, 3)."""
    size_px = int(np.clip(width_px / 90, 15, 26))
    pad, line_px, indent = size_px, int(size_px * 1.9), size_px // 2
    bar_mm, bar_px = scale_bar(width_px, um_per_px)
    texts = [Text(pad + bar_px + indent, indent, f"{bar_mm:g} mm", size_px)]
    x, y = pad + bar_px + indent + text_width(texts[0].words, size_px) + 2 * pad, indent
    swatches: list[tuple[Colour, int, int]] = []
    for colour, words in legend(result):
        offset = 0 if colour is None else size_px + indent
        needed = offset + text_width(words, size_px)
        if x > pad and x + needed > width_px - pad:
            x, y = pad, y + line_px
        if colour is not None:
            swatches.append((colour, x, y + size_px // 8))
        texts.append(Text(x + offset, y, words, size_px))
        x += needed + 2 * pad
    foot = np.full((y + line_px, width_px, 3), 255, np.uint8)
    _draw_bar(foot[indent : indent + line_px, pad : pad + bar_px], size_px)
    for colour, left, top in swatches:
        foot[top : top + size_px, left : left + size_px] = INK
        foot[top + 1 : top + size_px - 1, left + 1 : left + size_px - 1] = colour
    return draw_texts(foot, texts)


def legend(result: SlideResult) -> list[tuple[Colour | None, str]]:
    """Colours and what they mean, with counts; normal and sclerosed lead. None: words without a colour."""
    n_sclerosed = sum(result.count(kind) for kind in SCLEROSED_KINDS)
    items: list[tuple[Colour | None, str]] = [
        (COLOURS[NORMAL], f"{NORMAL} {result.count(NORMAL)}"),
        (None, f"{SCLEROSED} {n_sclerosed}" + (", of kinds not validated:" if n_sclerosed else "")),
    ]
    kinds = (*SCLEROSED_KINDS, NONGLOMERULAR)
    items += [(COLOURS[kind], f"{kind} {result.count(kind)}") for kind in kinds if result.count(kind)]
    items.append((TISSUE_LINE, "border of tissue" + (", numbers of its pieces" if result.pieces else "")))
    if result.unread:
        items.append((UNREAD_LINE, "hatched: not read"))
    return items


def _draw_bar(strip: Pixels, size_px: int) -> None:
    """A bar with its ends across the whole strip."""
    middle = size_px * 5 // 8
    strip[middle - 1 : middle + 2] = INK
    strip[size_px * 3 // 8 : size_px * 7 // 8, [0, 1, -2, -1]] = INK


def scale_bar(width_px: int, um_per_px: float) -> tuple[float, int]:
    """Millimetres and px of the longest round bar under a fifth of the picture."""
    fits = [mm for mm in SCALE_MM if mm * 1000 / um_per_px <= width_px / 5]
    bar_mm = fits[-1] if fits else SCALE_MM[0]
    return bar_mm, min(width_px - 2, max(2, round(bar_mm * 1000 / um_per_px)))
