"""Pictures inlined into the report, shrunk to their share of its size."""

import base64
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from gloinone.pipeline.drawing import jpeg_bytes

MIN_WIDTH_PX = 900
"""A contact sheet is made no narrower, else its captions cannot be read; it is cut short instead."""
MIN_HEIGHT_PX = 200
QUALITY = 72


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
    uri = "data:image/jpeg;base64," + base64.b64encode(data).decode("ascii")
    return InlinePicture(uri, picture.width, picture.height, cut)


def _encoded(picture: Image.Image) -> bytes:
    return jpeg_bytes(np.asarray(picture), QUALITY)
