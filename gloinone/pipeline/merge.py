"""OUT's own tables, put together from the folders of the slides: however they came about, the same bytes."""

import logging
import os
from collections.abc import Iterable, Iterator, Set
from pathlib import Path

from gloinone.annotations.columns import GLOMERULI, SUMMARY
from gloinone.annotations.csv_text import csv_bytes, rows_of_table
from gloinone.annotations.qupath_import import QUPATH_IMPORT
from gloinone.annotations.tables import MadeWith, summary_row_without_result
from gloinone.errors import AnnotationError, OutputError, UsageError
from gloinone.pipeline.atomic import reason, write_atomic
from gloinone.pipeline.layout import GLOMERULI as GLOMERULI_CSV
from gloinone.pipeline.layout import QUPATH_SCRIPT, SLIDES, STATE, slide_place
from gloinone.pipeline.layout import SUMMARY as SUMMARY_CSV
from gloinone.pipeline.report import write_report
from gloinone.pipeline.report_choice import LeastSure
from gloinone.pipeline.report_slide import ReportSlide
from gloinone.pipeline.slide_list import read_list
from gloinone.pipeline.state import State, read_state
from gloinone.records import RowStatus

logger = logging.getLogger(__name__)

PENDING = "no run has come to it yet, or none to its end"


def merge(out: Path) -> list[RowStatus]:
    """Write tables, report and QuPath script; answers with the status of each row of summary.csv.

    A slide has a row if it has results, whoever made them, or if it is listed: a run over a part of the slides
    adds to the tables. Raises UsageError where there is neither, OutputError for what cannot be written.
    """
    slides = [_with_state(folder, state) for folder, state in find_results(out)]
    slides += _pending(out, {slide.name for slide in slides})
    slides.sort(key=lambda slide: slide.name)
    if not slides:
        raise UsageError(f"{out}: no results of slides in it; name the OUT of a run")
    write_atomic(out / SUMMARY_CSV, csv_bytes(SUMMARY, [slide.row for slide in slides]))
    least_sure = LeastSure()
    write_atomic(out / GLOMERULI_CSV, _joined(slides, least_sure))
    write_atomic(out / QUPATH_SCRIPT, QUPATH_IMPORT.encode())
    write_report(out, slides, least_sure)
    return [slide.status for slide in slides]


def _with_state(folder: Path, state: State) -> ReportSlide:
    return ReportSlide(state.slide, state.status, state.reason, state.row, folder, state.notes)


def _pending(out: Path, settled: Set[str]) -> Iterator[ReportSlide]:
    """Slides of the list that no run has come to the end of."""
    for listed in read_list(out) or ():
        if listed.name not in settled:
            row = summary_row_without_result(listed.name, "pending", PENDING, MadeWith())
            yield ReportSlide(listed.name, "pending", PENDING, row, slide_place(out, listed.name).folder)


def find_results(out: Path) -> Iterator[tuple[Path, State]]:
    """Folder and state of every slide in OUT, in no order."""
    for folder in find_states(out):
        if state := read_state(folder):
            yield folder, state
        else:
            logger.warning("%s: cannot be understood; run that slide again", folder / STATE)


def find_states(out: Path) -> Iterator[Path]:
    """Folders of the slides in OUT that are settled, in no order."""
    for folder, folders, names in os.walk(out / SLIDES):
        folders[:] = [name for name in folders if not name.startswith(".")]
        if STATE in names:
            folders.clear()
            yield Path(folder)


def _joined(slides: Iterable[ReportSlide], least_sure: LeastSure) -> Iterator[bytes]:
    """OUT's glomeruli.csv in parts, a slide's at a time; ``least_sure`` looks at each."""
    yield csv_bytes(GLOMERULI, [])
    for slide in slides:
        if slide.status not in ("done", "partial"):
            continue
        data = _glomeruli(slide)
        try:
            yield rows_of_table(GLOMERULI, data)
        except AnnotationError as error:
            logger.warning("%s: left out of %s: %s", slide.name, GLOMERULI_CSV, error)
            continue
        least_sure.look(data)


def _glomeruli(slide: ReportSlide) -> bytes:
    """The slide's own table."""
    try:
        return (slide.folder / GLOMERULI_CSV).read_bytes()
    except OSError as error:
        raise OutputError(
            f"{slide.folder / GLOMERULI_CSV}: cannot be read ({reason(error)}); "
            "run that slide again with --overwrite"
        ) from error
