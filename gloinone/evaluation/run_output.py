"""A finished run beside what a person drew: every slide with its circles and its truth, and what has no partner."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from gloinone.annotations.class_names import ClassNames
from gloinone.annotations.columns import CIRCLES, GLOMERULI, SUMMARY
from gloinone.annotations.csv_text import Value, read_table
from gloinone.annotations.geojson import Bounds
from gloinone.annotations.saved_result import RESULT, read_saved_result
from gloinone.annotations.truth import SUFFIXES, Truth, find_truth, read_truth, shared_stems
from gloinone.errors import NoTruthError, UsageError
from gloinone.evaluation.groups import Groups
from gloinone.evaluation.masks import complete_share
from gloinone.labels import NONGLOMERULAR
from gloinone.metrics import CircleImage, Floats, fits_one

Row = Mapping[str, Value]
AT_IOU = 0.5
"""Of circles, from which on one has found the other."""
CIRCLES_CSV = "circles.csv"
NO_CIRCLES = np.zeros((0, 3))
READABLE = ("done", "partial")
"""Status of slides whose results are whole files."""


@dataclass(frozen=True, eq=False)
class ScoredSlide:
    """One slide of a run that has truth; level-0 px."""

    name: str
    group: str
    """Patient."""
    source: str
    out: Path
    folder: Path
    """Of its results."""
    mpp: float
    size: tuple[int, int]
    """width, height."""
    tissue_mm2: float
    """Where the truth is complete."""
    rows: Sequence[Row]
    """Of circles.csv, where the truth can say right or wrong."""
    truth: Truth
    unlabelled: Floats
    """(K, 3) glomeruli that the truth is said to lack."""

    @property
    def is_partial(self) -> bool:
        """Nowhere is every glomerulus outlined: whatever circle finds none is neither right nor wrong."""
        return self.truth.complete == ()

    def recall_only(self) -> "ScoredSlide":
        """The same where not every glomerulus is outlined outside of drawn areas: nowhere if there are none."""
        if self.truth.complete is not None:
            return self
        truth = self.truth.partial()
        return replace(self, truth=truth, rows=where_complete(truth, self.rows))

    @cached_property
    def glomerular(self) -> list[Row]:
        """Circles that are not non-glomerular."""
        return [row for row in self.rows if row["class"] != NONGLOMERULAR]

    @cached_property
    def kept(self) -> list[Row]:
        """Those of them that stand in glomeruli.csv."""
        return [row for row in self.glomerular if row["glomerulus"]]

    @property
    def glomeruli(self) -> list[dict[str, Value]]:
        """Rows of its glomeruli.csv that are among ``rows``."""
        ids = {row["glomerulus"] for row in self.rows}
        return [row for row in read_table(self.folder / "glomeruli.csv", GLOMERULI) if row["id"] in ids]

    def image(self, rows: Sequence[Row], score: str, unlabelled: bool = False) -> CircleImage:
        """These rows, ranked by a column, against the truth; ``unlabelled``: ignoring what it is said to lack."""
        known, ignored = self.truth.circles(), self.truth.ignored_circles()
        if unlabelled:
            ignored = np.concatenate([ignored, self.unlabelled])
        return CircleImage(circles_of(rows, score), known, ignored)


@dataclass(frozen=True)
class ScoredRun:
    """What can be scored, and what cannot."""

    slides: tuple[ScoredSlide, ...]
    notes: tuple[str, ...]
    """Slides without result or truth, truth without result."""

    def recall_only(self) -> "ScoredRun":
        """The same where the truth is complete within its drawn areas only; names the slides that have none."""
        slides = tuple(slide.recall_only() for slide in self.slides)
        names = [slide.name for slide in slides if slide.is_partial]
        notes = _named("without a region and not complete", "scored for recall only", names)
        return ScoredRun(slides, (*self.notes, *notes))

    @property
    def groups(self) -> list[str]:
        """Of the slides, in order."""
        return [slide.group for slide in self.slides]


def circles_of(rows: Sequence[Row], score: str) -> Floats:
    """(N, 4) cx, cy, radius, score of typed rows."""
    values = [[float(str(row[column])) for column in ("x", "y", "radius", score)] for row in rows]
    return np.array(values, np.float64).reshape(-1, 4)


def where_complete(truth: Truth, rows: Sequence[Row]) -> list[Row]:
    """Those rows that lie where every glomerulus is outlined, or fit one there: others are neither right nor wrong."""
    circles = np.array([[float(str(row[c])) for c in ("x", "y", "radius")] for row in rows]).reshape(-1, 3)
    known = truth.is_complete_at(circles) | fits_one(circles, truth.circles(), AT_IOU)
    return [row for row, is_known in zip(rows, known, strict=True) if is_known]


def bounds_of(folder: Path) -> Bounds | None:
    """Of the slide whose results lie in a folder, which QuPath subtracts; None where the run did not keep them."""
    return read_saved_result(folder).info.bounds if (folder / RESULT).is_file() else None


def is_run(folder: Path) -> bool:
    """Whether it looks like the OUT of a run."""
    return (folder / "slides").is_dir() and any((folder / "slides").rglob(CIRCLES_CSV))


def load_run(
    out: Path,
    truth: Path,
    only: frozenset[str] = frozenset(),
    groups: Groups | None = None,
    unlabelled: Mapping[str, Floats] | None = None,
    classes: ClassNames | None = None,
) -> ScoredRun:
    """Slides of a finished run that have truth; the notes name all others.

    ``only``: names or file stems to take; empty for all. ``unlabelled``: (K, 3) circles by a slide's name, or by its
    file name where no other slide has it. ``classes``: what the truth's names mean; None: they are ours.
    Raises UsageError or AnnotationError.
    """
    groups, unlabelled = groups or Groups(), unlabelled or {}
    summary = read_summary(out)
    shared = shared_stems(summary)
    slides: list[ScoredSlide] = []
    without: list[str] = []
    for name, folder, rows in results(out, summary, only):
        try:
            path = find_truth(name, truth, shared)
        except NoTruthError:
            without.append(name)
            continue
        facts = summary[name]
        bare = name if Path(name).stem in shared else Path(name).name
        size = (int(str(facts["width_px"])), int(str(facts["height_px"])))
        known = read_truth(path, classes, name, bounds_of(folder), size).scored()
        slides.append(
            ScoredSlide(
                name=name,
                group=groups.group(name, str(facts.get("patient") or "")),
                source=groups.source(name),
                out=out,
                folder=folder,
                mpp=float(str(facts["mpp"])),
                size=size,
                tissue_mm2=float(str(facts["tissue_mm2"])) * complete_share(folder, known, size),
                rows=where_complete(known, rows),
                truth=known,
                unlabelled=unlabelled.get(name, unlabelled.get(bare, NO_CIRCLES)),
            )
        )
    if not slides:
        raise UsageError(
            f"{truth}: holds no truth for any slide of {out}; truth files are named as the slides"
        )
    notes = [f"{len(slides)} slides scored", *_named("no truth for", "not scored", without)]
    notes += _status_notes(summary, only)
    if not only:
        notes += _named("truth without a result", "its glomeruli count nowhere", _unused(truth, slides))
    notes += _groups_notes(groups, slides) + _unlabelled_notes(unlabelled, slides)
    return ScoredRun(tuple(slides), tuple(notes))


def results(
    out: Path, summary: Mapping[str, Row], only: frozenset[str]
) -> Iterator[tuple[str, Path, list[dict[str, Value]]]]:
    """Name, folder and rows of circles.csv of each slide that has results."""
    tables = sorted((out / "slides").rglob(CIRCLES_CSV))
    if not tables:
        raise UsageError(f"{out}: no slides/*/{CIRCLES_CSV} in it; give the OUT of a finished gloinone run")
    seen: set[str] = set()
    for table in tables:
        rows = read_table(table, CIRCLES)
        name = str(rows[0]["slide"]) if rows else table.parent.relative_to(out / "slides").as_posix()
        seen |= _spellings(name)
        if only and not only & _spellings(name):
            continue
        if name not in summary:
            raise UsageError(f"{out}: {name} is not in its summary.csv; run `gloinone merge {out}` first")
        if summary[name]["status"] in READABLE:  # else it is what an earlier run left there
            yield name, table.parent, rows
    if only - seen:
        raise UsageError(f"{out}: no result of {', '.join(sorted(only - seen))}")


def read_summary(out: Path) -> dict[str, Row]:
    """Rows of summary.csv by slide. Raises UsageError where there is none."""
    path = out / "summary.csv"
    if not path.is_file():
        raise UsageError(
            f"{out}: has no summary.csv; give the OUT of a finished gloinone run, or run `gloinone merge {out}` first"
        )
    return {str(row["slide"]): row for row in read_table(path, SUMMARY)}


def _spellings(name: str) -> set[str]:
    return {name, Path(name).name, Path(name).stem}


def _named(what: str, so: str, names: Sequence[str]) -> list[str]:
    return [f"{what} ({len(names)}, {so}): {', '.join(names)}"] if names else []


def _status_notes(summary: Mapping[str, Row], only: frozenset[str]) -> list[str]:
    """Slides whose result is none, or a part."""
    notes = []
    for status, so in (
        ("failed", "not scored"),
        ("skipped", "not scored"),
        ("pending", "not scored"),
        ("partial", "scored as they are"),
    ):
        names = [
            name
            for name, row in summary.items()
            if row["status"] == status and (not only or only & _spellings(name))
        ]
        notes += _named(f"slides that are {status}", so, names)
    return notes


def _unused(truth: Path, slides: Sequence[ScoredSlide]) -> list[str]:
    """Truth files of no scored slide, whatever their suffix."""
    scored = {str(Path(s.name).with_suffix("")) for s in slides}.union(*(_spellings(s.name) for s in slides))

    def stem(path: Path) -> str:
        suffix = max((s for s in SUFFIXES if path.name.endswith(s)), key=len)
        return path.relative_to(truth).as_posix().removesuffix(suffix)

    files = [path for path in sorted(truth.rglob("*")) if path.name.endswith(SUFFIXES) and path.is_file()]
    return [path.relative_to(truth).as_posix() for path in files if stem(path) not in scored]


def _groups_notes(groups: Groups, slides: Sequence[ScoredSlide]) -> list[str]:
    own = [slide.name for slide in slides if slide.group == slide.name]
    unknown = [name for name in own if groups.groups and not groups.knows(name)]
    return _named("not in --groups", "each taken for a patient of its own", unknown)


def _unlabelled_notes(unlabelled: Mapping[str, Floats], slides: Sequence[ScoredSlide]) -> list[str]:
    if not unlabelled:
        return []
    here = sum(len(slide.unlabelled) for slide in slides)
    elsewhere = sum(map(len, unlabelled.values())) - here
    return [f"unlabelled: {here} circles on these slides, {elsewhere} on slides that are not scored"]
