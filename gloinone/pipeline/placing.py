"""Where the ids go on the overlay: beside their glomerulus, clear of each other where there is room."""

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float64]
"""(N, 4) left, top, right, bottom, px."""

GAP_PX = 3


def place_labels(boxes: Boxes, sizes: NDArray[np.float64], frame: tuple[int, int]) -> NDArray[np.float64]:
    """(N, 4) boxes of glomeruli and (N, 2) sizes of their labels -> (N, 2) top left corners of the labels.

    Eight places around each box are tried in a fixed order; the one that covers least of the other boxes, of
    the labels already placed and of what lies outside ``frame`` (width, height) is taken.
    """
    places = np.empty((len(boxes), 2))
    taken = np.empty((len(boxes), 4))
    for i, (box, size) in enumerate(zip(boxes, sizes, strict=True)):
        corners = _around(box, size)
        labels = np.hstack([corners, corners + size])
        others = np.vstack([np.delete(boxes, i, axis=0), taken[:i]])
        cost = shared_area(labels, others).sum(axis=1)
        inside = shared_area(labels, np.array([[0.0, 0.0, *frame]]))[:, 0]
        cost += 4 * (size[0] * size[1] - inside)
        best = int(np.argmin(cost))
        taken[i] = labels[best]
        places[i] = corners[best]
    limit = np.maximum(np.array(frame) - sizes, 0)
    return np.clip(places, 0, limit)


def _around(box: NDArray[np.float64], size: NDArray[np.float64]) -> NDArray[np.float64]:
    """(8, 2) top left corners: right, left, above, below, then the corners."""
    left, top, right, bottom = box
    width, height = size
    x_mid, y_mid = (left + right - width) / 2, (top + bottom - height) / 2
    before_x, after_x = left - width - GAP_PX, right + GAP_PX
    above, below = top - height - GAP_PX, bottom + GAP_PX
    return np.array(
        [
            (after_x, y_mid),
            (before_x, y_mid),
            (x_mid, above),
            (x_mid, below),
            (after_x, above),
            (after_x, below),
            (before_x, above),
            (before_x, below),
        ]
    )


def shared_area(a: Boxes, b: Boxes) -> NDArray[np.float64]:
    """(N, 4), (M, 4) -> (N, M) area that two boxes share."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared: NDArray[np.float64] = np.prod(np.maximum(high - low, 0), axis=2)
    return shared
