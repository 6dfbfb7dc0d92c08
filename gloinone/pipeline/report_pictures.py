"""Pictures inlined into the report, shrunk to their share of its size."""

import base64
import io
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from gloinone.pipeline.drawing import INK, WHITE, jpeg_bytes
from gloinone.pipeline.save import CROPS, MASKS

MIN_WIDTH_PX = 900
"""A contact sheet is made no narrower, else its captions cannot be read; it is cut short instead."""
MIN_HEIGHT_PX = 200
QUALITY = 72
GALLERY_PX = 180
"""Edge of a glomerulus in the gallery."""


@dataclass(frozen=True)
class InlinePicture:
    """A JPEG as a data URI."""

    uri: str
    width: int
    height: int
    cut: bool = False
    """Only the upper part is shown."""


def inline_picture(path: Path, max_bytes: int, may_cut: bool = False) -> InlinePicture | None:
    """The picture in about ``max_bytes`` (before base64); None if there is none that can be read.

    ``may_cut``: keep it wide enough to read, and leave out its lower part instead.
    """
    try:
        data = path.read_bytes()
        with Image.open(io.BytesIO(data)) as opened:
            picture = opened.convert("RGB")
    except (OSError, Image.DecompressionBombError):
        return None
    least_px = min(picture.width, MIN_WIDTH_PX) if may_cut else 1
    while len(data) > max_bytes and picture.width > least_px:
        width = max(least_px, int(picture.width * 0.95 * (max_bytes / len(data)) ** 0.5))
        height = max(1, round(picture.height * width / picture.width))
        picture = picture.resize((width, height), Image.Resampling.BILINEAR)
        data = _encoded(picture)
    cut = False
    while may_cut and len(data) > max_bytes and picture.height > MIN_HEIGHT_PX:
        height = max(MIN_HEIGHT_PX, int(picture.height * 0.95 * max_bytes / len(data)))
        picture, cut = picture.crop((0, 0, picture.width, height)), True
        data = _encoded(picture)
    return InlinePicture(_uri(data), picture.width, picture.height, cut)


def _encoded(picture: Image.Image) -> bytes:
    return jpeg_bytes(np.asarray(picture), QUALITY)


def outlined_crop(folder: Path, glomerulus: str) -> str:
    """Data URI of a glomerulus of a slide's folder with its outline; empty if its picture cannot be read."""
    crop, mask = _opened(folder / CROPS / f"{glomerulus}.png"), _opened(folder / MASKS / f"{glomerulus}.png")
    if crop is None:
        return ""
    pixels = np.array(crop.resize((GALLERY_PX, GALLERY_PX), Image.Resampling.BILINEAR))
    if mask is not None:
        inside = (
            np.asarray(mask.convert("L").resize((GALLERY_PX, GALLERY_PX), Image.Resampling.BILINEAR)) > 127
        )
        contours, _ = cv2.findContours(inside.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(pixels, contours, -1, INK, 2, cv2.LINE_AA)
        cv2.drawContours(pixels, contours, -1, WHITE, 1, cv2.LINE_AA)
    return _uri(jpeg_bytes(pixels, QUALITY))


def _opened(path: Path) -> Image.Image | None:
    """RGB; None if there is none that can be read."""
    try:
        with Image.open(path) as opened:
            return opened.convert("RGB")
    except (OSError, Image.DecompressionBombError):
        return None


def _uri(data: bytes) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(data).decode("ascii")
