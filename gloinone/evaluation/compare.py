"""Machine against reader: which glomeruli both have, what each calls them, and how far counts and shares differ."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gloinone.evaluation.agreement import balanced_accuracy, kappa, limits_of_agreement
from gloinone.evaluation.corrected import ReadRun, ReadSlide
from gloinone.evaluation.plots import draw_bland_altman, draw_grid
from gloinone.evaluation.run_output import circles_of
from gloinone.evaluation.tables import NAN, Cell, Evaluation, Table, score_table, scored
from gloinone.geometry import circle_iou
from gloinone.labels import GLOMERULAR, GLOMERULUS, NORMAL, SCLEROSED
from gloinone.metrics import Floats, in_ignored

MIN_IOU = 0.5
"""Of circles that are one glomerulus, whatever their ids: an export at another threshold gives new ones."""
STATES = (NORMAL, SCLEROSED)


@dataclass(frozen=True)
class Glance:
    """One glomerulus as machine and reader have it; None: that side has none there."""

    slide: str
    patient: str
    piece: str
    """Empty where pieces are not told apart."""
    id: str
    """The machine's, else empty."""
    x: float
    """Centre, level-0 px."""
    y: float
    machine: str | None
    """One of labels.GLOMERULAR."""
    reader: str | None
    """The same, `sclerosed` of unknown kind, or `glomerulus` of unknown state."""

    @property
    def is_shared(self) -> bool:
        """Both have it."""
        return self.machine is not None and self.reader is not None


