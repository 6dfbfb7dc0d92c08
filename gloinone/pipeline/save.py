"""Every file of one slide's folder, written into an empty private folder that is put in place afterwards.

No file holds a time or a machine's name: the same result is the same bytes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gloinone.annotations.columns import CIRCLES, CORES, GLOMERULI, PIECES
from gloinone.annotations.csv_text import csv_bytes
from gloinone.annotations.geojson_write import geojson_bytes
from gloinone.annotations.imagescope_write import imagescope_bytes
from gloinone.annotations.piece_tables import core_rows, piece_rows
from gloinone.annotations.region import OutputShape
from gloinone.annotations.tables import circle_rows, glomerulus_rows
from gloinone.pipeline.contact import draw_contact
from gloinone.pipeline.drawing import jpeg_bytes, png_bytes
from gloinone.pipeline.label_map import write_label_map
from gloinone.pipeline.layout import CORES as CORES_CSV
from gloinone.pipeline.layout import GLOMERULI as GLOMERULI_CSV
from gloinone.pipeline.layout import PIECES as PIECES_CSV
from gloinone.pipeline.layout import SLIDES, file_stem
from gloinone.pipeline.overlay import draw_overlay
from gloinone.records import Glomerulus, SlideResult

CIRCLES_CSV = "circles.csv"
OVERLAY = "overlay.jpg"
CONTACT = "contact.jpg"
CROPS = "crops"
MASKS = "masks"
LABEL_MAP = "masks.tif"
PIECE_MAP = "pieces.png"


@dataclass(frozen=True)
class SaveOptions:
    """What the user may choose of the files."""

    shape: OutputShape = "outline"
    """What stands in XML and GeoJSON: the outline, or the circle as an ellipse or a polygon."""
    crops: bool = True
    """Write crops/, a picture per glomerulus."""
    masks: bool = True
    """Write masks/ and masks.tif."""


def write_slide(folder: Path, result: SlideResult, options: SaveOptions, place: str | None = None) -> None:
    """Write all files of a slide into ``folder``, which is empty and nobody else's.

    ``place`` is where the folder will lie, relative to OUT, if not slides/<name of the slide>: the paths in
    glomeruli.csv. Raises OutputError for what cannot be expressed, OSError for what cannot be written.
    """
    place = f"{SLIDES}/{result.info.name}" if place is None else place
    stem = file_stem(result.info.name)
    files = {
        f"{stem}.xml": imagescope_bytes(result, options.shape),
        f"{stem}.geojson": geojson_bytes(result, options.shape),
        GLOMERULI_CSV: csv_bytes(GLOMERULI, glomerulus_rows(result, place, options.crops, options.masks)),
        CIRCLES_CSV: csv_bytes(CIRCLES, circle_rows(result)),
        PIECES_CSV: csv_bytes(PIECES, piece_rows(result)),
        CORES_CSV: csv_bytes(CORES, core_rows(result)),
        OVERLAY: jpeg_bytes(draw_overlay(result)),
        CONTACT: jpeg_bytes(draw_contact(result)),
    }
    for name, data in files.items():
        (folder / name).write_bytes(data)
    if result.piece_map is not None:
        (folder / PIECE_MAP).write_bytes(png_bytes(result.piece_map))
    if options.crops:
        _write_crops(folder / CROPS, result.glomeruli)
    if options.masks:
        _write_masks(folder / MASKS, result.glomeruli)
        write_label_map(folder / LABEL_MAP, result.glomeruli, result.info)


def _write_crops(folder: Path, glomeruli: Sequence[Glomerulus]) -> None:
    """What the networks saw of each glomerulus."""
    folder.mkdir()
    for glomerulus in glomeruli:
        (folder / f"{glomerulus.id}.png").write_bytes(png_bytes(glomerulus.crop))


def _write_masks(folder: Path, glomeruli: Sequence[Glomerulus]) -> None:
    """White where the glomerulus is, in size and frame of its crop."""
    folder.mkdir()
    for glomerulus in glomeruli:
        mask = np.where(glomerulus.outline.mask, 255, 0).astype(np.uint8)
        (folder / f"{glomerulus.id}.png").write_bytes(png_bytes(mask))
