"""Contact sheets of what a run got most wrong: glomeruli that it missed, circles where there is none."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Polygon

from gloinone.errors import UsageError
from gloinone.evaluation.detection import found_truth
from gloinone.evaluation.plots import png
from gloinone.evaluation.run_output import AT_IOU, Row, ScoredRun, ScoredSlide
from gloinone.evaluation.tables import Evaluation
from gloinone.geometry import circle_iou
from gloinone.metrics import Floats
from gloinone.records import Pixels, Window
from gloinone.slide.discover import SlidePath, find_slides
from gloinone.slide.reader import Slide, open_slide
from gloinone.slide.resolution import Resolution

Kind = Literal["misses", "false"]
SHOWN = 24
COLUMNS = 6
VIEW_RADII = 2.2
"""Half of a cell's edge, in radii of the circle in its middle."""
CELL_PX = 220
SHOWN_IOU = 0.1
OUTSIDE = (225, 225, 225)
"""RGB of what lies beyond the slide; a reflection there would look like tissue."""
TRUTH_COLOUR, IGNORED_COLOUR, FOUND_COLOUR = "#00c000", "#909090", "#e00000"
LEGEND = "green: truth, grey: ignored, red: circles of the run"


@dataclass(frozen=True, eq=False)
class Mistake:
    """A glomerulus that was missed, or a circle that was kept and is none."""

    slide: ScoredSlide
    circle: Floats
    """(3,) cx, cy, radius; level-0 px."""
    score: float
    """Of the circle; of a miss, of the best circle on it that was not kept, nan where there is none."""
    words: str


def find_mistakes(slide: ScoredSlide, kind: Kind) -> list[Mistake]:
    """Of one slide, worst first: misses that no circle comes near, then low scores; false circles by score."""
    order, found, counts = found_truth(slide)
    known = slide.truth.circles()
    if kind == "false":
        return [_false_circle(slide, slide.kept[i], known) for i in order[counts & (found < 0)]]
    candidates = slide.image(slide.rows, "score").predicted
    mistakes = []
    for i in sorted(set(range(len(known))) - set(found.tolist())):
        iou = circle_iou(known[i : i + 1], candidates)[0]
        near = iou >= AT_IOU
        score = float(candidates[near, 3].max()) if near.any() else float("nan")
        beside = f"at best IoU {iou.max():.2f}" if iou.max(initial=0) >= SHOWN_IOU else "no circle"
        words = f"{slide.truth.glomeruli[i].label}, {f'score {score:.2f}' if near.any() else beside}"
        mistakes.append(Mistake(slide, known[i], score, words))
    return worst_first(mistakes, kind)


def _false_circle(slide: ScoredSlide, row: Row, known: Floats) -> Mistake:
    circle = np.array([float(str(row[c])) for c in ("x", "y", "radius")])
    iou = float(circle_iou(circle[None], known).max(initial=0)) if len(known) else 0.0
    score = float(str(row["score"]))
    words = f"{row['glomerulus']} {row['class']} {score:.2f}"
    # a circle too loose or too tight is another mistake than one on nothing
    return Mistake(slide, circle, score, f"{words}, IoU {iou:.2f}" if iou >= SHOWN_IOU else words)


def worst_first(mistakes: Sequence[Mistake], kind: Kind) -> list[Mistake]:
    """Misses without any circle first, the largest before the others, then the lowest score; false: the highest."""
    if kind == "false":
        return sorted(mistakes, key=lambda m: -m.score)
    return sorted(mistakes, key=lambda m: (np.nan_to_num(m.score, nan=-1.0), -m.circle[2] * m.slide.mpp))


def with_sheets(evaluation: Evaluation, run: ScoredRun, slides: Path | None) -> Evaluation:
    """The evaluation with two sheets for each source; without slides it says that there are none.

    Raises UsageError for a slide of the run that is not among the slides.
    """
    if slides is None:
        note = "no pictures of misses and false circles: name the slides with --slides"
        return replace(evaluation, notes=(*evaluation.notes, note))
    places = _places(run, slides)
    plots = dict(evaluation.plots)
    for source in sorted({slide.source for slide in run.slides}):
        own = [slide for slide in run.slides if slide.source == source]
        kinds: tuple[Kind, ...] = ("misses", "false")
        for kind in kinds:
            found = worst_first([m for slide in own for m in find_mistakes(slide, kind)], kind)
            name = f"worst_{kind}_{''.join(c if c.isalnum() or c in '-_' else '-' for c in source)}"
            while name in plots:  # two sources that a file name cannot tell apart
                name += "_"
            title = f"{source}: {'missed glomeruli' if kind == 'misses' else 'false circles'}"
            plots[name] = lambda f=found, t=title: draw_sheet(f, t, places)  # type: ignore[misc]
    return replace(evaluation, plots=plots)