def pair_up(machine: Floats, reader: Floats, same_id: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Pairs of (N, 3) and (M, 3) circles that are one glomerulus, each circle at most once.

    First those of an IoU of MIN_IOU, the better first. Of what is left, those of the same id (N, M) that overlap
    at all: the reader shrank or moved that outline.
    """
    if not len(machine) or not len(reader):
        return []
    iou = circle_iou(machine, reader)
    worth = np.where((iou >= MIN_IOU) | same_id, iou, 0)
    pairs = []
    while (best := worth.max()) > 0:
        i, j = (int(v) for v in np.argwhere(worth == best)[0])
        pairs.append((i, j))
        worth[i], worth[:, j] = 0, 0
    return pairs


def glances(slide: ReadSlide) -> list[Glance]:
    """Every glomerulus that one side has; the machine's in places to be ignored only if the reader has them too."""
    machine = circles_of(slide.machine, "score")
    reader = slide.reader.circles()
    regions = slide.reader.glomeruli
    ids = [str(row["glomerulus"]) for row in slide.machine]
    same_id = np.array([[i == region.id for region in regions] for i in ids], np.bool_)
    pairs = dict(pair_up(machine[:, :3], reader, same_id.reshape(len(ids), len(regions))))
    unseen = in_ignored(machine, slide.reader.ignored_circles())
    found = []
    for i, row in enumerate(slide.machine):
        if i in pairs or not unseen[i]:
            label = regions[pairs[i]].label if i in pairs else None
            found.append(_glance(slide, machine[i], ids[i], str(row["class"]), label))
    missed = sorted(set(range(len(regions))) - set(pairs.values()))
    return found + [_glance(slide, reader[j], "", None, regions[j].label) for j in missed]


def _glance(slide: ReadSlide, circle: Floats, name: str, machine: str | None, reader: str | None) -> Glance:
    x, y, radius = (float(v) for v in circle[:3])
    return Glance(slide.name, slide.patient, slide.piece(x, y, radius), name, x, y, machine, reader)


def state(label: str | None) -> str | None:
    """Normal or sclerosed; None where that is not known."""
    if label is None or label == GLOMERULUS:
        return None
    return NORMAL if label == NORMAL else SCLEROSED


def kind(label: str | None) -> str | None:
    """One of labels.GLOMERULAR; None where that is not known."""
    return label if label in GLOMERULAR else None


def confusion(
    seen: Sequence[Glance], classes: Sequence[str], name: Callable[[str | None], str | None]
) -> NDArray[np.intp]:
    """(K, K) rows are the reader's, columns the machine's; of glomeruli that both have and name."""
    table = np.zeros((len(classes), len(classes)), np.intp)
    for glance in seen:
        reader, machine = name(glance.reader), name(glance.machine)
        if reader is not None and machine is not None:
            table[classes.index(reader), classes.index(machine)] += 1
    return table


def _share(part: int, whole: int) -> float:
    return 100 * part / whole if whole else NAN


MEASURES: Mapping[str, Callable[[Sequence[Glance]], float]] = {
    "kappa, normal or sclerosed": lambda seen: kappa(confusion(seen, STATES, state)),
    "balanced accuracy, normal or sclerosed": lambda seen: balanced_accuracy(confusion(seen, STATES, state)),
    "kappa, four classes": lambda seen: kappa(confusion(seen, GLOMERULAR, kind)),
    "balanced accuracy, four classes": lambda seen: balanced_accuracy(confusion(seen, GLOMERULAR, kind)),
    "missed: the reader's that the machine has not (%)": lambda seen: _share(
        sum(g.machine is None for g in seen), sum(g.reader is not None for g in seen)
    ),
    "added: the machine's that the reader has not (%)": lambda seen: _share(
        sum(g.reader is None for g in seen), sum(g.machine is not None for g in seen)
    ),
}

_COLUMNS = (
    *("glomeruli, reader", "glomeruli, machine", "difference", "missed", "added"),
    *("% sclerosed, reader", "% sclerosed, machine", "difference (points)"),
)
_DIFFERENCE, _POINTS = 2, 7
"""Places among these columns."""


def percent_sclerosed(labels: Sequence[str | None]) -> float:
    """Of those whose state is known; nan out of none."""
    states = [s for label in labels if (s := state(label)) is not None]
    return _share(states.count(SCLEROSED), len(states))


def counts(seen: Sequence[Glance]) -> tuple[float, ...]:
    """The values of ``_COLUMNS`` of some glomeruli together; differences are machine less reader."""
    reader, machine = sum(g.reader is not None for g in seen), sum(g.machine is not None for g in seen)
    shared = sum(g.is_shared for g in seen)
    read, found = (percent_sclerosed([getattr(g, side) for g in seen]) for side in ("reader", "machine"))
    return reader, machine, machine - reader, reader - shared, machine - shared, read, found, found - read


def _rows(groups: Mapping[tuple[str, ...], Sequence[Glance]]) -> tuple[tuple[Cell, ...], ...]:
    return tuple((*key, *counts(seen)) for key, seen in groups.items())


def _grouped(
    seen: Sequence[Glance], keys: Sequence[tuple[str, ...]], key: Callable[[Glance], tuple[str, ...]]
) -> dict[tuple[str, ...], list[Glance]]:
    """By key, in this order; a key without any is there, too."""
    groups: dict[tuple[str, ...], list[Glance]] = {one: [] for one in keys}
    for glance in seen:
        groups.setdefault(key(glance), []).append(glance)
    return groups


def compare(run: ReadRun) -> Evaluation:
    """All tables and plots; intervals draw whole patients."""
    seen = [glance for slide in run.slides for glance in glances(slide)]
    owners = [g.patient for g in seen]
    scores = [
        scored(name, lambda i, m=measure: m([seen[int(n)] for n in i]), owners)  # type: ignore[misc]
        for name, measure in MEASURES.items()
    ]
    slides = _grouped(seen, [(s.name, s.patient) for s in run.slides], lambda g: (g.slide, g.patient))
    patients = _grouped(seen, [(s.patient,) for s in run.slides], lambda g: (g.patient,))
    values: Floats = np.array([counts(own) for own in slides.values()], np.float64)
    tables = [
        score_table(
            "compare", "Machine against reader (95 % intervals over patients)", "measure", {"": scores}
        ),
        _limits_table(values),
        Table("compare_slides", "By slide", ("slide", "patient", *_COLUMNS), _rows(slides)),
    ]
    if any(slide.pieces is not None for slide in run.slides):
        pieces = _grouped(seen, [], lambda g: (g.slide, g.piece))
        tables.append(
            Table("compare_pieces", "By piece of tissue", ("slide", "piece", *_COLUMNS), _rows(pieces))
        )
    if len(patients) < len(slides):
        tables.append(Table("compare_patients", "By patient", ("patient", *_COLUMNS), _rows(patients)))
    tables.append(_glance_table(seen))
    notes = (*run.notes, *_notes(seen))
    return Evaluation("Machine against reader", tuple(tables), notes, _plots(seen, values))


def _limits_table(values: Floats) -> Table:
    """Bias and limits of agreement of the slides."""
    rows = tuple(
        (name, *limits_of_agreement(values[:, place]))
        for name, place in (("glomeruli of a slide", _DIFFERENCE), ("percent sclerosed of a slide", _POINTS))
    )
    title = "Machine less reader: bias and limits of agreement (Bland and Altman)"
    return Table("compare_limits", title, ("of", "slides", "bias", "low", "high"), rows)


def _glance_table(seen: Sequence[Glance]) -> Table:
    columns = ("slide", "patient", "piece", "glomerulus", "x", "y", "machine", "reader")
    rows = tuple((g.slide, g.patient, g.piece, g.id, g.x, g.y, g.machine or "", g.reader or "") for g in seen)
    return Table("compare_glomeruli", "Every glomerulus that one side has", columns, rows, long=True)


def _notes(seen: Sequence[Glance]) -> Iterator[str]:
    yield (
        "the same glomerulus: circles of an IoU of .5, or the same id and overlapping where those leave both; kappa "
        "and balanced accuracy are of glomeruli that both have, the reader's class being the truth"
    )
    unknown = sum(g.reader is not None and state(g.reader) is None for g in seen)
    if unknown:
        yield f"{unknown} of the reader's glomeruli have no class: they count, but not as normal or sclerosed"


def _plots(seen: Sequence[Glance], values: Floats) -> dict[str, Callable[[], bytes]]:
    def pairs(reader: int, name: str) -> Callable[[], bytes]:
        return lambda: draw_bland_altman(values[:, reader + 1], values[:, reader], name)

    return {
        "bland_altman_count": pairs(0, "glomeruli of a slide"),
        "bland_altman_percent_sclerosed": pairs(5, "percent sclerosed"),
        "compare_classes": lambda: draw_grid(confusion(seen, GLOMERULAR, kind), GLOMERULAR),
    }
