"""Glomeruli by class: the columns that every table with counts shares."""

from collections.abc import Sequence

from gloinone.geometry import wilson_interval
from gloinone.labels import GLOMERULAR, NONGLOMERULAR, SCLEROSED_KINDS


def class_counts(labels: Sequence[str]) -> dict[str, object]:
    """Columns n_glomeruli to percent_sclerosed_high of glomeruli of these classes; non-glomerular ones do not count.

    >>> counts = class_counts(["normal", "normal", "obsolescent", "non-glomerular"])
    >>> counts["n_glomeruli"], counts["n_sclerosed"], round(float(str(counts["percent_sclerosed"])))
    (3, 1, 33)
    """
    n = sum(label != NONGLOMERULAR for label in labels)
    n_sclerosed = sum(label in SCLEROSED_KINDS for label in labels)
    low, high = wilson_interval(n_sclerosed, n)
    return {
        "n_glomeruli": n,
        **{f"n_{name}": labels.count(name) for name in GLOMERULAR},
        "n_sclerosed": n_sclerosed,
        "percent_sclerosed": 100 * n_sclerosed / n if n else None,
        "percent_sclerosed_low": 100 * low,
        "percent_sclerosed_high": 100 * high,
    }
