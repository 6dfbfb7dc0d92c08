"""One outline against another as masks on one grid: overlap, distance of the borders, area."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, distance_transform_edt

from gloinone.geometry import ring_mask
from gloinone.metrics import Floats
from gloinone.records import Mask, Points


class Agreement(NamedTuple):
    """Of a found outline with the truth."""

    dice: float
    """2 |A and B| / (|A| + |B|); 1 where both are empty."""
    iou: float
    """|A and B| / |A or B|; 1 where both are empty."""
    border_distance: float
    """Mean over the border pixels of both of the distance to the other's border; nan where one is empty."""
    border_distance_95: float
    """Their 95th percentile."""
    area_error: float
    """100 (found - truth) / truth; nan where the truth is empty."""


def compare(found: Mask, truth: Mask, unit: float = 1.0) -> Agreement:
    """Two masks (H, W) of one size; ``unit``: length of a pixel's edge in whatever distances are wanted.

    >>> compare(np.array([[1, 1, 0]], bool), np.array([[0, 1, 1]], bool))
    Agreement(dice=0.5, iou=0.3333333333333333, border_distance=0.5, border_distance_95=1.0, area_error=0.0)
    """
    both, n_found, n_truth = int((found & truth).sum()), int(found.sum()), int(truth.sum())
    either = n_found + n_truth - both
    distances = border_distances(found, truth) * unit if n_found and n_truth else np.array([np.nan])
    return Agreement(
        2 * both / (n_found + n_truth) if either else 1.0,
        both / either if either else 1.0,
        float(distances.mean()),
        float(np.percentile(distances, 95)),
        100 * (n_found - n_truth) / n_truth if n_truth else float("nan"),
    )


def border_distances(a: Mask, b: Mask) -> Floats:
    """(N,) px: from each border pixel of either mask to the nearest border pixel of the other; neither is empty.

    A border pixel is in the mask and has a side neighbour that is not; the picture's edge is no neighbour's place.
    """
    border_a, border_b = _border(a), _border(b)
    to_a: Floats = np.asarray(distance_transform_edt(~border_a), np.float64)
    to_b: Floats = np.asarray(distance_transform_edt(~border_b), np.float64)
    return np.concatenate([to_b[border_a], to_a[border_b]])


def _border(mask: Mask) -> NDArray[np.bool_]:
    inner: NDArray[np.bool_] = binary_erosion(mask, border_value=0)
    return mask & ~inner


def place_ring(mask: Mask, ring: Points) -> tuple[Mask, Mask]:
    """A mask and a ring in its continuous px -> both as masks on one grid that holds them whole."""
    height, width = mask.shape
    low = np.floor(np.minimum(ring.min(axis=0), 0)).astype(int)
    high = np.ceil(np.maximum(ring.max(axis=0), (width, height))).astype(int)
    grid_width, grid_height = (int(v) for v in high - low)
    canvas = np.zeros((grid_height, grid_width), bool)
    canvas[-low[1] : height - low[1], -low[0] : width - low[0]] = mask
    return canvas, ring_mask(ring - low, grid_width, grid_height)
