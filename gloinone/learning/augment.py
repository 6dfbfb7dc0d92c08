"""Colour, focus and compression as other hospitals have them; every function takes and gives (H, W, 3) uint8 RGB."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from gloinone.records import Pixels

# Optical densities of hematoxylin, eosin and diaminobenzidine (Ruifrok and Johnston 2001)
_HED_RGB = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]], np.float32)
_RGB_HED = np.linalg.inv(_HED_RGB).astype(np.float32)
_DENSITY = -np.log((np.arange(256, dtype=np.float32) + 1) / 256)

GAIN = 0.6, 1.12
"""Of the light: scanners of one make have left blank glass at anything from 165 to 255."""


@dataclass(frozen=True)
class ColourConfig:
    """How often and how far; shares are probabilities per image."""

    stain_share: float = 0.7
    """HED jitter (Tellez et al. 2018)."""
    stain_strength: float = 0.2
    restain_share: float = 0.15
    """Optical densities mixed into other colours: stains that the training slides do not show."""
    grey_share: float = 0.05
    light_share: float = 0.7
    """Gain, offset, gamma and saturation of the camera."""
    blur_share: float = 0.25
    jpeg_share: float = 0.25
    noise_share: float = 0.15


def augment_colour(pixels: Pixels, rng: np.random.Generator, config: ColourConfig) -> Pixels:
    """One random appearance of the same tissue."""
    if rng.random() < config.stain_share:
        pixels = jitter_stain(pixels, rng, config.stain_strength)
    if rng.random() < config.restain_share:
        pixels = restain(pixels, rng)
    if rng.random() < config.light_share:
        pixels = jitter_light(pixels, rng)
    if rng.random() < config.grey_share:
        pixels = np.repeat(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
    if rng.random() < config.blur_share:
        pixels = np.asarray(cv2.GaussianBlur(pixels, (0, 0), float(rng.uniform(0.4, 1.6))), np.uint8)
    if rng.random() < config.noise_share:
        pixels = add_noise(pixels, rng)
    if rng.random() < config.jpeg_share:
        pixels = recompress(pixels, int(rng.integers(25, 90)))
    return pixels


def _density(pixels: Pixels, mix: NDArray[np.float32]) -> NDArray[np.float32]:
    """Optical densities of the pixels, times a 3 x 3 matrix."""
    return np.asarray(cv2.transform(cv2.LUT(pixels, _DENSITY), mix), np.float32)


def _rgb_from_density(density: NDArray[np.float32]) -> Pixels:
    light = np.clip(cv2.exp(-density), 0, 1)
    return np.asarray(cv2.convertScaleAbs(light, alpha=255), np.uint8)


def jitter_stain(pixels: Pixels, rng: np.random.Generator, strength: float) -> Pixels:
    """More or less of each of three stains, and a little of it everywhere."""
    scale = np.diag(rng.uniform(1 - strength, 1 + strength, 3).astype(np.float32))
    shift = rng.uniform(-0.04, 0.04, 3).astype(np.float32) * strength / 0.25
    density = _density(pixels, np.asarray((_RGB_HED @ scale @ _HED_RGB).T, np.float32))
    return _rgb_from_density(density + np.asarray(shift @ _HED_RGB, np.float32))


def restain(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """The three optical densities mixed at random into three new ones of about the same darkness."""
    mix = rng.dirichlet((0.6, 0.6, 0.6), 3)
    gain = rng.uniform(0.5, 1.5, (3, 1))
    keep = rng.uniform(0, 0.6)
    return mix_densities(pixels, (keep * np.eye(3) + (1 - keep) * mix * gain).T.astype(np.float32))


def mix_densities(pixels: Pixels, matrix: NDArray[np.float32]) -> Pixels:
    """Each pixel's row of optical densities times a 3 x 3 matrix."""
    return _rgb_from_density(_density(pixels, np.ascontiguousarray(matrix.T)))


def jitter_light(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Gain and offset per channel, gamma, and saturation."""
    levels = np.linspace(0, 1, 256, dtype=np.float32)
    gamma = np.exp(rng.uniform(-0.35, 0.35))
    gain = rng.uniform(*GAIN) * rng.uniform(0.93, 1.07, 3)
    offset = rng.uniform(-0.08, 0.05)
    table = np.clip(levels[:, None] ** gamma * gain + offset, 0, 1) * 255
    out = cv2.LUT(pixels, table.astype(np.uint8)[None])
    saturation = np.float32(rng.uniform(0.6, 1.35))
    grey = np.array([0.299, 0.587, 0.114], np.float32)
    matrix = saturation * np.eye(3, dtype=np.float32) + (1 - saturation) * grey[None].repeat(3, 0)
    return np.asarray(cv2.transform(out, matrix), np.uint8)


def add_noise(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Sensor noise of up to eight grey levels."""
    noise = rng.standard_normal(pixels.shape, np.float32) * np.float32(rng.uniform(1, 8))
    return np.clip(pixels + noise, 0, 255).astype(np.uint8)


def recompress(pixels: Pixels, quality: int) -> Pixels:
    """Through JPEG and back."""
    ok, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert ok
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
