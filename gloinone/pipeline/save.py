"""Every file of one slide's folder, written into an empty private folder that is put in place afterwards.

No file holds a time or a machine's name: the same result is the same bytes.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from gloinone.annotations.columns import CIRCLES, CORES, GLOMERULI, PIECES
from gloinone.annotations.csv_text import csv_bytes
from gloinone.annotations.geojson_write import geojson_bytes
from gloinone.annotations.imagescope_write import imagescope_bytes
from gloinone.annotations.piece_tables import core_rows, piece_rows
from gloinone.annotations.region import OutputShape
from gloinone.annotations.saved_result import RESULT, result_bytes
from gloinone.annotations.tables import by_candidate, circle_rows, glomerulus_rows
from gloinone.pipeline.contact import draw_contact
from gloinone.pipeline.drawing import jpeg_bytes, png_bytes
from gloinone.pipeline.label_map import write_label_map
from gloinone.pipeline.layout import CORES as CORES_CSV
from gloinone.pipeline.layout import GLOMERULI as GLOMERULI_CSV
from gloinone.pipeline.layout import PIECES as PIECES_CSV
from gloinone.pipeline.layout import SLIDES, file_stem
from gloinone.pipeline.overlay import draw_overlay
from gloinone.records import Crop, Glomerulus, Mask, Pixels, SlideResult

CIRCLES_CSV = "circles.csv"
OVERLAY = "overlay.jpg"
CONTACT = "contact.jpg"
THUMBNAIL = "thumbnail.jpg"
TISSUE = "tissue.png"
CROPS = "crops"
MASKS = "masks"
LABEL_MAP = "masks.tif"
PIECE_MAP = "pieces.png"

WRITERS = 2
"""Threads that make files and write them: half of it is compression, during which Python goes on."""
Make = Callable[[], bytes]
"""What is in a file."""


@dataclass(frozen=True)
class SaveOptions:
    """What the user may choose of the files."""

    shape: OutputShape = "outline"
    """What stands in XML and GeoJSON: the outline, or the circle as an ellipse or a polygon."""
    crops: bool = True
    """Write crops/, a picture per glomerulus."""
    masks: bool = True
    """Write masks/ and masks.tif."""


@dataclass(frozen=True)
class Earlier:
    """What was written of the slide before and stays, though the result now shows only a part of it."""

    thumbnail: bytes
    outlined: Mapping[int, Glomerulus]
    """All that the segmenter has seen, by place among the candidates, kept now or not."""
    contact: bytes | None = None
    """The contact sheet, where it shows these very glomeruli and their crops were not kept."""


def write_slide(
    folder: Path,
    result: SlideResult,
    options: SaveOptions,
    place: str | None = None,
    earlier: Earlier | None = None,
) -> None:
    """Write all files of a slide into ``folder``, which is empty and nobody else's.

    ``place`` is where the folder will lie, relative to OUT, if not slides/<name of the slide>: the paths in
    glomeruli.csv. ``earlier``: None where the slide was just read. Raises OutputError for what cannot be expressed,
    OSError for what cannot be written.
    """
    place = f"{SLIDES}/{result.info.name}" if place is None else place
    kept = by_candidate(result.candidates, result.glomeruli)
    earlier = earlier or Earlier(jpeg_bytes(_shown(result)), kept)
    files = _tables_and_pictures(result, options, place, earlier)
    if options.crops:
        (folder / CROPS).mkdir()
        files |= _crops(kept, earlier.outlined)
    if options.masks:
        (folder / MASKS).mkdir()
        files |= {f"{MASKS}/{g.id}.png": partial(_mask_bytes, g.outline.mask) for g in result.glomeruli}
    jobs: list[Callable[[], object]] = [partial(_write, folder / name, make) for name, make in files.items()]
    if options.masks:
        jobs.insert(0, partial(write_label_map, folder / LABEL_MAP, result.glomeruli, result.info))
    with ThreadPoolExecutor(WRITERS, thread_name_prefix="file") as pool:
        for _ in pool.map(lambda job: job(), jobs):  # what goes wrong in one is raised, and no other is begun
            pass


def _tables_and_pictures(
    result: SlideResult, options: SaveOptions, place: str, earlier: Earlier
) -> dict[str, Make]:
    """All of the folder but crops and masks; nothing is made yet."""
    stem, piece_map = file_stem(result.info.name), result.piece_map
    files: dict[str, Make] = {
        f"{stem}.xml": lambda: imagescope_bytes(result, options.shape),
        f"{stem}.geojson": lambda: geojson_bytes(result, options.shape),
        GLOMERULI_CSV: lambda: csv_bytes(
            GLOMERULI, glomerulus_rows(result, place, options.crops, options.masks)
        ),
        CIRCLES_CSV: lambda: csv_bytes(CIRCLES, circle_rows(result)),
        PIECES_CSV: lambda: csv_bytes(PIECES, piece_rows(result)),
        CORES_CSV: lambda: csv_bytes(CORES, core_rows(result)),
        THUMBNAIL: lambda: earlier.thumbnail,
        TISSUE: lambda: _mask_bytes(result.overview.tissue),
        OVERLAY: lambda: jpeg_bytes(draw_overlay(_with_thumbnail(result, earlier.thumbnail))),
        CONTACT: lambda: earlier.contact or jpeg_bytes(draw_contact(result)),
        RESULT: lambda: result_bytes(result, earlier.outlined),
    }
    return files if piece_map is None else files | {PIECE_MAP: lambda: png_bytes(piece_map)}


def _write(path: Path, make: Make) -> None:
    path.write_bytes(make())


def crop_name(place: int, glomerulus: str) -> str:
    """File of a crop by the id of its glomerulus; by its row in circles.csv, from 1, where it is none any more."""
    return f"{glomerulus or f'circle-{place + 1:04d}'}.png"


def _shown(result: SlideResult) -> Pixels:
    """The finest picture of the whole slide."""
    return result.overview.pixels if result.picture is None else result.picture.pixels


def _with_thumbnail(result: SlideResult, thumbnail: bytes) -> SlideResult:
    """The result as it looks in its thumbnail, so that the overlay can be drawn once more without the slide."""
    pixels = cv2.imdecode(np.frombuffer(thumbnail, np.uint8), cv2.IMREAD_COLOR_RGB)
    assert pixels is not None
    height_px, width_px = pixels.shape[:2]
    window = replace(result.overview.window, width_px=width_px, height_px=height_px)
    return replace(result, picture=Crop(window, np.asarray(pixels, np.uint8)))


def _crops(kept: Mapping[int, Glomerulus], outlined: Mapping[int, Glomerulus]) -> dict[str, Make]:
    """What the segmenter saw of each glomerulus, and of each circle that was one before."""
    return {
        f"{CROPS}/{crop_name(place, glomerulus.id if place in kept else '')}": partial(
            png_bytes, glomerulus.crop
        )
        for place, glomerulus in {**outlined, **kept}.items()
        if glomerulus.crop is not None
    }


def _mask_bytes(mask: Mask) -> bytes:
    """White where the mask is true."""
    return png_bytes(np.where(mask, 255, 0).astype(np.uint8))
