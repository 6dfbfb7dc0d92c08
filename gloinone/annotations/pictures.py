"""Masks and crops that other programs wrote as plain pictures."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray


def decoded_picture(path: Path, mode: int) -> NDArray[np.uint8] | None:
    """(H, W) or (H, W, 3) BGR by cv2's ``mode``; None where the file is empty or no picture. Raises OSError."""
    data = np.fromfile(path, np.uint8)
    pixels = cv2.imdecode(data, mode) if len(data) else None
    return None if pixels is None else np.asarray(pixels, np.uint8)
