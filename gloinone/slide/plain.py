"""A plain PNG, JPEG or flat TIFF as a slide of one level, decoded when its first pixel is asked for.

The frame is the stored pixels: an EXIF orientation turns nothing, so outlines fit the file as other programs
that read its raw pixels see it.
"""

import threading
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from gloinone.errors import ResolutionError, SlideSkippedError, SlideUnreadableError
from gloinone.records import Mask, Pixels, SlideInfo
from gloinone.slide.plain_header import Kind, PlainHeader, read_header
from gloinone.slide.pyramid import PyramidSlide
from gloinone.slide.resolution import Resolution, settle_mpp
from gloinone.slide.sampling import Level, LevelRead

LARGEST_MEGAPIXELS = 400
CONVERT = "convert to tiled TIFF, e.g. vips tiffsave IN OUT.tif --tile --pyramid --compression jpeg"
WHITE = (255, 255, 255)

Decoded = NDArray[np.integer[Any] | np.floating[Any]]


class PlainPicture:
    """The pixels of a file, decoded once and shared by every handle on it; a failure is remembered too."""

    def __init__(self, path: Path, name: str, header: PlainHeader) -> None:
        self.path = path
        self.name = name
        self.header = header
        self._lock = threading.Lock()
        self._decoded: tuple[Pixels, Mask | None] | None = None
        self._error: SlideUnreadableError | None = None

    def decoded(self) -> tuple[Pixels, Mask | None]:
        """(H, W, 3) RGB on white and (H, W) what was scanned, None for all; raises SlideUnreadableError."""
        with self._lock:
            if self._error is not None:
                raise self._error
            if self._decoded is None:
                try:
                    self._decoded = decode(self.path, self.name, self.header)
                except SlideUnreadableError as error:
                    self._error = error
                    raise
            return self._decoded


class PlainSlide(PyramidSlide):
    """A slide of one level in memory."""

    def __init__(self, picture: PlainPicture, info: SlideInfo) -> None:
        self.path = picture.path
        self.info = info
        self.background = WHITE
        self.levels = (Level(info.width, info.height, 1.0),)
        self._picture: PlainPicture | None = picture

    def read_level(self, level: int, x: int, y: int, width: int, height: int) -> LevelRead:
        """A view of the decoded pixels."""
        if self._picture is None:
            raise SlideUnreadableError(f"{self.info.name}: was closed")
        pixels, scanned = self._picture.decoded()
        part = slice(y, y + height), slice(x, x + width)
        return LevelRead(pixels[part], None if scanned is None else scanned[part], x, y)

    def reopen(self) -> "PlainSlide":
        """Shares the decoded pixels."""
        if self._picture is None:
            raise SlideUnreadableError(f"{self.info.name}: was closed")
        return PlainSlide(self._picture, self.info)

    def close(self) -> None:
        """Lets go of the pixels."""
        self._picture = None


def open_plain(path: Path, name: str, resolution: Resolution, walked: bool) -> PlainSlide:
    """A plain picture; its pixels are not read yet.

    Without microns per pixel: SlideSkippedError if it merely lay in a folder (``walked``), else
    ResolutionError. SlideUnreadableError for what is damaged, too large or of a kind that is refused.
    """
    header = read_header(path, name)
    try:
        mpp, source = settle_mpp(name, resolution, header.mpp)
    except ResolutionError as error:
        if walked and resolution.source is None:
            raise SlideSkippedError(
                f"{name}: a plain picture without resolution; list it in --mpp-csv or pass --mpp"
            ) from error
        raise
    if header.width < 1 or header.height < 1:
        raise SlideUnreadableError(f"{name}: an empty picture; export it again")
    if header.width * header.height > LARGEST_MEGAPIXELS * 1_000_000:
        raise SlideUnreadableError(
            f"{name}: {header.width} x {header.height} px is more than the {LARGEST_MEGAPIXELS} megapixels "
            f"a plain picture may have; {CONVERT}"
        )
    info = SlideInfo(name, header.width, header.height, mpp, source, "plain")
    return PlainSlide(PlainPicture(path, name, header), info)


def decode(path: Path, name: str, header: PlainHeader) -> tuple[Pixels, Mask | None]:
    """RGB on white and what was scanned (None: all); SlideUnreadableError for what is damaged."""
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise SlideUnreadableError(
            f"{name}: cannot be read ({error.strerror}); is it still there?"
        ) from error
    problem = cut_short(header.kind, data.tobytes())
    image = None
    if problem is None:
        try:
            image = cv2.imdecode(data, cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION)
        except cv2.error as error:
            problem = error.err
    if image is None or image.shape[:2] != (header.height, header.width):
        problem = problem or "it does not decode"
        raise SlideUnreadableError(f"{name}: damaged {header.kind} ({problem}); copy or export it again")
    return to_rgb(image, name)


def to_rgb(image: Decoded, name: str) -> tuple[Pixels, Mask | None]:
    """(H, W) grey or (H, W, 1, 3 or 4) BGR(A), 8 or 16 bits, to RGB on white and what was scanned."""
    if image.dtype == np.uint16:
        image = (np.asarray(image, np.uint16) >> 8).astype(np.uint8)
    if image.dtype != np.uint8:
        raise SlideUnreadableError(
            f"{name}: pixels of type {image.dtype}; save it as RGB with 8 bits a channel"
        )
    channels = 1 if image.ndim == 2 else image.shape[2]
    if channels == 1:
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2RGB), np.uint8), None
    if channels == 3:
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=image), np.uint8), None
    if channels != 4:
        raise SlideUnreadableError(f"{name}: {channels} channels; save it as RGB")
    alpha = np.asarray(image[..., 3], np.uint8)
    rgb = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGRA2RGB), np.uint8)
    if alpha.min() == 255:
        return rgb, None
    for top in range(0, rgb.shape[0], 1024):  # in strips: the product needs 16 bits
        share = alpha[top : top + 1024, :, None].astype(np.uint16)
        strip = rgb[top : top + 1024]
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
