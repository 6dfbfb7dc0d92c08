"""Files for other programs, written on request beside the XML and the GeoJSON that every slide has."""

import logging
from collections.abc import Collection, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from gloinone.annotations.coco_write import coco_bytes
from gloinone.annotations.dsa import dsa_bytes
from gloinone.annotations.region import OutputShape
from gloinone.errors import UsageError
from gloinone.pipeline.layout import file_stem
from gloinone.records import SlideResult
from gloinone.slide.dicom import read_dicom_header
from gloinone.slide.discover import find_slides

logger = logging.getLogger(__name__)

Format = Literal["imagescope", "geojson", "dsa", "coco", "dicom-ann"]
"""The first two are always written."""
SUFFIX: dict[Format, str] = {"dsa": ".dsa.json", "coco": ".coco.json", "dicom-ann": ".ann.dcm"}


def further_files(
    result: SlideResult, shape: OutputShape, formats: Collection[Format], series: Sequence[Path]
) -> dict[str, bytes]:
    """Name -> bytes of the formats beyond XML and GeoJSON; ``series``: files of the slide if it is DICOM, else none.

    DICOM knows no annotations without any: a slide without glomeruli has none, which is logged.
    """
    stem = file_stem(result.info.name)
    files = {}
    if "dsa" in formats:
        files[stem + SUFFIX["dsa"]] = dsa_bytes(result, shape)
    if "coco" in formats:
        files[stem + SUFFIX["coco"]] = coco_bytes(result, shape)
    if "dicom-ann" in formats and series and not result.glomeruli:
        logger.warning("%s: no glomeruli, so no %s", result.info.name, SUFFIX["dicom-ann"])
    elif "dicom-ann" in formats and series:
        from gloinone.annotations.dicom_annotation import dicom_annotation_bytes

        files[stem + SUFFIX["dicom-ann"]] = dicom_annotation_bytes(result, shape, series)
    return files


def formats_in(folder: Path, name: str) -> set[Format]:
    """Those of which the folder of a slide holds a file."""
    return {fmt for fmt, suffix in SUFFIX.items() if (folder / (file_stem(name) + suffix)).is_file()}


def check_dicom_writer() -> None:
    """Raises UsageError where highdicom is not installed."""
    if find_spec("highdicom") is None:
        raise UsageError(
            "--format dicom-ann: needs highdicom, which is not installed; pip install 'gloinone[dicom]'"
        )


def dicom_series(slides: Path, out: Path) -> dict[str, tuple[Path, ...]]:
    """Name -> files of every DICOM slide in IN; only the starts of files are read. Raises UsageError."""
    found = find_slides(slides, out).slides
    return {slide.name: slide.files for slide in found if read_dicom_header(slide.path) is not None}
