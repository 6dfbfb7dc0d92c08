"""Which windows of a slide's tissue a detector is adapted to, and what they count for."""

WINDOWS = 32
"""Of a slide's tissue, at most."""
EDGE_PX = 288
"""Of each, at the network's mpp: near the size of the tiles that the networks learn from."""


def weight_of(windows: int, tissue_mm2: float, mpp: float, prior: float) -> float:
    """What the slide's own means count for, 0 to 1; windows that show the same tissue count once.

    >>> weight_of(32, 50.0, 2.0, 8.0), weight_of(32, 0.0, 2.0, 8.0)
    (0.8, 0.0)
    """
    apart = min(windows, tissue_mm2 / (EDGE_PX * mpp / 1000) ** 2)
    return apart / (apart + prior) if apart else 0.0
