"""How numbers are distributed over the slides: bars for a picture in the page, and the slides far outside."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

WIDTH, HEIGHT = 360, 150
"""Of the bars' field, in units of the picture."""
MAX_BARS = 20
FAR_OUT = 3.0
"""Quartile ranges outside of the quartiles: Tukey's outer fences."""
MIN_FOR_OUTLIERS = 20
MAX_NAMED = 10


@dataclass(frozen=True)
class Bar:
    """One bar of the picture."""

    x: float
    y: float
    width: float
    height: float
    words: str
    """What a pointer on it says: `20 to 30: 7 slides`."""


@dataclass(frozen=True)
class Histogram:
    """Bars, the ends of their axes, and who lies far outside."""

    title: str
    bars: tuple[Bar, ...]
    low: str
    """What stands under the left end."""
    high: str
    most: int
    """Slides of the highest bar."""
    n: int
    """Slides that have the number."""
    median: str
    far: tuple[int, ...]
    """Places of those far outside, the farthest first, at most ``MAX_NAMED``."""
    n_far: int


def histogram(
    title: str, values: Sequence[float | None], limits: tuple[float, float] | None = None
) -> Histogram | None:
    """Of one number per slide; None where fewer than two slides have it.

    ``limits``: ends of the axis; None: round numbers around the values, at least 1 apart.
    """
    places = [i for i, value in enumerate(values) if value is not None and math.isfinite(value)]
    if len(places) < 2:
        return None
    known = np.array([values[i] for i in places], np.float64)
    edges = _edges(known, limits)
    counts, _ = np.histogram(known, edges)
    far = _far_out(known)
    return Histogram(
        title=title,
        bars=_bars(counts.tolist(), edges),
        low=_said(edges[0]),
        high=_said(edges[-1]),
        most=int(counts.max()),
        n=len(known),
        median=_said(float(np.median(known))),
        far=tuple(places[i] for i in far[:MAX_NAMED]),
        n_far=len(far),
    )


def _edges(
    known: np.ndarray[tuple[int], np.dtype[np.float64]], limits: tuple[float, float] | None
) -> list[float]:
    """Round numbers that hold every value, at most ``MAX_BARS`` bars."""
    low, high = limits or (float(known.min()), float(known.max()))
    step = _round_step(max(1.0, (high - low) / MAX_BARS))
    first = math.floor(low / step)
    n = max(1, math.ceil(high / step - first))
    if limits is None and (first + n) * step <= high:  # the last value needs a bar to stand in
        n += 1
    return [(first + i) * step for i in range(n + 1)]


def _round_step(least: float) -> float:
    """The first of 1, 2, 5, 10 ... times a power of ten that is no smaller."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(power * digit for digit in (1, 2, 5, 10) if power * digit >= least * (1 - 1e-9))


def _bars(counts: Sequence[int], edges: Sequence[float]) -> tuple[Bar, ...]:
    width, highest = WIDTH / len(counts), max(1, *counts)
    bars = []
    for i, count in enumerate(counts):
        height = HEIGHT * count / highest
        words = f"{_said(edges[i])} to {_said(edges[i + 1])}: {count} slide{'' if count == 1 else 's'}"
        bars.append(
            Bar(round(i * width, 1), round(HEIGHT - height, 1), round(width - 1, 1), round(height, 1), words)
        )
    return tuple(bars)


def _far_out(known: np.ndarray[tuple[int], np.dtype[np.float64]]) -> list[int]:
    """Places of values beyond the outer fences, the farthest first; none where half of all values agree."""
    low, high = np.percentile(known, [25, 75])
    if len(known) < MIN_FOR_OUTLIERS or high <= low:
        return []
    outside = np.maximum(low - known, known - high) / (high - low)
    order = np.argsort(-outside, kind="stable")
    return [int(i) for i in order if outside[i] > FAR_OUT]


def _said(value: float) -> str:
    return f"{value:.4g}"
