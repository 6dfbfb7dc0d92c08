"""A picture in the size and order of channels that a network was trained on."""

from typing import Literal

import cv2
import numpy as np

from gloinone.records import Pixels


def fit_picture(picture: Pixels, edge_px: int, channels: Literal["RGB", "BGR"]) -> Pixels:
    """Square RGB picture of any size -> (edge, edge, 3) in the order asked for."""
    if picture.shape[:2] != (edge_px, edge_px):
        finer = picture.shape[0] > edge_px
        resampling = cv2.INTER_AREA if finer else cv2.INTER_LINEAR
        picture = np.asarray(cv2.resize(picture, (edge_px, edge_px), interpolation=resampling), np.uint8)
    return picture if channels == "RGB" else picture[..., ::-1]
