"""Which XML and GeoJSON are still as we wrote them: whatever else there is, a person made."""

from pathlib import Path

from gloinone.pipeline.merge import find_states
from gloinone.pipeline.state import read_state


def written_files(out: Path) -> dict[str, frozenset[str]]:
    """By slide of OUT: sha256 of every XML and GeoJSON that we ever wrote there or beside the slide.

    Also of copies of a slide's folder, whose files are no more a reader's than the slide's own.
    """
    written: dict[str, frozenset[str]] = {}
    for folder in find_states(out):
        if (state := read_state(folder)) is not None:
            written[state.slide] = written.get(state.slide, frozenset()) | state.written
    return written
