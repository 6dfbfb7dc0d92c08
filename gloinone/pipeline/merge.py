"""OUT's own tables, put together from the folders of the slides: however they came about, the same bytes."""

import logging
import os
from collections.abc import Callable, Iterator, Sequence, Set
from pathlib import Path

from gloinone.annotations.column import Column
from gloinone.annotations.columns import CORES, GLOMERULI, PATIENTS, PIECES, SUMMARY
from gloinone.annotations.csv_text import csv_bytes, rows_of_table
from gloinone.annotations.qupath_import import QUPATH_IMPORT
from gloinone.annotations.tables import MadeWith, summary_row_without_result
from gloinone.errors import AnnotationError, OutputError, UsageError
from gloinone.pipeline.alike import differences
from gloinone.pipeline.atomic import reason, write_atomic
from gloinone.pipeline.layout import CORES as CORES_CSV
from gloinone.pipeline.layout import GLOMERULI as GLOMERULI_CSV
from gloinone.pipeline.layout import PATIENTS as PATIENTS_CSV
from gloinone.pipeline.layout import PIECES as PIECES_CSV
from gloinone.pipeline.layout import QUPATH_SCRIPT, SLIDES, STATE, slide_place
from gloinone.pipeline.layout import SUMMARY as SUMMARY_CSV
from gloinone.pipeline.patients import patient_rows
from gloinone.pipeline.report import write_report
from gloinone.pipeline.report_choice import LeastSure
from gloinone.pipeline.report_slide import ReportSlide
from gloinone.pipeline.save import CROPS, MASKS
from gloinone.pipeline.slide_list import listed_origins
from gloinone.pipeline.state import State, read_state
from gloinone.records import RowStatus

logger = logging.getLogger(__name__)

SLIDE_TABLES = {GLOMERULI_CSV: GLOMERULI, PIECES_CSV: PIECES, CORES_CSV: CORES}
"""Tables of OUT that are those of its slides, one after the other."""
OWN_FOLDERS = frozenset({CROPS, MASKS})
"""Of a slide: no slides are looked for in them."""
PENDING = "no run has come to it yet, or none to its end"


def merge(out: Path) -> list[RowStatus]:
    """Write tables, report and QuPath script; answers with the status of each row of summary.csv.

    A slide has a row if it has results, whoever made them, or if it is listed: a run over a part of the slides
    adds to the tables. Warns where some were counted otherwise than the rest. Raises UsageError where there are
    neither, OutputError for what cannot be written.
    """
    slides = [_with_state(folder, state) for folder, state in find_results(out)]
    slides += _pending(out, {slide.name for slide in slides})
    slides.sort(key=lambda slide: slide.name)
    if not slides:
        raise UsageError(f"{out}: no results of slides in it; name the OUT of a run")
    rows = [{column.name: slide.row.get(column.name, "") for column in SUMMARY} for slide in slides]
    write_atomic(out / SUMMARY_CSV, csv_bytes(SUMMARY, rows))
    write_atomic(out / PATIENTS_CSV, csv_bytes(PATIENTS, patient_rows(rows)))
    least_sure = LeastSure()
    look: dict[str, Callable[[bytes], None]] = {GLOMERULI_CSV: least_sure.look}
    for name, columns in SLIDE_TABLES.items():
        write_atomic(out / name, _joined(slides, name, columns, look.get(name)))
    write_atomic(out / QUPATH_SCRIPT, QUPATH_IMPORT.encode())
    write_report(out, slides, least_sure)
    for sentence in differences(slides):
        logger.warning("%s", sentence, extra={"event": "unlike"})
    return [slide.status for slide in slides]


def _with_state(folder: Path, state: State) -> ReportSlide:
    return ReportSlide(state.slide, state.status, state.reason, state.row, folder, state.notes, state.basis)


def _pending(out: Path, settled: Set[str]) -> Iterator[ReportSlide]:
    """Slides of the list that no run has come to the end of."""
    for name, origin in listed_origins(out).items():
        if name not in settled:
            row = summary_row_without_result(name, "pending", PENDING, MadeWith(), origin=origin)
            yield ReportSlide(name, "pending", PENDING, row, slide_place(out, name).folder)


def find_results(out: Path) -> Iterator[tuple[Path, State]]:
    """Folder and state of every slide in OUT, in no order; a copy under another name is none."""
    for folder in find_states(out):
        if (state := read_state(folder)) is None:
            logger.warning("%s: cannot be understood; run that slide again", folder / STATE)
        elif (place := slide_place(out, state.slide)).is_at(folder):
            yield folder, state
        else:
            logger.warning(
                "%s: left out: holds results of %s, whose place is %s; if it is a copy move it out of %s, if it was "
                "renamed give it that name again",
                folder,
                state.slide,
                place.folder,
                out,
            )


def find_states(out: Path) -> Iterator[Path]:
    """Folders of the slides in OUT that are settled, in no order, each once; links to folders are followed."""
    seen: set[str] = set()
    starts = [os.path.join(out, SLIDES)]
    for start in starts:  # links come last, so that a folder that lies in OUT itself is met there
        real_start = os.path.realpath(start)
        for folder, folders, names in os.walk(start):
            real = os.path.normpath(os.path.join(real_start, os.path.relpath(folder, start)))
            if real in seen:
                folders.clear()
                continue
            seen.add(real)
            is_slide = STATE in names  # one that was a folder of DICOM may since be a folder of slides
            folders[:] = [
                name for name in folders if not (name.startswith(".") or (is_slide and name in OWN_FOLDERS))
            ]
            starts += [path for name in folders if os.path.islink(path := os.path.join(folder, name))]
            if is_slide:
                yield Path(folder)


def _joined(
    slides: Sequence[ReportSlide],
    name: str,
    columns: Sequence[Column],
    look: Callable[[bytes], None] | None = None,
) -> Iterator[bytes]:
    """One of OUT's tables in parts, a slide's at a time; ``look`` sees each slide's own."""
    yield csv_bytes(columns, [])
    for slide in slides:
        if slide.status not in ("done", "partial"):
            continue
        if not slide.is_of_this_version:
            logger.warning(
                "%s: left out of %s: made by another version; run that slide again", slide.name, name
            )
            continue
        data = _table(slide, name)
        try:
            yield rows_of_table(columns, data)
        except AnnotationError as error:
            logger.warning("%s: left out of %s: %s", slide.name, name, error)
            continue
        if look is not None:
            look(data)


def _table(slide: ReportSlide, name: str) -> bytes:
    """One of the slide's own tables."""
    try:
        return (slide.folder / name).read_bytes()
    except OSError as error:
        raise OutputError(
            f"{slide.folder / name}: cannot be read ({reason(error)}); run that slide again with --overwrite"
        ) from error
