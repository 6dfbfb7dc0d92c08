"""Which of our XML and GeoJSON are still as we wrote them: whatever else lies there, a person made."""

from pathlib import Path

from gloinone.pipeline.merge import find_results
from gloinone.pipeline.state import file_sha256


def untouched_files(out: Path) -> frozenset[Path]:
    """Real paths of every XML and GeoJSON in OUT that is, byte for byte, what state.json says we wrote."""
    return frozenset(
        (folder / name).resolve()
        for folder, state in find_results(out)
        for name, digest in state.files.items()
        if file_sha256(folder / name) == digest
    )
