"""A slide's result made up by hand, for the files that are written from it."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from gloinone.geometry import measure_ring
from gloinone.labels import CLASSES
from gloinone.records import (
    Candidate,
    Detection,
    Glomerulus,
    Outline,
    Overview,
    SlideInfo,
    SlideResult,
    Window,
)

MakeResult = Callable[..., SlideResult]


def wavy_ring(cx: float, cy: float, radius: float, vertices: int = 40) -> np.ndarray:
    """An outline that is no circle, with coordinates of many decimals."""
    angle = np.arange(vertices) * 2 * np.pi / vertices
    r = radius * (1 + 0.1 * np.sin(5 * angle))
    return np.column_stack([cx + r * np.cos(angle), cy + r * np.sin(angle)])


def make_glomerulus(number: int, label: str, mpp: float) -> Glomerulus:
    cx, cy, radius = 1000.123 * number, 2000.456 + number, 251.789 + number
    probabilities = np.full(5, 0.02)
    probabilities[CLASSES.index(label)] = 0.92
    candidate = Candidate(
        detection=Detection(cx, cy, radius, 0.9123456789 - number / 1000),
        probabilities=tuple(probabilities),
        score=0.8123456789,
        label=label,
        window=Window(cx - radius - 50, cy - radius - 50, 2 * radius + 100, 2 * radius + 100, 256, 256),
    )
    ring = wavy_ring(cx + 3, cy - 2, radius)
    measures = measure_ring(ring)
    return Glomerulus(
        number=number,
        candidate=candidate,
        outline=Outline(ring, "mask", number % 2 == 0, np.zeros((256, 256), bool), candidate.window),
        crop=np.zeros((256, 256, 3), np.uint8),
        area_um2=measures.area * mpp**2,
        perimeter_um=measures.perimeter * mpp,
        diameter_um=measures.diameter * mpp,
        circularity=measures.circularity,
        at_edge=number == 1,
    )


@pytest.fixture
def make_result() -> MakeResult:
    """Result with one glomerulus per label, and one circle that became none."""

    def make(
        labels: Sequence[str] = CLASSES[:4],
        name: str = "case 7/a.svs",
        mpp: float = 0.2527,
        vendor: str = "aperio",
        bounds: tuple[int, int, int, int] | None = None,
        read_fraction: float = 1.0,
        tissue_mm2: float = 12.5,
    ) -> SlideResult:
        info = SlideInfo(name, 40000, 30000, mpp, "file", vendor, (1.0, 4.0), bounds)
        glomeruli = tuple(make_glomerulus(n, label, mpp) for n, label in enumerate(labels, start=1))
        spare = make_glomerulus(20, "non-glomerular", mpp).candidate
        window = Window(0, 0, 40000, 30000, 100, 75)
        overview = Overview(window, np.zeros((75, 100, 3), np.uint8), np.zeros((75, 100), bool))
        return SlideResult(
            info=info,
            overview=overview,
            tissue_mm2=tissue_mm2,
            tissue_read_fraction=read_fraction,
            candidates=(*(g.candidate for g in glomeruli), spare),
            glomeruli=glomeruli,
        )

    return make
