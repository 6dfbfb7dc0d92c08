"""A training's log as a picture; the only part of training that needs matplotlib, imported when it is drawn."""

import math
from pathlib import Path

from gloinone.learning.journal import read_journal
from gloinone.learning.whole import written_whole

PICTURE = "training.png"


def draw_curves(journal: Path, picture: Path) -> None:
    """A panel for each column that has numbers, over the steps; written whole or not at all."""
    from matplotlib.figure import Figure

    rows = read_journal(journal)
    curves = {
        name: [(int(row["step"]), float(row[name])) for row in rows if row[name]]
        for name in (rows[0] if rows else {})
        if name != "step"
    }
    curves = {name: [p for p in points if math.isfinite(p[1])] for name, points in curves.items()}
    curves = {name: points for name, points in curves.items() if points}
    if not curves:
        return
    across = min(3, len(curves))
    down = -(-len(curves) // across)
    figure = Figure(figsize=(3.6 * across, 2.4 * down), layout="constrained")
    for number, (name, points) in enumerate(curves.items(), start=1):
        axes = figure.add_subplot(down, across, number)
        marker = "o" if len(points) < 20 else None
        axes.plot(*zip(*points, strict=True), color="tab:blue", linewidth=1, marker=marker, markersize=3)
        axes.set_title(name, fontsize=9)
        axes.set_xlabel("step", fontsize=8)
        axes.tick_params(labelsize=8)
        axes.grid(alpha=0.3)
    with written_whole(picture) as aside:
        figure.savefig(aside, dpi=110)
