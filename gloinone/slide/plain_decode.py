"""Decodes a plain picture to RGB, and refuses one that is damaged: decoders paint what is missing grey."""

import io
import struct
import threading
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from gloinone.errors import SlideUnreadableError
from gloinone.records import Mask, Pixels
from gloinone.slide.plain_header import Kind, PlainHeader
from gloinone.slide.tiff_tags import BITS

STRIP_ROWS = 1024
"""Rows converted at a time, so that no second picture stands in memory."""

DECODER_ERRORS = (cv2.error, OSError, SyntaxError, ValueError, TypeError, KeyError, struct.error)

TWELVE_BITS_HIGH = 16
"""What no high byte of 12 bits in 16 reaches."""

Decoded = NDArray[np.integer[Any] | np.floating[Any]]


def decode(path: Path, name: str, header: PlainHeader) -> tuple[Pixels, Mask | None]:
    """RGB on white and what was scanned (None: all); SlideUnreadableError for what is damaged."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SlideUnreadableError(
            f"{name}: cannot be read ({error.strerror}); is it still there?"
        ) from error
    problem = cut_short(header.kind, data)
    if problem is None:
        try:
            decoded = _decode_tiff(data, name) if header.kind == "TIFF" else _decode_png_or_jpeg(data, name)
        except (*DECODER_ERRORS, Warning) as error:  # Warning: where warnings are made errors
            problem = str(error).strip().splitlines()[-1]
        else:
            if decoded[0].shape[:2] == (header.height, header.width):
                return decoded
            problem = "its size is not that of its header"
    raise SlideUnreadableError(
        f"{name}: a damaged {header.kind} ({problem}); copy or export it again", quoted=problem
    )


def _decode_png_or_jpeg(data: bytes, name: str) -> tuple[Pixels, Mask | None]:
    flags = cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION
    image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if image is None:
        raise ValueError("it does not decode")
    return to_rgb(image, name)


def _decode_tiff(data: bytes, name: str) -> tuple[Pixels, Mask | None]:
    """With Pillow: OpenCV goes on silently behind a damaged strip."""
    with pillow_limit_lifted, TiffImageFile(io.BytesIO(data)) as image:
        image.load()
        if image.mode.startswith("I;16"):
            grey = _of_sixteen_bits((np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8), name)
            return np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB), np.uint8), None
        if image.mode not in ("RGB", "L") and image.has_transparency_data:
            rgba = np.asarray(image.convert("RGBA"))
            return on_white(np.ascontiguousarray(rgba[..., :3]), np.ascontiguousarray(rgba[..., 3]))
        rgb = np.asarray(image if image.mode == "RGB" else image.convert("RGB"))
        return _of_sixteen_bits(rgb, name) if 16 in image.tag_v2.get(BITS, ()) else rgb, None


class _PillowLimitLifted:
    """Pillow refuses 180 megapixels by a global; ours are counted before, by the header."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._limit: int | None = None

    def __enter__(self) -> None:
        self._lock.acquire()
        self._limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None

    def __exit__(self, *exception: object) -> None:
        Image.MAX_IMAGE_PIXELS = self._limit
        self._lock.release()


pillow_limit_lifted = _PillowLimitLifted()


def to_rgb(image: Decoded, name: str) -> tuple[Pixels, Mask | None]:
    """(H, W) grey or (H, W, 1, 3 or 4) BGR(A), 8 or 16 bits, to RGB on white and what was scanned."""
    if image.dtype == np.uint16:
        image = _of_sixteen_bits((np.asarray(image, np.uint16) >> 8).astype(np.uint8), name)
    if image.dtype != np.uint8:
        raise SlideUnreadableError(
            f"{name}: pixels of type {image.dtype}; save it as RGB with 8 bits a channel"
        )
    channels = 1 if image.ndim == 2 else image.shape[2]
    if channels == 1:
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2RGB), np.uint8), None
    if channels == 3:
        for top in range(0, image.shape[0], STRIP_ROWS):
            strip = image[top : top + STRIP_ROWS]
            strip[:] = cv2.cvtColor(strip, cv2.COLOR_BGR2RGB)
        return np.asarray(image, np.uint8), None
    if channels != 4:
        raise SlideUnreadableError(f"{name}: {channels} channels; save it as RGB")
    rgb = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGRA2RGB), np.uint8)
    return on_white(rgb, np.asarray(image[..., 3], np.uint8))


def _of_sixteen_bits(high: NDArray[np.uint8], name: str) -> NDArray[np.uint8]:
    """The high bytes. Raises SlideUnreadableError for a camera's 12 bits, of which nothing but black would be left."""
    if high.max() < TWELVE_BITS_HIGH:
        raise SlideUnreadableError(
            f"{name}: 16-bit numbers of which none reaches 4096, as a camera of 12 bits or fewer gives them; "
            "save it with 8 bits a channel"
        )
    return high


def on_white(rgb: Pixels, alpha: NDArray[np.uint8]) -> tuple[Pixels, Mask | None]:
    """Picture (changed in place) with its transparency laid on white, and what was scanned."""
    if alpha.min() == 255:
        return rgb, None
    for top in range(0, rgb.shape[0], STRIP_ROWS):
        share = alpha[top : top + STRIP_ROWS, :, None].astype(np.uint16)
        strip = rgb[top : top + STRIP_ROWS]
        strip[:] = (strip * share + 255 * (255 - share) + 127) // 255
    return rgb, alpha > 0


def cut_short(kind: Kind, data: bytes) -> str | None:
    """Why the file is known to be incomplete: decoders paint the missing part grey and say nothing."""
    if kind == "JPEG":
        # Inside the coded data FF D9 cannot occur but as the end; a thumbnail's own end lies before the scan.
        return None if data.find(b"\xff\xd9", max(data.rfind(b"\xff\xda"), 0)) >= 0 else "it is cut short"
    if kind == "PNG":
        return _png_cut_short(data)
    return None


def _png_cut_short(data: bytes) -> str | None:
    at = 8
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        end = at + 12 + length
        if end > len(data):
            break
        if zlib.crc32(data[at + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
            return "a checksum is wrong"
        if data[at + 4 : at + 8] == b"IEND":
            return None
        at = end
    return "it is cut short"
