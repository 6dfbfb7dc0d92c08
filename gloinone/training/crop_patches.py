"""Patches for training from folders of single crops, cut tight around each glomerulus and stretched to a square.

They are shrunk to the job's framing and mirrored beyond their border; what lies there has no mask. Their true
size is lost, so each is given one drawn at random.
"""

import csv
import hashlib
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from gloinone.annotations.pictures import decoded_picture
from gloinone.errors import AnnotationError
from gloinone.labels import CLASSES, GLOMERULUS, SCLEROSED
from gloinone.learning.patches import CROP_IN_PATCH_PX, PATCH_PX, UNKNOWN, Patches
from gloinone.records import Pixels
from gloinone.slide.crops import CONTEXT_UM

LABELS = (*CLASSES, SCLEROSED, GLOMERULUS)
RADII_UM = (55.0, 110.0)
ROUND_SHARE = 0.72
"""Of a tight square that a glomerulus fills, where no mask says it; measured on 946 of them."""
SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff")


@dataclass(frozen=True)
class ListedCrop:
    """One crop by its name, its picture not yet read."""

    name: str
    label: str
    slide: str
    """Its own name where the table does not say."""
    patient: str
    """Likewise the slide's."""
    source: str
    """Centre, else the folder's name."""


def listed_crops(
    crops: Path, labels: Path | None, source: str = "", any_label: bool = False
) -> list[ListedCrop]:
    """Every picture of a folder, or of those its table lists, in order.

    ``labels``: CSV with the columns name and label, and if it has them slide, patient and centre; without it, all
    are `glomerulus`. ``source``: where no centre is said; empty: the folder's name. ``any_label``: as of
    ``read_labels``. Raises AnnotationError.
    """
    source = source or crops.resolve().name
    rows = read_labels(labels, any_label) if labels else [{"name": name} for name in picture_names(crops)]
    if not rows:
        raise AnnotationError(f"{crops}: no pictures; expected {', '.join(SUFFIXES)}")
    listed = []
    for row in rows:
        slide = row.get("slide") or row["name"]
        patient, centre = row.get("patient") or slide, row.get("centre") or source
        listed.append(ListedCrop(row["name"], row.get("label") or GLOMERULUS, slide, patient, centre))
    return listed


def read_crop_folder(
    crops: Path,
    labels: Path | None,
    masks: Path | None,
    left_out: frozenset[str] = frozenset(),
    source: str = "",
    any_label: bool = False,
) -> Patches:
    """The crops of a folder as patches, but for those of patients that are left out, which are not read.

    The others as of ``listed_crops``; ``masks``: folder of PNG of the same names. Raises AnnotationError.
    """
    rows = [crop for crop in listed_crops(crops, labels, source, any_label) if crop.patient not in left_out]
    pixels = np.empty((len(rows), PATCH_PX, PATCH_PX, 3), np.uint8)
    patch_masks = np.empty((len(rows), PATCH_PX, PATCH_PX), np.uint8)
    radius = np.empty(len(rows))
    for i, row in enumerate(rows):
        picture = read_picture(crops, row.name)
        mask = read_mask(masks, row.name, picture) if masks else None
        pixels[i], patch_masks[i], radius[i] = place_tight(picture, mask, drawn_radius_um(picture))
    return Patches(
        pixels,
        patch_masks,
        radius,
        tuple(row.label for row in rows),
        tuple(row.patient for row in rows),
        tuple(row.slide for row in rows),
        tuple(row.source for row in rows),
    )


def drawn_radius_um(picture: Pixels) -> float:
    """Drawn by what the picture shows, so that a copy of it becomes the same patch, and is known by that."""
    seed = int.from_bytes(hashlib.sha256(np.ascontiguousarray(picture).tobytes()).digest()[:8], "big")
    return float(np.exp(np.random.default_rng(seed).uniform(*np.log(RADII_UM))))


