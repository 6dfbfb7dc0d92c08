"""Which XML and GeoJSON are still as we wrote them: whatever else there is, a person made."""

from pathlib import Path

from gloinone.pipeline.merge import find_results


def written_files(out: Path) -> dict[str, frozenset[str]]:
    """By slide of OUT: sha256 of every XML and GeoJSON that, by state.json, we wrote in OUT or beside the slide."""
    return {
        state.slide: frozenset((*state.files.values(), *state.beside.values()))
        for _, state in find_results(out)
    }
