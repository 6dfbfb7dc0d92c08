"""Lines, text and encoded bytes for the pictures of a slide. Frame: continuous px of the picture."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from gloinone.labels import NONGLOMERULAR, NORMAL, SCLEROSED
from gloinone.records import Glomerulus, Pixels, Points

Colour = tuple[int, int, int]
"""RGB."""

INK: Colour = (28, 28, 36)
GREY: Colour = (96, 96, 104)
WHITE: Colour = (255, 255, 255)
SUBPIXEL_BITS = 4
"""cv2 takes fixed-point vertices: 1/16 px."""
PNG_OF_TISSUE = (cv2.IMWRITE_PNG_STRATEGY_HUFFMAN_ONLY, cv2.IMWRITE_PNG_FILTER_PAETH)
"""Nothing in tissue repeats: looking for repetitions takes twice as long and makes the files larger."""
PNG_OF_MASKS = (cv2.IMWRITE_PNG_STRATEGY_RLE, cv2.IMWRITE_PNG_FILTER_NONE)


@dataclass(frozen=True)
class Text:
    """A line of text whose top left corner is at x, y."""

    x: float
    y: float
    words: str
    size_px: int
    colour: Colour = INK
    halo: Colour | None = None
    """Colour of a rim around the letters, for text on tissue."""


def draw_ring(pixels: Pixels, ring: Points, colour: Colour, thickness: int) -> None:
    """Draw a closed ring into ``pixels``, cased in ink so that it reads on pink, purple and white alike."""
    vertices = _fixed_point(ring)
    cv2.polylines(pixels, [vertices], True, INK, thickness + 2, cv2.LINE_AA, SUBPIXEL_BITS)
    cv2.polylines(pixels, [vertices], True, colour, thickness, cv2.LINE_AA, SUBPIXEL_BITS)


def draw_thin_ring(pixels: Pixels, ring: Points, colour: Colour) -> None:
    """Draw a closed ring one pixel wide, without casing."""
    cv2.polylines(pixels, [_fixed_point(ring)], True, colour, 1, cv2.LINE_AA, SUBPIXEL_BITS)


def _fixed_point(ring: Points) -> NDArray[np.int32]:
    """Vertices for cv2, whose pixel centres lie on whole numbers."""
    vertices: NDArray[np.int32] = np.round((ring - 0.5) * 2**SUBPIXEL_BITS).astype(np.int32)
    return vertices


@lru_cache(maxsize=16)
def _font(size_px: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The font inside Pillow: the same letters on every machine."""
    return ImageFont.load_default(size_px)


def text_width(words: str, size_px: int) -> int:
    """Px that a line takes."""
    return int(np.ceil(_font(size_px).getlength(words)))


def draw_texts(pixels: Pixels, texts: Sequence[Text]) -> Pixels:
    """A copy with the lines of text written on it."""
    picture = Image.fromarray(pixels)
    pen = ImageDraw.Draw(picture)
    for text in texts:
        pen.text(
            (text.x, text.y),
            text.words,
            fill=text.colour,
            font=_font(text.size_px),
            stroke_width=0 if text.halo is None else max(1, text.size_px // 9),
            stroke_fill=text.halo,
        )
    return np.asarray(picture)


def jpeg_bytes(pixels: Pixels, quality: int = 82) -> bytes:
    """JPEG with full colour resolution (thin coloured lines survive) and no metadata."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=quality, subsampling=0)
    return stream.getvalue()


def png_bytes(pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> bytes:
    """PNG of (H, W, 3) RGB or (H, W) grey of 8 or 16 bits, without metadata."""
    grey = pixels.ndim == 2
    strategy, row_filter = PNG_OF_MASKS if grey else PNG_OF_TISSUE
    how = (
        cv2.IMWRITE_PNG_COMPRESSION,
        1,
        cv2.IMWRITE_PNG_STRATEGY,
        strategy,
        cv2.IMWRITE_PNG_FILTER,
        row_filter,
    )
    _, data = cv2.imencode(".png", pixels if grey else cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), how)
    return data.tobytes()


def leading_group(glomerulus: Glomerulus) -> str:
    """Normal, sclerosed or non-glomerular: what leads in every picture; the kind stands below."""
    return glomerulus.label if glomerulus.label in (NORMAL, NONGLOMERULAR) else SCLEROSED
