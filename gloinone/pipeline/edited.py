"""Which of our XML and GeoJSON are still as we wrote them: whatever else lies there, a person made."""

from pathlib import Path

from gloinone.pipeline.merge import find_states
from gloinone.pipeline.state import file_sha256, read_state


def untouched_files(out: Path) -> frozenset[Path]:
    """Real paths of every XML and GeoJSON in OUT that is, byte for byte, what state.json says we wrote."""
    return frozenset(
        (folder / name).resolve()
        for folder in find_states(out)
        if (state := read_state(folder)) is not None
        for name, digest in state.files.items()
        if file_sha256(folder / name) == digest
    )
