"""Curves and grids of an evaluation as PNG. No global state: every figure is its own."""

import io
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from gloinone.evaluation.agreement import limits_of_agreement
from gloinone.metrics import Floats, Reliability

DPI = 110
POINT = {"marker": "o", "linestyle": "", "color": "black", "markersize": 6}


class Line(NamedTuple):
    """One curve."""

    name: str
    x: Floats
    """(N,)."""
    y: Floats
    """(N,)."""


def png(figure: Figure) -> bytes:
    """The same bytes for the same figure."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=DPI, metadata={"Software": None})
    return stream.getvalue()


def draw_lines(
    lines: Sequence[Line],
    x_name: str,
    y_name: str,
    at_threshold: tuple[float, float] | None = None,
    y_limits: tuple[float, float] | None = None,
    at_name: str = "at the threshold",
) -> bytes:
    """Curves in one frame; a dot at what the run does."""
    figure = Figure((5.5, 4.5), layout="constrained")
    axes = figure.add_subplot(xlabel=x_name, ylabel=y_name)
    for line in lines:
        axes.plot(line.x, line.y, label=line.name, marker="." if len(line.x) < 30 else "")
    if at_threshold is not None:
        axes.plot([at_threshold[0]], [at_threshold[1]], label=at_name, **POINT)  # type: ignore[arg-type]
    if y_limits is not None:
        axes.set_ylim(*y_limits)
    axes.grid(alpha=0.3)
    axes.legend()
    return png(figure)


def draw_grid(confusion: NDArray[np.intp], classes: Sequence[str]) -> bytes:
    """A confusion matrix: numbers, shaded by the share of their row."""
    share = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    edge = 2.2 + 0.9 * len(classes)
    figure = Figure((edge, edge), layout="constrained")
    axes = figure.add_subplot(xlabel="given", ylabel="truth")
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    places = range(len(classes))
    axes.set_xticks(places, classes, rotation=30, ha="right")
    axes.set_yticks(places, classes)
    for row in places:
        for column in places:
            colour = "white" if share[row, column] > 0.6 else "black"
            words = f"{confusion[row, column]}\n{share[row, column]:.2f}"
            axes.text(column, row, words, ha="center", va="center", color=colour)
    return png(figure)


def draw_reliability(found: Reliability) -> bytes:
    """Share right over confidence; the area of a dot is the number of crops in its bin."""
    figure = Figure((4.5, 4.5), layout="constrained")
    axes = figure.add_subplot(xlabel="probability of the likeliest class", ylabel="share that is right")
    axes.plot([0, 1], [0, 1], color="grey", linewidth=1)
    area = 300 * found.count / max(int(found.count.sum()), 1) + 8 * (found.count > 0)
    axes.scatter(found.confidence, found.right, s=area)
    axes.set(xlim=(0, 1.02), ylim=(0, 1.02))
    axes.grid(alpha=0.3)
    return png(figure)


def draw_spread(values: Mapping[str, Floats], name: str) -> bytes:
    """A box and its points for each of several sets of numbers."""
    figure = Figure((6.5, 1.2 + 0.24 * len(values)), layout="constrained")
    axes = figure.add_subplot(xlabel=name)
    axes.boxplot(list(values.values()), orientation="horizontal", tick_labels=list(values), showfliers=False)
    for place, own in enumerate(values.values(), start=1):
        axes.plot(own, np.full(len(own), place), ".", color="C0", alpha=0.5)
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.3)
    axes.tick_params(axis="y", labelsize=7)
    return png(figure)


def draw_pairs(truth: Floats, found: Floats, name: str) -> bytes:
    """What was found over what is true, a dot each, with the line where they are the same."""
    figure = Figure((4.5, 4.5), layout="constrained")
    axes = figure.add_subplot(xlabel=f"{name}, truth", ylabel=f"{name}, found")
    most = max(float(np.max(truth, initial=0)), float(np.max(found, initial=0)), 1.0) * 1.05
    axes.plot([0, most], [0, most], color="grey", linewidth=1)
    axes.plot(truth, found, ".", alpha=0.6, markersize=9)
    axes.set(xlim=(0, most), ylim=(0, most))
    axes.grid(alpha=0.3)
    return png(figure)


def draw_bland_altman(machine: Floats, reader: Floats, name: str) -> bytes:
    """Difference over mean of (N,) pairs, with bias and limits of agreement; pairs with a nan are left out."""
    known = np.isfinite(machine) & np.isfinite(reader)
    difference, mean = (machine - reader)[known], (machine + reader)[known] / 2
    limits = limits_of_agreement(difference)
    figure = Figure((6, 4.2), layout="constrained")
    axes = figure.add_subplot(xlabel=f"{name}, mean of machine and reader", ylabel="machine less reader")
    axes.axhline(0, color="grey", linewidth=1)
    for value, style in ((limits.bias, "-"), (limits.low, "--"), (limits.high, "--")):
        if np.isfinite(value):
            axes.axhline(value, color="C1", linestyle=style)
            axes.annotate(
                f"{value:.2f}",
                (1, value),
                (4, 0),
                xycoords=("axes fraction", "data"),
                textcoords="offset points",
                va="center",
                fontsize=8,
            )
    axes.plot(mean, difference, ".", alpha=0.6, markersize=9)
    axes.set_title(f"{limits.n} slides", fontsize=10)
    axes.grid(alpha=0.3)
    return png(figure)
