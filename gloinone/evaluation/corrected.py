"""Files that a pathologist corrected, read beside what the machine said of their slides."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from gloinone.annotations.class_names import ClassNames
from gloinone.annotations.truth import Truth, read_truth
from gloinone.evaluation.corrected_files import Answers, choose_answers
from gloinone.evaluation.groups import Groups
from gloinone.evaluation.run_output import Row, bounds_of, read_summary, results, where_complete
from gloinone.labels import NONGLOMERULAR
from gloinone.records import PieceMap, Window
from gloinone.slide.pieces import piece_under

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
    strangers: str = ""
    """The first files of no slide by name: for the terminal alone, since the name of a file may be a patient's."""


def load_corrected(
    out: Path,
    files: Sequence[Path],
    classes: ClassNames | None = None,
    groups: Groups | None = None,
    written: Mapping[str, Collection[str]] | None = None,
    untouched: bool = False,
) -> ReadRun:
    """The slides of a finished run that have a corrected file.

    ``written`` and ``untouched`` as in `choose_answers`. Raises UsageError or AnnotationError.
    """
    summary, groups = read_summary(out), groups or Groups()
    found = {name: (folder, rows) for name, folder, rows in results(out, summary, frozenset())}
    answers = choose_answers(files, found, written, untouched)
    slides = []
    for name, path in sorted(answers.files.items()):
        folder, rows = found[name]
        slides.append(_read_slide(name, path, folder, rows, summary[name], classes, groups))
    notes = _notes(slides, len(found) - len(slides), answers, untouched)
    return ReadRun(tuple(slides), tuple(notes), answers.told_strangers())


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


def _notes(slides: Sequence[ReadSlide], others: int, answers: Answers, untouched: bool) -> Iterator[str]:
    yield f"{len(slides)} slides compared; {others} others have no corrected file"
    if answers.n_untouched:
        so = "agreed with, where the slide has no other" if untouched else "no reader's answer"
        yield f"{answers.n_untouched} files are as the machine wrote them: {so}"
    if answers.strangers:
        yield f"{len(answers.strangers)} files are of no slide that has results: they count nowhere"
    ignored = sum(len(slide.reader.ignored) for slide in slides)
    if ignored:
        yield f"{ignored} places that the reader marked to be ignored count on neither side"
