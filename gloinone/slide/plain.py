"""A plain PNG, JPEG or flat TIFF as a slide of one level, decoded when its first pixel is asked for.

The frame is the stored pixels: an EXIF orientation turns nothing, so outlines fit the file as other programs
that read its raw pixels see it.
"""

import threading
from pathlib import Path

from gloinone.errors import ResolutionError, SlideSkippedError, SlideUnreadableError
from gloinone.records import Mask, Pixels, SlideInfo
from gloinone.slide.plain_decode import decode
from gloinone.slide.plain_header import PlainHeader, plain_kind, read_header
from gloinone.slide.pyramid import PyramidSlide
from gloinone.slide.resolution import Resolution, settle_mpp
from gloinone.slide.sampling import Level, LevelRead, Read

LARGEST_MEGAPIXELS = 400
CONVERT = "convert to tiled TIFF, e.g. vips tiffsave IN OUT.tif --tile --pyramid --compression jpeg"
WHITE = (255, 255, 255)
WITHOUT_MPP = ("PNG", "JPEG")
"""Kinds that never say their microns per pixel."""


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
        self.levels = (Level(info.width, info.height),)
        self._picture: PlainPicture | None = picture

    def read_level(self, level: int, x: int, y: int, width: int, height: int) -> LevelRead:
        """A view of the decoded pixels."""
        pixels, scanned = self._decoded()
        part = slice(y, y + height), slice(x, x + width)
        return LevelRead(pixels[part], None if scanned is None else scanned[part], x, y)

    def overview(self, um_per_px: float) -> Read:
        """The whole picture, or SlideUnreadableError: what is damaged in it is not looked for."""
        self._decoded()
        return super().overview(um_per_px)

    def reopen(self) -> "PlainSlide":
        """Shares the decoded pixels."""
        if self._picture is None:
            raise SlideUnreadableError(f"{self.info.name}: was closed")
        return PlainSlide(self._picture, self.info)

    def _decoded(self) -> tuple[Pixels, Mask | None]:
        if self._picture is None:
            raise SlideUnreadableError(f"{self.info.name}: was closed")
        return self._picture.decoded()

    def close(self) -> None:
        """Lets go of the pixels."""
        self._picture = None


def open_plain(path: Path, name: str, resolution: Resolution, walked: bool) -> PlainSlide:
    """A plain picture; its pixels are not read yet.

    Without microns per pixel: SlideSkippedError if it merely lay in a folder (``walked``), else
    ResolutionError. SlideUnreadableError for what is damaged, too large or of a kind that is refused.
    """
    skipped = SlideSkippedError(
        f"{name}: a plain picture without resolution; list it in --mpp-csv or pass --mpp"
    )
    merely_lies_there = walked and resolution.source is None
    if merely_lies_there and plain_kind(path) in WITHOUT_MPP:  # of whatever kind, it is none of our business
        raise skipped
    header = read_header(path, name)
    if merely_lies_there and header.mpp is None:  # a mask, a stack of another program
        raise skipped
    if header.refused:
        raise SlideUnreadableError(f"{name}: {header.refused}")
    try:
        mpp, source = settle_mpp(name, resolution, header.mpp)
    except ResolutionError as error:
        if merely_lies_there:
            raise skipped from error
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
