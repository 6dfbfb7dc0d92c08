"""PNG masks: of glomeruli, and of the tissue of a run's slide."""

from pathlib import Path

import cv2
import numpy as np

from gloinone.annotations.pictures import decoded_picture
from gloinone.annotations.truth import Truth
from gloinone.errors import AnnotationError
from gloinone.records import Mask, Window

TISSUE = "tissue.png"
"""Of a slide's results: the overview of the whole slide."""


def read_mask(path: Path) -> Mask:
    """(H, W) of a picture, True where it is not black; AnnotationError."""
    try:
        pixels = decoded_picture(path, cv2.IMREAD_GRAYSCALE)
    except OSError as error:
        raise AnnotationError(f"{path}: cannot be read ({error}); is it still there?") from error
    if pixels is None:
        raise AnnotationError(f"{path}: not a readable mask; write it as an 8-bit or 1-bit PNG")
    return np.asarray(pixels > 0)


def complete_share(folder: Path, truth: Truth, size: tuple[int, int]) -> float:
    """Of the tissue of the slide whose results lie in a folder, the share where the truth is complete; 0..1.

    ``size``: width and height of the slide, level-0 px. Raises AnnotationError where its tissue.png cannot be read.
    """
    if truth.complete is None:
        return 1.0
    tissue = read_mask(folder / TISSUE)
    height, width = tissue.shape
    known = truth.complete_part(tissue, Window(0, 0, *size, width, height))[tissue]
    return float(known.mean()) if len(known) else 0.0
