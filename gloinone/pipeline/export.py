"""Other thresholds and other formats for a finished OUT: its files are written again, and no slide is opened.

In place, through the same doors as a run: claims, a hidden folder, the exchange that keeps what a person edited.
Nothing that the run found is given up: outlines of circles that are now left out stay in result.json, their crops in
crops/, so that a later export may go back.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from gloinone.annotations.region import OutputShape
from gloinone.annotations.saved_result import RESULT
from gloinone.annotations.tables import summary_row
from gloinone.errors import GloInOneError, OutputError, UsageError
from gloinone.pipeline.atomic import check_writable, reason
from gloinone.pipeline.claims import Claims
from gloinone.pipeline.exchange import begin, discard, repair
from gloinone.pipeline.further_formats import (
    Format,
    check_dicom_writer,
    dicom_series,
    formats_in,
    further_files,
)
from gloinone.pipeline.interrupts import Interrupts
from gloinone.pipeline.layout import CLAIMS, LOG, SlidePlace, slide_place
from gloinone.pipeline.merge import find_results, merge
from gloinone.pipeline.one_slide import (
    Account,
    Means,
    Shield,
    describe,
    made_with,
    put_in_place,
)
from gloinone.pipeline.progress import Progress, Silent
from gloinone.pipeline.restore import restore
from gloinone.pipeline.run_record import has_pseudonyms, models_of, now, read_records, write_export_record
from gloinone.pipeline.save import SaveOptions, write_slide
from gloinone.pipeline.slide_log import SlideLog
from gloinone.pipeline.state import Basis, Json, State, read_state
from gloinone.records import SlideResult

logger = logging.getLogger(__name__)

LACKING = "export"
"""Setting that no run has: results with it are none that a run would give, so a run does the slide again."""


@dataclass(frozen=True)
class ExportConfig:
    """What is to be otherwise; None: as it is."""

    out: Path
    min_score: float | None = None
    shape: OutputShape | None = None
    keep_nonglomerular: bool | None = None
    formats: tuple[Format, ...] = ()
    slides: Path | None = None
    """IN, of which DICOM headers are read; needed for ``dicom-ann`` alone."""

    def __post_init__(self) -> None:
        if self.min_score is not None and not 0 <= self.min_score <= 1:
            raise UsageError(f"--min-score {self.min_score:g}: a score lies in 0 to 1, e.g. --min-score 0.3")

    def changed(self, settings: Mapping[str, Json]) -> dict[str, Json]:
        """Settings of a slide's results with what is to be otherwise."""
        asked = {
            "min_score": self.min_score,
            "shape": self.shape,
            "keep_nonglomerular": self.keep_nonglomerular,
        }
        kept = {name: value for name, value in settings.items() if name != LACKING}
        return kept | {name: value for name, value in asked.items() if value is not None}


@dataclass
class Exported:
    """What came of it."""

    slides: list[str] = field(default_factory=list)
    stand_ins: int = 0
    """Glomeruli whose outline is their circle because the segmenter never saw them."""
    problems: list[str] = field(default_factory=list)
    """Slides that are still as they were, and why, a sentence each."""


@dataclass(frozen=True)
class _Task:
    """One slide, as ``put_in_place`` wants it."""

    name: str
    place: SlidePlace
    basis: Basis


@dataclass(frozen=True)
class _Common:
    """What is the same for all slides."""

    config: ExportConfig
    series: Mapping[str, Sequence[Path]]
    """DICOM files by slide."""
    records: Sequence[Mapping[str, Any]]
    """Of the runs."""
    shield: Shield


def export(
    config: ExportConfig, progress: Progress | None = None, interrupts: Interrupts | None = None
) -> Exported:
    """Write every finished slide of OUT again, then its tables and report.

    Raises UsageError or OutputError where it cannot start; a single slide that cannot be written is a problem.
    """
    progress, interrupts = progress or Silent(), interrupts or Interrupts()
    started, exported, stale = now(), Exported(), []
    names = _finished(config.out)
    series = _dicom_series(config, names)
    _check_annotated(config.out, names, series)
    check_writable(config.out)
    common = _Common(config, series, read_records(config.out), interrupts.shield)
    claims = Claims(config.out / CLAIMS)
    progress.start(len(names))
    for name in names:
        place = slide_place(config.out, name)
        progress.begin(name)
        try:
            with claims.hold(place.key, name) as claim:
                if claim is None:
                    raise OutputError(f"{name}: is at work in a run; export again when that is over")
                repair(place)
                state = _export_slide(common, name, place, exported)
        except (GloInOneError, OSError) as error:
            said = reason(error) if isinstance(error, OSError) else str(error)
            exported.problems.append(f"{name}: {said.removeprefix(f'{name}: ')}")
            progress.end(name, "failed", said)
        else:
            exported.slides.append(name)
            stale += [state] if state.has_stale_beside else []
            progress.end(name, state.status, state.reason or describe(state))
    if exported.slides:
        write_export_record(config.out, started, config.changed({}))
    merge(config.out)
    _warn_of_beside(stale)
    return exported


def _warn_of_beside(stale: Sequence[State]) -> None:
    """Only a run, which knows where the slides lie, writes beside them."""
    if not stale:
        return
    settings = stale[0].basis.settings
    options = [f"--min-score {settings['min_score']}"] if settings.get("min_score") is not None else []
    options += [f"--shape {settings['shape']}"] if settings.get("shape", "outline") != "outline" else []
    options += ["--keep-nonglomerular"] if settings.get("keep_nonglomerular") else []
    logger.warning(
        "%d slides have an XML beside them that still shows the earlier glomeruli (%s%s); to write it anew: "
        "gloinone %s, with the other options of the run",
        len(stale),
        ", ".join(state.slide for state in stale[:3]),
        ", ..." if len(stale) > 3 else "",
        " ".join(["run IN OUT --xml-beside-slide", *options]),
        extra={"event": "beside"},
    )


