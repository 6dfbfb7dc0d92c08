"""Dyes on the slide and the light that passes: three dye amounts per pixel become RGB by Beer-Lambert."""

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from gloinone.records import Pixels

Stain = Literal["pas", "he", "silver", "trichrome"]
Dye = tuple[float, float, float]
"""Amounts in nuclei, cytoplasm and matrix (basement membrane, collagen); 1 is a fully stained structure."""

DYE_FULL = 160
"""Byte value of amount 1, so that amounts up to 1.6 fit."""

_ABSORBANCE: dict[str, tuple[Dye, Dye, Dye]] = {
    "pas": ((1.10, 1.12, 0.52), (0.30, 0.72, 0.24), (0.34, 1.60, 0.72)),
    "he": ((1.15, 1.45, 0.62), (0.16, 0.92, 0.48), (0.10, 0.60, 0.30)),
    "silver": ((0.75, 0.95, 0.70), (0.15, 0.33, 0.36), (1.55, 1.65, 1.55)),
    "trichrome": ((1.25, 1.55, 1.00), (0.24, 1.05, 0.72), (1.20, 0.72, 0.30)),
}
"""Natural absorbance in R, G, B of amount 1 of each dye, read off real kidney slides of each stain."""

STAINS = tuple(_ABSORBANCE)


@dataclass(frozen=True)
class Palette:
    """One laboratory's hand: how strong and how tinted its stain is, and the colour of its lamp."""

    absorbance: NDArray[np.float64]
    """(3 dyes, 3 RGB)."""
    light: NDArray[np.float64]
    """(3,) RGB of bare glass, 0..255."""


def draw_palette(stain: Stain, rng: np.random.Generator) -> Palette:
    """A palette that varies between slides as much as laboratories do."""
    base = np.array(_ABSORBANCE[stain])
    strength = rng.uniform(0.75, 1.25)
    per_dye = rng.uniform(0.85, 1.18, (3, 1))
    tint = rng.uniform(0.9, 1.1, (3, 3))
    glass = rng.uniform(236, 246) + rng.uniform(-3.5, 3.5, 3)
    return Palette(base * strength * per_dye * tint, glass)


def colour(dyes: NDArray[np.uint8], palette: Palette, grain: NDArray[np.float32]) -> Pixels:
    """(H, W, 3) dye bytes -> (H, W, 3) RGB; `grain` (H, W, 3) is added in grey levels."""
    # The lamp is the constant of the exponent: light * exp(-a) = exp(ln light - a).
    exponent = np.column_stack([-palette.absorbance.T / DYE_FULL, np.log(palette.light)]).astype(np.float32)
    light = cv2.exp(cv2.transform(dyes.astype(np.float32), exponent))
    return np.asarray(cv2.convertScaleAbs(cv2.add(light, grain)), np.uint8)
