"""Which slides' pictures stand in the report, and which glomeruli stand in its gallery."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

from gloinone.pipeline.report_slide import ReportSlide

MAX_ILLUSTRATED = 50
"""Slides whose pictures stand in the report; every slide has a report of its own."""
MAX_UNSURE = 50
"""Glomeruli in the gallery."""


def choose_illustrated(slides: Sequence[ReportSlide], at_most: int = MAX_ILLUSTRATED) -> list[int]:
    """Places of the slides with pictures, in order: all with results, or of each kind that needs a look as many.

    The kinds take turns: read in part, none found, most sclerosed, least sure.
    """
    places = [i for i, slide in enumerate(slides) if slide.status in ("done", "partial")]
    numbers = {
        i: (slides[i].number("n_glomeruli"), slides[i].number("percent_sclerosed"), slides[i].number("doubt"))
        for i in places
    }
    queues = (
        [i for i in places if slides[i].status == "partial"],
        [i for i in places if numbers[i][0] == 0],
        sorted(places, key=lambda i: (-(numbers[i][1] or 0.0), i)),
        sorted(places, key=lambda i: (-(numbers[i][2] or 0.0), i)),
    )
    chosen: dict[int, None] = {}
    for turn in zip_longest(*queues):
        for place in turn:
            if place is not None and len(chosen) < at_most:
                chosen[place] = None
    return sorted(chosen)


@dataclass(frozen=True)
class Unsure:
    """A glomerulus that its flags call into question: some of its fields in glomeruli.csv."""

    doubt: float
    slide: str
    id: str
    label: str
    flags: str
    crop: str
    """Path of its picture relative to OUT; empty if none was written."""


@dataclass
class LeastSure:
    """The glomeruli with the most doubt among all tables that were looked at."""

    glomeruli: tuple[Unsure, ...] = ()
    """The most doubtful first; of equals the first by slide and id."""

    def look(self, table: bytes) -> None:
        """Go through one slide's glomeruli.csv."""
        rows = csv.reader(io.StringIO(table.decode("utf-8", "replace"), newline=""))
        header = next(rows, [])
        doubt, *others = (header.index(name) for name in ("doubt", "slide", "id", "class", "flags", "crop"))
        least = self.glomeruli[-1].doubt if len(self.glomeruli) == MAX_UNSURE else 0.0
        new = [
            Unsure(float(row[doubt]), *(row[place] for place in others))
            for row in rows
            if row[doubt] and float(row[doubt]) > least
        ]
        if new:
            order = sorted((*self.glomeruli, *new), key=lambda one: (-one.doubt, one.slide, one.id))
            self.glomeruli = tuple(order[:MAX_UNSURE])