def _finished(out: Path) -> list[str]:
    """Names of the slides with results. Raises UsageError unless every one can be exported."""
    found = [(folder, state) for folder, state in find_results(out) if state.status in ("done", "partial")]
    if not found:
        raise UsageError(f"{out}: no results of slides in it; name the OUT of a run")
    lacking = sorted(state.slide for folder, state in found if not (folder / RESULT).is_file())
    if lacking:
        raise UsageError(
            f"{out}: {len(lacking)} slides were made by a version that left no {RESULT} "
            f"({', '.join(lacking[:3])}{', ...' if len(lacking) > 3 else ''}); run them again"
        )
    return sorted(state.slide for _, state in found)


def _dicom_series(config: ExportConfig, names: Sequence[str]) -> Mapping[str, Sequence[Path]]:
    """Files of each slide that is DICOM, if that is asked for. Raises UsageError."""
    if "dicom-ann" not in config.formats:
        return {}
    check_dicom_writer()
    if has_pseudonyms(config.out):
        raise UsageError(
            "--format dicom-ann: its files name patient and study, which --pseudonyms hides; leave it out"
        )
    if config.slides is None:
        raise UsageError(
            "--format dicom-ann: needs the slides' headers; pass --slides with the IN of the run"
        )
    found = dicom_series(config.slides, config.out)
    if not found.keys() & set(names):
        raise UsageError(f"{config.slides}: holds no DICOM slide of {config.out}; pass the IN of the run")
    return found


def _check_annotated(out: Path, names: Sequence[str], series: Mapping[str, Sequence[Path]]) -> None:
    """Raises UsageError where an .ann.dcm would be left behind, before the other slides have gone ahead."""
    left = [n for n in names if n not in series and "dicom-ann" in formats_in(slide_place(out, n).folder, n)]
    if left:
        raise UsageError(
            f"{out}: {len(left)} slides have an .ann.dcm, which cannot be written again without the slide "
            f"({', '.join(left[:3])}{', ...' if len(left) > 3 else ''}); pass --format dicom-ann --slides IN with the "
            "IN of the run, or delete these files"
        )


def _export_slide(common: _Common, name: str, place: SlidePlace, exported: Exported) -> State:
    """Write one slide's folder again. Raises GloInOneError and OSError with the old one in its place."""
    config, series = common.config, common.series.get(name, ())
    state = read_state(place.folder)
    if state is None:
        raise OutputError(f"{name}: its results were taken away meanwhile; run it again")
    settings = config.changed(state.basis.settings)
    formats = formats_in(place.folder, name) | set(config.formats)
    restored = restore(place.folder)
    min_score = float(settings.get("min_score") or 0.0)
    kept = restored.kept(min_score, bool(settings.get("keep_nonglomerular", False)))
    result, stand_ins = restored.result(kept, min_score), len(set(kept) - restored.earlier.outlined.keys())
    options = _save_options(settings)
    earlier = restored.earlier_for(kept, options.crops)
    lacking = _lacking(stand_ins, result if earlier.contact is None else None)
    task = _Task(name, place, replace(state.basis, settings=settings | lacking))
    new = begin(place)
    try:
        with SlideLog() as log, log.here():
            log.lines += _earlier_lines(place)
            logger.info("%s: exported with settings %s", name, task.basis.settings)
            write_slide(new, result, options, place.folder.relative_to(place.out).as_posix(), earlier)
            for file, data in further_files(result, options.shape, formats, series).items():
                (new / file).write_bytes(data)
            models = models_of(common.records, state.basis.models)
            means = Means(state.device, models, common.shield)
            settled = put_in_place(task, new, _account(state, task.basis, result), means, log)
    finally:
        discard(new)
    exported.stand_ins += stand_ins
    return settled


def _earlier_lines(place: SlidePlace) -> list[str]:
    """What log.txt says already."""
    try:
        return (place.folder / LOG).read_text("utf-8", "replace").splitlines()
    except OSError:
        return []


def _save_options(settings: Mapping[str, Json]) -> SaveOptions:
    shapes: dict[Json, OutputShape] = {"ellipse": "ellipse", "polygon": "polygon"}
    return SaveOptions(
        shapes.get(settings.get("shape"), "outline"),
        crops=bool(settings.get("crops", True)),
        masks=bool(settings.get("masks", True)),
    )


def _lacking(stand_ins: int, pictured: SlideResult | None) -> dict[str, Json]:
    """The setting that says in what these results are less than a run's; ``pictured``: what was drawn anew."""
    without = sum(g.crop is None for g in pictured.glomeruli) if pictured else 0
    words = [f"{stand_ins} circles as outlines"] if stand_ins else []
    words += [f"{without} without a picture"] if without else []
    return {LACKING: ", ".join(words)} if words else {}


def _account(state: State, basis: Basis, result: SlideResult) -> Account:
    """As before, but for what follows from the glomeruli."""
    seconds = {step: float(s) for step, s in state.times.items() if not isinstance(s, str)}
    row = summary_row(result, made_with(basis))
    return Account(result.status, row["reason"], state.input, row, result.notes, seconds, beside=state.beside)
