"""Where the results of a slide lie in OUT, and what its files are called.

OUT/slides/<path of the slide, suffix included>/   the results
OUT/slides/.new-<key>-<token>/                     results being written
OUT/slides/.old-<key>-<token>/                     results being replaced
OUT/.claims/<key>.json                             who is at work on the slide
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

SLIDES = "slides"
CLAIMS = ".claims"
RUNS = "runs"
SUMMARY = "summary.csv"
GLOMERULI = "glomeruli.csv"
REPORT = "report.html"
RUN = "run.json"
STATE = "state.json"
LOG = "log.txt"

NEW = ".new-"
OLD = ".old-"
STEM_BYTES = 230
"""A file name holds 255 bytes; suffixes such as `.new2.geojson` need their share."""


@dataclass(frozen=True)
class SlidePlace:
    """The places of one slide in OUT."""

    out: Path
    key: str
    """Short word for file names that is the same in every run."""
    folder: Path
    """Of the results."""

    @property
    def slides(self) -> Path:
        """Folder under which all results lie."""
        return self.out / SLIDES

    def unfinished(self, prefix: str) -> list[Path]:
        """Folders being written (``NEW``) or replaced (``OLD``)."""
        return sorted(self.slides.glob(f"{prefix}{self.key}-*"))


def slide_key(name: str) -> str:
    """Of a slide's path relative to IN."""
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:24]


def slide_places(out: Path, names: Iterable[str]) -> dict[str, SlidePlace]:
    """The place of every slide of a job, none inside another.

    A folder of DICOM files is a slide and may hold slides: those move aside, to ``<folder>+/``.

    >>> places = slide_places(Path("o"), ["a", "a/b.svs", "c/d.svs"])
    >>> [place.folder.as_posix() for place in places.values()]
    ['o/slides/a', 'o/slides/a+/b.svs', 'o/slides/c/d.svs']
    """
    names = list(names)
    taken = set(names)
    places = {}
    for name in names:
        path = PurePosixPath(name)
        while any(parent.as_posix() in taken for parent in path.parents) or (
            path.as_posix() != name and path.as_posix() in taken
        ):
            path = _aside(path, taken)
        taken.add(path.as_posix())
        places[name] = SlidePlace(out, slide_key(name), out / SLIDES / path)
    return places


def _aside(path: PurePosixPath, taken: set[str]) -> PurePosixPath:
    """The path with a plus behind its outermost folder that is taken, or behind its own folder."""
    parts = list(path.parts)
    depth = next((i for i in range(len(parts) - 1) if "/".join(parts[: i + 1]) in taken), len(parts) - 2)
    parts[depth] += "+"
    return PurePosixPath(*parts)


def file_stem(name: str) -> str:
    """What the XML and the GeoJSON of a slide are called, suffix aside: as ImageScope looks for them.

    A name too long for suffixes is cut and told apart by its key.

    >>> file_stem("case 7/a.ome.tif")
    'a.ome'
    """
    stem = PurePosixPath(name).stem
    raw = stem.encode("utf-8", "surrogateescape")
    if len(raw) <= STEM_BYTES:
        return stem
    cut = raw[: STEM_BYTES - 9].decode("utf-8", "ignore" if _is_utf8(raw) else "surrogateescape")
    return f"{cut}~{slide_key(name)[:8]}"


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
