"""Seeded noise in microns: granules, chromatin and fibres, the same at every magnification."""

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

GRAIN_PX = 1024
_EDGE = 1024
_LATTICE_UM = 0.5
"""Spacing of the noise; the field repeats after 512 um, which slower noise hides."""


def _waves(
    rng: np.random.Generator, sigma_um: tuple[float, float], edge: int, lattice_um: float
) -> NDArray[np.float64]:
    """(edge, edge) periodic noise of variance 1, blurred by sigma (x, y) microns."""
    frequency = np.fft.fftfreq(edge, lattice_um)
    x, y = frequency[None, : edge // 2 + 1], frequency[:, None]
    blur = np.exp(-2 * np.pi**2 * ((sigma_um[0] * x) ** 2 + (sigma_um[1] * y) ** 2))
    field = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((edge, edge))) * blur, s=(edge, edge))
    return np.asarray((field - field.mean()) / field.std())


@lru_cache(maxsize=2)
def dye_texture(seed: int) -> NDArray[np.uint8]:
    """(1024, 1024, 3) periodic factors for the three dyes, 128 is 1, a pixel per 0.5 um."""
    rng = np.random.default_rng(seed)
    layers: tuple[tuple[tuple[float, float, float], ...], ...] = (
        ((0.16, 0.6, 0.6), (0.10, 1.5, 1.5)),
        ((0.09, 0.6, 0.6), (0.09, 2.0, 2.0), (0.06, 9.0, 9.0)),
        ((0.09, 0.7, 0.7), (0.08, 1.6, 1.6), (0.07, 4.0, 4.0), (0.06, 12.0, 12.0)),
    )
    fields = [
        1 + sum(share * _waves(rng, (sx, sy), _EDGE, _LATTICE_UM) for share, sx, sy in dye) for dye in layers
    ]
    texture = np.asarray(np.clip(np.stack(fields, axis=-1) * 128, 0, 255), np.uint8)
    texture.flags.writeable = False
    return texture


@lru_cache(maxsize=2)
def camera_grain(seed: int) -> NDArray[np.float32]:
    """(GRAIN_PX, GRAIN_PX, 3) noise of the camera in grey levels, which repeats."""
    rng = np.random.default_rng((seed, 3))
    noise = rng.standard_normal((GRAIN_PX, GRAIN_PX, 4), np.float32)
    grain: NDArray[np.float32] = noise[..., :1] * np.float32(1.3) + noise[..., 1:] * np.float32(0.8)
    grain.flags.writeable = False
    return grain


def sample_texture(
    texture: NDArray[np.uint8], origin_um: tuple[float, float], size: tuple[int, int], mpp: float
) -> NDArray[np.uint8]:
    """The texture over a window of `size` (width, height) px."""
    width, height = size
    step = mpp / _LATTICE_UM
    left, top = (o / _LATTICE_UM + (step - 1) / 2 for o in origin_um)
    # Pieces of at most one period out of two periods: OpenCV's own wrapping is several times slower.
    twice = np.tile(texture, (2, 2, 1))
    edge = int((_EDGE - 2) / step)
    sampled = np.empty((height, width, 3), np.uint8)
    for y in range(0, height, edge):
        for x in range(0, width, edge):
            part = sampled[y : y + edge, x : x + edge]
            sampling = np.array([[step, 0, (left + x * step) % _EDGE], [0, step, (top + y * step) % _EDGE]])
            flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
            part[:] = cv2.warpAffine(twice, sampling, part.shape[1::-1], flags=flags)
    return sampled


def slow_field(seed: int, size_um: tuple[float, float], scale_um: float) -> NDArray[np.float64]:
    """(rows, columns) smooth noise of variance 1, a value per `scale_um` / 4, over at least `size_um`."""
    step = scale_um / 4
    edge = 2 * int(np.ceil((max(size_um) / step + 8) / 2))
    return _waves(np.random.default_rng(seed), (scale_um, scale_um), edge, step)


def at_points(
    field: NDArray[np.float64], scale_um: float, points: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Values of a slow field at (N, 2) microns, nearest."""
    index = np.clip((points / (scale_um / 4)).astype(int), 0, len(field) - 1)
    return np.asarray(field[index[:, 1], index[:, 0]])
