"""Scene to pixels: dye is painted, textured, blurred as a lens does, and lit."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from gloinone.drawn.stains import DYE_FULL, Palette, colour
from gloinone.drawn.strokes import Element, Painter
from gloinone.drawn.texture import GRAIN_PX, camera_grain, dye_texture, sample_texture
from gloinone.records import Pixels, Points

INTERSTITIUM = (0.03, 0.12, 0.24)
_FINEST_DETAIL_UM = 1.0
"""Coarser drawings are made at about this and averaged down, as a scanner's own pyramid is."""
_LENS_UM = 0.32
_STRIP = 512
"""Rows lit at once; divides GRAIN_PX."""


@dataclass(frozen=True)
class Glass:
    """Colours and noise of one slide."""

    palette: Palette
    seed: int

    @property
    def texture(self) -> NDArray[np.uint8]:
        """See texture.dye_texture."""
        return dye_texture(self.seed)

    @property
    def grain(self) -> NDArray[np.float32]:
        """See texture.camera_grain."""
        return camera_grain(self.seed)


def render(
    elements: Sequence[Element],
    tissue: Sequence[Points],
    glass: Glass,
    mpp: float,
    box_px: tuple[int, int, int, int],
) -> Pixels:
    """(H, W, 3) the pixels x, y, width, height of the plane whose pixel is `mpp` microns."""
    x, y, width, height = box_px
    times = max(1, int(np.ceil(mpp / _FINEST_DETAIL_UM - 1e-9)))
    fine_mpp = mpp / times
    margin = max(1, int(np.ceil(4 * _LENS_UM / fine_mpp)))
    left, top = x * times - margin, y * times - margin
    shape = (height * times + 2 * margin, width * times + 2 * margin)
    dyes = _dyes(elements, tissue, glass, fine_mpp, (left, top, shape[1], shape[0]))
    seen = cv2.GaussianBlur(dyes, (0, 0), _LENS_UM / fine_mpp)[margin:-margin, margin:-margin]
    if times > 1:
        seen = cv2.resize(seen, (width, height), interpolation=cv2.INTER_AREA)
    return _lit(np.asarray(seen, np.uint8), glass, (x, y))


def _dyes(
    elements: Sequence[Element],
    tissue: Sequence[Points],
    glass: Glass,
    mpp: float,
    box: tuple[int, int, int, int],
) -> NDArray[np.uint8]:
    left, top, width, height = box
    origin = (left * mpp, top * mpp)
    dyes = np.empty((height, width, 3), np.uint8)
    dyes[:] = [round(amount * DYE_FULL) for amount in INTERSTITIUM]
    Painter(dyes, origin, mpp).paint(elements)
    texture = sample_texture(glass.texture, origin, (width, height), mpp)
    cv2.multiply(dyes, texture, dst=dyes, scale=1 / 128)
    inside = np.zeros((height, width), np.uint8)
    for ring in tissue:
        fixed = np.rint(((ring - origin) / mpp - 0.5) * 16).astype(np.int32)
        cv2.fillPoly(inside, [fixed], 255, cv2.LINE_AA, 4)
    return np.asarray(cv2.multiply(dyes, cv2.merge([inside] * 3), dst=dyes, scale=1 / 255))


def _lit(dyes: NDArray[np.uint8], glass: Glass, corner: tuple[int, int]) -> Pixels:
    """Strip by strip, so that no whole-slide float array is made."""
    height, width = dyes.shape[:2]
    pixels = np.empty_like(dyes)
    grain = np.roll(glass.grain, (-corner[1], -corner[0]), axis=(0, 1))
    grain = np.tile(grain, (1, -(-width // GRAIN_PX), 1))[:, :width]
    for top in range(0, height, _STRIP):
        rows = dyes[top : top + _STRIP]
        below = top % GRAIN_PX
        pixels[top : top + _STRIP] = colour(rows, glass.palette, grain[below : below + len(rows)])
    return pixels
