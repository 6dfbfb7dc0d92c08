"""Patient and stain of a slide that is done already: its tables say them anew, and nothing is computed."""

from dataclasses import replace

from gloinone.annotations.csv_text import with_cells
from gloinone.annotations.saved_result import RESULT, with_origin
from gloinone.pipeline.atomic import write_atomic
from gloinone.pipeline.layout import STATE
from gloinone.pipeline.merge import SLIDE_TABLES
from gloinone.pipeline.state import read_state, state_bytes
from gloinone.pipeline.tasks import SlideTask
from gloinone.records import Origin


def ensure_origin(task: SlideTask) -> None:
    """Write what --mpp-csv says now into the slide's tables and state; what it says nothing of stays.

    The state comes last, so that an interrupted change is made again. Raises OSError, OutputError, AnnotationError.
    """
    folder = task.place.folder
    state = read_state(folder)
    said = {name: text for name, text in vars(task.origin).items() if text}
    if state is None or said.items() <= state.row.items():
        return
    for name, columns in SLIDE_TABLES.items():
        path = folder / name
        if name in state.outputs:
            write_atomic(path, with_cells(columns, path.read_bytes(), said))
    if RESULT in state.outputs:
        origin = Origin(**{name: said.get(name, state.row[name]) for name in vars(task.origin)})
        write_atomic(folder / RESULT, with_origin((folder / RESULT).read_bytes(), origin))
    write_atomic(folder / STATE, state_bytes(replace(state, row={**state.row, **said})))
