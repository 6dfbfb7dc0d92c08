"""The list of glomeruli that a truth leaves out: seen by a person among a detector's false circles.

They are ignored: too unsure to be truth, and poison as background.
"""

import csv
import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gloinone.errors import AnnotationError

COLUMNS = ("slide", "x", "y", "radius")


def read_unlabelled(path: Path) -> dict[str, NDArray[np.float64]]:
    """Slide name -> (N, 3) cx, cy, radius, level-0 px; further columns are not read.

    Raises AnnotationError for a file that cannot be read, lacks a column or has a number that is none.
    """
    circles: dict[str, list[list[float]]] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            for row in csv.DictReader(stream):
                circle = [float(row[c]) for c in COLUMNS[1:]]
                if not all(map(math.isfinite, circle)) or circle[2] <= 0:
                    raise ValueError(f"{row['slide']}: {circle} is no circle")
                circles.setdefault(row["slide"], []).append(circle)
    except (OSError, KeyError, TypeError, ValueError, csv.Error) as error:
        raise AnnotationError(
            f"{path}: not a list of circles ({error}); give a CSV with the columns {', '.join(COLUMNS)} in level-0 px"
        ) from error
    return {slide: np.array(rows, np.float64) for slide, rows in circles.items()}
