"""Names given on the command line, one by one or in a file."""

from pathlib import Path


def read_names(given: tuple[str, ...]) -> frozenset[str]:
    """The names; one that is a text file stands for its lines."""
    names: set[str] = set()
    for name in given:
        path = Path(name)
        if path.suffix == ".txt" and path.is_file():
            lines = path.read_text(encoding="utf-8").splitlines()
            names.update(line.strip() for line in lines if line.strip())
        else:
            names.add(name)
    return frozenset(names)
