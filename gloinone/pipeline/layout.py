"""Where the results of a slide lie in OUT, and what its files are called.

OUT/slides/<path of the slide, suffix included>/   the results
OUT/slides/.new-<key>-<token>/                     results being written
OUT/slides/.old-<key>-<token>/                     results being replaced
OUT/.claims/<key>.json                             who is at work on the slide
OUT/slides.txt                                     what shards divide among them
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

SLIDES = "slides"
CLAIMS = ".claims"
RUNS = "runs"
SLIDE_LIST = "slides.txt"
SUMMARY = "summary.csv"
GLOMERULI = "glomeruli.csv"
PIECES = "pieces.csv"
CORES = "cores.csv"
PATIENTS = "patients.csv"
REPORT = "report.html"
RUN = "run.json"
QUPATH_SCRIPT = "qupath_import.groovy"
STATE = "state.json"
LOG = "log.txt"

WORK = ".work"
NEW = "new-"
OLD = "old-"
NAME_BYTES = 255
"""What a file name holds. Slides' names may be longer, since they spell strange bytes out."""
STEM_BYTES = 230
"""Suffixes such as `.new2.geojson` need their share."""


@dataclass(frozen=True)
class SlidePlace:
    """The places of one slide in OUT."""

    out: Path
    key: str
    """Short word for file names that is the same in every run."""
    folder: Path
    """Of the results."""

    @property
    def work(self) -> Path:
        """Folder of what is unfinished."""
        return self.out / WORK

    def is_at(self, folder: Path) -> bool:
        """Whether that existing folder is the one, however the file system spells it; a copy elsewhere is not."""
        return folder == self.folder or (self.folder.exists() and self.folder.samefile(folder))

    def unfinished(self, prefix: str) -> list[Path]:
        """Folders being written (``NEW``) or replaced (``OLD``)."""
        return sorted(self.work.glob(f"{prefix}{self.key}-*"))


def slide_key(name: str) -> str:
    """Of a slide's name."""
    return hashlib.sha256(name.encode("utf-8")).hexdigest()[:24]


def slide_place(out: Path, name: str) -> SlidePlace:
    """The place of a slide in OUT; parts of its path that no file system would take are cut."""
    parts = (_shortened(part, NAME_BYTES) for part in PurePosixPath(name).parts)
    return SlidePlace(out, slide_key(name), out.joinpath(SLIDES, *parts))


def file_stem(name: str) -> str:
    """What the XML and the GeoJSON of a slide are called, suffix aside: as ImageScope looks for them.

    One too long for suffixes is cut and told apart by a few digits.

    >>> file_stem("case 7/a.ome.tif")
    'a.ome'
    """
    return _shortened(PurePosixPath(name).stem, STEM_BYTES)


def _shortened(part: str, limit: int) -> str:
    raw = part.encode("utf-8")
    if len(raw) <= limit:
        return part
    return f"{raw[: limit - 9].decode('utf-8', 'ignore')}~{slide_key(part)[:8]}"