def place_tight(
    picture: Pixels, mask: NDArray[np.bool_] | None, radius_um: float
) -> tuple[Pixels, NDArray[np.uint8], float]:
    """Picture, mask and radius in a patch, as if the glomerulus had that radius."""
    height, width = picture.shape[:2]
    inside = float(mask.sum()) if mask is not None else ROUND_SHARE * height * width
    radius = CROP_IN_PATCH_PX / 2 * radius_um / (radius_um + CONTEXT_UM)
    scale = radius / float(np.sqrt(inside / np.pi))
    # The patch's centre is the picture's centre; cv2 counts from pixel centres
    shift = PATCH_PX / 2 - 0.5 - scale * np.array([width / 2 - 0.5, height / 2 - 0.5])
    affine = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    size = (PATCH_PX, PATCH_PX)
    flags, border = cv2.INTER_AREA, cv2.BORDER_REFLECT_101
    patch = np.asarray(cv2.warpAffine(picture, affine, size, flags=flags, borderMode=border), np.uint8)
    unknown = np.full(size, UNKNOWN, np.uint8)
    if mask is None:
        return patch, unknown, radius
    placed = cv2.warpAffine(
        mask.astype(np.uint8), affine, size, unknown, cv2.INTER_NEAREST, cv2.BORDER_CONSTANT, (UNKNOWN,)
    )
    return patch, np.asarray(placed, np.uint8), radius


def read_labels(path: Path, any_label: bool = False) -> list[dict[str, str]]:
    """Rows of the table, by column; columns name and label must be there.

    A picture's suffix is taken off the name. ``any_label``: labels are not looked at. Raises AnnotationError with the
    line of a name or label that is missing, a name that stands there twice, or a class that is not known.
    """
    rows: dict[str, dict[str, str]] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            for cells in reader:
                row = {k: v.strip() for k, v in cells.items() if k and v}
                where = f"{path}, line {reader.line_num}"
                name = row.get("name", "")
                if Path(name).suffix.lower() in SUFFIXES:
                    name = row["name"] = str(Path(name).with_suffix(""))
                if not name or not (row.get("label") or any_label):
                    raise AnnotationError(f"{where}: every row needs a name and a label; columns: name,label")
                if not any_label and row["label"] not in LABELS:
                    known = ", ".join(LABELS)
                    raise AnnotationError(
                        f"{where}: {name} is of unknown class {row['label']!r}; known: {known}"
                    )
                if name in rows:
                    raise AnnotationError(f"{where}: {name} is listed twice; keep the row that is right")
                rows[name] = row
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise AnnotationError(f"{path}: cannot be read, {error}; give a CSV with name and label") from error
    if not rows:
        raise AnnotationError(f"{path}: an empty table of crops; columns: name,label")
    return list(rows.values())


def picture_names(folder: Path) -> list[str]:
    """Of the pictures in a folder, without suffix, in order; two files of one name are one."""
    files = (path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file())
    return sorted({path.stem for path in files})


def find_picture(folder: Path, name: str) -> Path | None:
    """The picture of that name, whatever its suffix."""
    files = (folder / f"{name}{s}" for suffix in SUFFIXES for s in (suffix, suffix.upper()))
    return next((file for file in files if file.is_file()), None)


def read_picture(folder: Path, name: str) -> Pixels:
    """RGB picture."""
    path = find_picture(folder, name)
    bgr = None if path is None else decoded_picture(path, cv2.IMREAD_COLOR)
    if bgr is None:
        raise AnnotationError(f"{folder / name}: missing or no picture; expected {', '.join(SUFFIXES)}")
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)


def read_mask(folder: Path, name: str, picture: Pixels) -> NDArray[np.bool_]:
    """Mask of the size of its picture."""
    path = folder / f"{name}.png"
    grey = decoded_picture(path, cv2.IMREAD_GRAYSCALE) if path.is_file() else None
    if grey is None or grey.shape != picture.shape[:2]:
        raise AnnotationError(f"{path}: missing, or not the size of its crop; one PNG per crop")
    return np.asarray(grey > 0, np.bool_)
