"""Files that a pathologist corrected, each found to belong to a slide of OUT, and read beside what the machine said."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from gloinone.annotations.class_names import ClassNames
from gloinone.annotations.truth import Truth, read_truth
from gloinone.errors import UsageError
from gloinone.evaluation.groups import Groups
from gloinone.evaluation.run_output import Row, bounds_of, read_summary, results, where_complete
from gloinone.labels import NONGLOMERULAR
from gloinone.records import PieceMap, Window
from gloinone.slide.pieces import piece_under

SUFFIXES = (".geojson.gz", ".geojson", ".xml")
PIECE_MAP = "pieces.png"
"""Of a slide: (H, W) number of the piece under each pixel of the overview, 0 for none."""


@dataclass(frozen=True, eq=False)
class ReadSlide:
    """One slide with what the machine kept and what the reader left or drew; level-0 px."""

    name: str
    patient: str
    size: tuple[int, int]
    """width, height."""
    machine: Sequence[Row]
    """Of circles.csv: kept, not non-glomerular."""
    reader: Truth
    pieces: PieceMap | None
    """(H, W) of the whole slide; None where the run did not tell pieces apart."""

    def piece(self, x: float, y: float, radius: float) -> str:
        """Number of the piece that most of a circle lies on; empty for none."""
        if self.pieces is None:
            return ""
        height, width = self.pieces.shape
        number = piece_under(x, y, radius, self.pieces, Window(0, 0, *self.size, width, height))
        return "" if number is None else str(number)


@dataclass(frozen=True)
class ReadRun:
    """What can be compared."""

    slides: tuple[ReadSlide, ...]
    notes: tuple[str, ...]


def corrected_files(given: Sequence[Path]) -> list[Path]:
    """The files, and all in the folders, whose suffix is one of XML or GeoJSON; hidden ones aside."""
    found: list[Path] = []
    for path in given:
        below = sorted(path.rglob("*")) if path.is_dir() else [path]
        named = [file for file in below if file.name.endswith(SUFFIXES) and not file.name.startswith(".")]
        if not path.is_dir() and not named:
            raise UsageError(f"{path}: neither .xml nor .geojson; give what ImageScope or QuPath saved")
        found += named
    return found


def assign(files: Sequence[Path], names: Sequence[str]) -> dict[str, Path]:
    """Slide -> its file: that of the same name, told apart by folders where several slides have it.

    Raises UsageError for a file of no slide or of several, and for two files of one slide.
    """
    assigned: dict[str, Path] = {}
    for file in files:
        alike = [name for name in names if _stem(file) in (Path(name).stem, Path(name).name)]
        best = max((_shared(file, name) for name in alike), default=0)
        nearest = [name for name in alike if _shared(file, name) == best]
        if len(nearest) != 1:
            which = f"{len(nearest)} slides ({', '.join(nearest[:3])})" if nearest else "no slide"
            raise UsageError(f"{file}: fits {which}; corrected files are named as the slides are")
        if nearest[0] in assigned:
            raise UsageError(
                f"{nearest[0]}: corrected in {assigned[nearest[0]]} and in {file}; give one of them"
            )
        assigned[nearest[0]] = file
    return assigned


def _stem(file: Path) -> str:
    suffix = next(suffix for suffix in SUFFIXES if file.name.endswith(suffix))
    return file.name.removesuffix(suffix)


def _shared(file: Path, name: str) -> int:
    """Last folders that a file's path and a slide's have in common; those of OUT end with the slide's own name."""
    folders, own = file.resolve().parent.parts, Path(name).parts
    if folders[-len(own) :] == own:
        return len(own) + 1
    parents = own[:-1]
    return next((n for n in range(len(parents), 0, -1) if folders[-n:] == parents[-n:]), 0)


def load_corrected(
    out: Path, files: Sequence[Path], classes: ClassNames | None = None, groups: Groups | None = None
) -> ReadRun:
    """The slides of a finished run that have a corrected file. Raises UsageError or AnnotationError."""
    summary, groups = read_summary(out), groups or Groups()
    found = {name: (folder, rows) for name, folder, rows in results(out, summary, frozenset())}
    slides = []
    for name, path in sorted(assign(files, list(found)).items()):
        folder, rows = found[name]
        slides.append(_read_slide(name, path, folder, rows, summary[name], classes, groups))
    others = len(found) - len(slides)
    return ReadRun(tuple(slides), tuple(_notes(slides, others)))


def _read_slide(
    name: str,
    path: Path,
    folder: Path,
    rows: Sequence[dict[str, str | int | float | bool | None]],
    facts: Row,
    classes: ClassNames | None,
    groups: Groups,
) -> ReadSlide:
    size = (int(str(facts["width_px"])), int(str(facts["height_px"])))
    reader = read_truth(path, classes, name, bounds_of(folder), size).scored()
    kept = [row for row in rows if row["glomerulus"] and row["class"] != NONGLOMERULAR]
    return ReadSlide(
        name=name,
        patient=groups.group(name, str(facts.get("patient") or "")),
        size=size,
        machine=where_complete(reader, kept),
        reader=reader,
        pieces=_piece_map(folder / PIECE_MAP),
    )


def _piece_map(path: Path) -> PieceMap | None:
    if not path.is_file():
        return None
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    return None if pixels is None else np.asarray(pixels, np.uint16)


def _notes(slides: Sequence[ReadSlide], others: int) -> Iterator[str]:
    yield f"{len(slides)} slides compared; {others} others have no corrected file"
    ignored = sum(len(slide.reader.ignored) for slide in slides)
    if ignored:
        yield f"{ignored} places that the reader marked to be ignored count on neither side"
