"""OUT's own tables, put together from the folders of the slides: however they came about, the same bytes."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

from gloinone.annotations.columns import GLOMERULI, SUMMARY
from gloinone.annotations.csv_text import csv_bytes, join_tables
from gloinone.annotations.qupath_import import QUPATH_IMPORT
from gloinone.errors import AnnotationError, OutputError, UsageError
from gloinone.pipeline.atomic import reason, write_atomic
from gloinone.pipeline.layout import GLOMERULI as GLOMERULI_CSV
from gloinone.pipeline.layout import QUPATH_SCRIPT, SLIDES, STATE
from gloinone.pipeline.layout import SUMMARY as SUMMARY_CSV
from gloinone.pipeline.report import ReportSlide, write_report
from gloinone.pipeline.state import State, read_state

logger = logging.getLogger(__name__)


def merge(out: Path) -> list[State]:
    """Write tables, report and QuPath script of whatever slides have results; answers with their states.

    A run over a part of the slides therefore adds to the tables. Raises UsageError where there is nothing,
    OutputError for what cannot be written.
    """
    found = sorted(find_results(out), key=lambda pair: pair[1].slide)
    if not found:
        raise UsageError(f"{out}: no results of slides in it; name the OUT of a run")
    states = [state for _, state in found]
    write_atomic(out / SUMMARY_CSV, csv_bytes(SUMMARY, [state.row for state in states]))
    tables = [data for folder, state in found if (data := _glomeruli(folder, state)) is not None]
    write_atomic(out / GLOMERULI_CSV, join_tables(GLOMERULI, tables))
    write_atomic(out / QUPATH_SCRIPT, QUPATH_IMPORT.encode())
    write_report(
        out,
        [
            ReportSlide(state.slide, state.status, state.reason, state.row, folder, state.notes)
            for folder, state in found
        ],
    )
    return states


def find_results(out: Path) -> Iterator[tuple[Path, State]]:
    """Folder and state of every slide in OUT, in no order."""
    for folder, folders, names in os.walk(out / SLIDES):
        folders[:] = [name for name in folders if not name.startswith(".")]
        if STATE in names:
            folders.clear()
            if state := read_state(Path(folder)):
                yield Path(folder), state
            else:
                logger.warning("%s: cannot be understood; run that slide again", Path(folder) / STATE)


def _glomeruli(folder: Path, state: State) -> bytes | None:
    """The slide's glomeruli.csv; None where it has none or another version made it."""
    if state.status not in ("done", "partial"):
        return None
    try:
        data = (folder / GLOMERULI_CSV).read_bytes()
        join_tables(GLOMERULI, [data])
    except OSError as error:
        raise OutputError(
            f"{folder / GLOMERULI_CSV}: cannot be read ({reason(error)}); "
            "run that slide again with --overwrite"
        ) from error
    except AnnotationError as error:
        logger.warning("%s: left out of %s: %s", state.slide, GLOMERULI_CSV, error)
        return None
    return data