def _places(run: ScoredRun, root: Path) -> dict[str, SlidePath]:
    """Where the slides of a run lie, by name."""
    by_name = {slide.name: slide for slide in find_slides(root, None).slides}
    missing = [slide.name for slide in run.slides if slide.name not in by_name]
    if missing:
        raise UsageError(
            f"{root}: no slide {', '.join(missing[:10])} in it; give --slides the input of that run"
        )
    return by_name


def draw_sheet(mistakes: Sequence[Mistake], title: str, places: dict[str, SlidePath]) -> bytes:
    """PNG of the worst, read from their slides at the run's mpp; says how many there are in all."""
    shown = mistakes[:SHOWN]
    rows = max(1, -(-len(shown) // COLUMNS))
    figure = Figure((2.1 * COLUMNS, 2.35 * rows + 0.5), layout="constrained")
    figure.suptitle(f"{title}: {len(mistakes)}, worst {len(shown)} shown ({LEGEND})", fontsize=11)
    grid = figure.subplots(rows, COLUMNS, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    with ExitStack() as stack:
        opened: dict[str, Slide] = {}
        for axes, mistake in zip(grid.flat, shown, strict=False):
            name = mistake.slide.name
            if name not in opened:
                opened[name] = stack.enter_context(_open(mistake.slide, places[name].path))
            cx, cy, radius = (float(v) for v in mistake.circle)
            half = VIEW_RADII * radius
            view = (cx - half, cx + half, cy + half, cy - half)
            read = opened[name].read_window(cx - half, cy - half, 2 * half, 2 * half, CELL_PX, CELL_PX)
            axes.imshow(
                _without_outside(read.pixels, read.window, mistake.slide.size),
                extent=view,
                interpolation="nearest",
            )
            for patch in _patches(mistake.slide, (cx, cy), 3 * half):
                axes.add_patch(patch)
            axes.set(xlim=view[:2], ylim=view[2:])
            axes.set_title(f"{Path(name).name}\n{mistake.words}", fontsize=7)
    return png(figure)


def _open(slide: ScoredSlide, path: Path) -> Slide:
    """At the mpp that the run used; UsageError where it is another picture of the same name."""
    opened = open_slide(path, slide.name, Resolution(slide.mpp, "csv"))
    size = (opened.info.width, opened.info.height)
    if size != slide.size:
        opened.close()
        raise UsageError(
            f"{path}: is {size} px, but the run's {slide.name} was {slide.size}; give its own slide"
        )
    return opened


def _without_outside(pixels: Pixels, window: Window, size: tuple[int, int]) -> Pixels:
    """The picture of a window (level-0 px), plain where it lies beyond a slide of that width and height."""
    height, width = pixels.shape[:2]
    x = window.x + (np.arange(width) + 0.5) * window.width / width
    y = window.y + (np.arange(height) + 0.5) * window.height / height
    inside = ((y >= 0) & (y < size[1]))[:, None] & ((x >= 0) & (x < size[0]))[None, :]
    return np.where(inside[..., None], pixels, np.array(OUTSIDE, np.uint8))


def _patches(slide: ScoredSlide, centre: tuple[float, float], reach: float) -> list[Polygon | Circle]:
    """Truth, what is ignored, and the run's circles within ``reach`` of a place; level-0 px."""

    def near(x: float, y: float) -> bool:
        return bool(np.hypot(x - centre[0], y - centre[1]) < reach)

    patches: list[Polygon | Circle] = []
    for regions, colour in (
        (slide.truth.ignored, IGNORED_COLOUR),
        (slide.truth.glomeruli, TRUTH_COLOUR),
    ):
        patches += [
            Polygon(r.ring, fill=False, edgecolor=colour, linewidth=1.3)
            for r in regions
            if near(*r.ring.mean(axis=0))
        ]
    for cx, cy, radius, _ in slide.image(slide.kept, "score").predicted:
        if near(cx, cy):
            patches.append(Circle((cx, cy), radius, fill=False, edgecolor=FOUND_COLOUR, linewidth=1.3))
    return patches
