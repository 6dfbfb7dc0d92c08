"""Opens a slide: whatever OpenSlide opens, else a plain picture; label and macro images are never touched."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import openslide

from gloinone.errors import SlideUnreadableError
from gloinone.records import Pixels, SlideInfo
from gloinone.slide.dicom import largest_instance
from gloinone.slide.plain import CONVERT, WHITE, open_plain
from gloinone.slide.plain_header import plain_kind
from gloinone.slide.pyramid import PyramidSlide
from gloinone.slide.resolution import Resolution, settle_mpp
from gloinone.slide.sampling import Level, LevelRead, Read, Slide, make_level

__all__ = ["Level", "OpenSlideSlide", "Read", "Slide", "open_slide"]


class OpenSlideSlide(PyramidSlide):
    """A slide that OpenSlide reads."""

    def __init__(self, path: Path, name: str, resolution: Resolution) -> None:
        self._handle = open_handle(path, name)
        try:
            properties = self._handle.properties
            self.path = path
            self.levels = read_levels(self._handle)
            self._mean_downsamples = self._handle.level_downsamples  # of both axes: OpenSlide places by them
            self.background = read_background(properties)
            mpp, source = settle_mpp(name, resolution, read_mpp(properties))
            self.info = SlideInfo(
                name,
                self.levels[0].width,
                self.levels[0].height,
                mpp,
                source,
                properties.get(openslide.PROPERTY_NAME_VENDOR, "unknown"),
                tuple(level.downsample for level in self.levels),
                read_bounds(properties),
            )
        except BaseException:
            self._handle.close()
            raise
        self._resolution = resolution

    def read_level(self, level: int, x: int, y: int, width: int, height: int) -> LevelRead:
        """One read of OpenSlide, on the background colour."""
        downsample = self._mean_downsamples[level]
        x_l0, y_l0 = round(x * downsample), round(y * downsample)
        try:
            image = self._handle.read_region((x_l0, y_l0), level, (width, height))
        except openslide.OpenSlideError as error:
            raise SlideUnreadableError(
                f"{self.info.name}: level {level} cannot be read at {x_l0}, {y_l0} ({error}); copy it again",
                quoted=str(error),
            ) from error
        # Without alpha at once: an array of all four takes three times as long, and other threads wait meanwhile
        pixels: Pixels = np.frombuffer(image.tobytes("raw", "RGB"), np.uint8).reshape(height, width, 3)
        alpha = image.getchannel("A")
        if not alpha.histogram()[0]:
            return LevelRead(pixels, None, x_l0 / downsample, y_l0 / downsample)
        scanned = np.asarray(alpha) > 0
        pixels = np.where(scanned[..., None], pixels, np.array(self.background, np.uint8))
        return LevelRead(pixels, scanned, x_l0 / downsample, y_l0 / downsample)

    def reopen(self) -> "OpenSlideSlide":
        """A fresh handle: one that failed once fails for good."""
        return OpenSlideSlide(self.path, self.info.name, self._resolution)

    def close(self) -> None:
        """Frees the handle."""
        self._handle.close()


def open_slide(path: Path, name: str, resolution: Resolution, walked: bool = False) -> Slide:
    """Opens a slide; the caller closes it.

    Parameters
    ----------
    path
        A file, or the folder of one DICOM series.
    name
        What it is called in every table and message.
    walked
        It was found in a folder, not named by the user: a plain picture without resolution is then skipped.

    Raises SlideUnreadableError, ResolutionError or SlideSkippedError, each with what to do.
    """
    try:
        file = largest_instance(path) if path.is_dir() else path
        if file is None:
            raise SlideUnreadableError(
                f"{name}: a folder without a DICOM slide; name a slide or a folder of slides"
            )
        if file.stat().st_size == 0:
            raise SlideUnreadableError(f"{name}: an empty file; copy it again")
        if openslide.OpenSlide.detect_format(file) is not None:
            return OpenSlideSlide(file, name, resolution)
        if plain_kind(file) is None:
            raise SlideUnreadableError(
                f"{name}: no slide that OpenSlide knows, nor a PNG, JPEG or TIFF; copy it again or remove it"
            )
        return open_plain(file, name, resolution, walked)
    except OSError as error:
        raise SlideUnreadableError(
            f"{name}: cannot be opened ({error.strerror}); is it still there?"
        ) from error


def open_handle(path: Path, name: str) -> openslide.OpenSlide:
    """OpenSlide's handle, or SlideUnreadableError with its reason and the mend."""
    try:
        return openslide.OpenSlide(path)
    except openslide.OpenSlideError as error:
        mend = CONVERT if "compression" in str(error) else f"copy it again, or {CONVERT}"
        reason = str(error).replace(str(path), name)
        raise SlideUnreadableError(f"{name}: OpenSlide refuses it ({reason}); {mend}", reason) from error


def read_levels(handle: openslide.OpenSlide) -> tuple[Level, ...]:
    """All levels, finest first."""
    full_width, full_height = handle.dimensions
    sizes = handle.level_dimensions
    return tuple(make_level(width, height, full_width, full_height) for width, height in sizes)


def read_mpp(properties: Mapping[str, str]) -> tuple[float, float] | None:
    """x, y microns per level-0 pixel as the file claims, or None."""
    try:
        return (
            float(properties[openslide.PROPERTY_NAME_MPP_X]),
            float(properties[openslide.PROPERTY_NAME_MPP_Y]),
        )
    except (KeyError, ValueError):
        return None


def read_background(properties: Mapping[str, str]) -> tuple[int, int, int]:
    """RGB of the file's background colour, else white."""
    text = properties.get(openslide.PROPERTY_NAME_BACKGROUND_COLOR, "")
    try:
        red, green, blue = bytes.fromhex(text)
    except ValueError:
        return WHITE
    return red, green, blue


def read_bounds(properties: Mapping[str, str]) -> tuple[int, int, int, int] | None:
    """x, y, width, height of what was scanned, level-0 px, or None where the file does not say."""
    names = (
        openslide.PROPERTY_NAME_BOUNDS_X,
        openslide.PROPERTY_NAME_BOUNDS_Y,
        openslide.PROPERTY_NAME_BOUNDS_WIDTH,
        openslide.PROPERTY_NAME_BOUNDS_HEIGHT,
    )
    try:
        x, y, width, height = (int(properties[name]) for name in names)
    except (KeyError, ValueError):
        return None
    return x, y, width, height
