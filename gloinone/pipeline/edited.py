"""Which XML and GeoJSON are still as we wrote them: whatever else there is, a person made."""

from pathlib import Path

from gloinone.pipeline.merge import find_results


def written_files(out: Path) -> dict[str, frozenset[str]]:
    """By slide of OUT: sha256 of every XML and GeoJSON that we ever wrote there or beside the slide."""
    return {state.slide: state.written for _, state in find_results(out)}
