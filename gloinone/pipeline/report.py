"""report.html: the run and its slides on one page that needs no network and no other file."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2

from gloinone.annotations.columns import SUMMARY
from gloinone.labels import COLOURS, GLOMERULAR, SCLEROSED_KINDS
from gloinone.pipeline.atomic import write_atomic
from gloinone.pipeline.layout import GLOMERULI, REPORT, file_stem
from gloinone.pipeline.report_pictures import InlinePicture, inline_picture
from gloinone.pipeline.run_record import read_records
from gloinone.pipeline.save import CONTACT, OVERLAY
from gloinone.records import RowStatus

MAX_ILLUSTRATED = 50
"""Slides whose pictures stand in the report; those of the others are linked."""
PICTURE_BYTES = 10_000_000
"""Of all pictures together, before base64 adds a third."""
LARGEST_PICTURE_BYTES = 2_000_000
STATUS_ORDER = ("failed", "partial", "pending", "skipped", "done")
"""Problems first."""


@dataclass(frozen=True)
class ReportSlide:
    """What the report shows of a slide."""

    name: str
    """Path relative to IN."""
    status: RowStatus
    reason: str
    row: Mapping[str, str]
    """Of summary.csv."""
    folder: Path
    """Of its results; need not exist for a slide that failed or is pending."""
    notes: tuple[str, ...] = ()
    """What a reader should know: unread parts, an edited file that was kept."""

    def number(self, column: str) -> float | None:
        """A number of the row, None where it is empty or was damaged."""
        try:
            return float(self.row.get(column, ""))
        except ValueError:
            return None


@dataclass(frozen=True)
class SlideView:
    """A slide as the template sees it."""

    anchor: str
    name: str
    status: str
    reason: str
    notes: tuple[str, ...]
    numbers: Mapping[str, float | None]
    links: Mapping[str, str]
    """What a file is -> its address relative to the report; only files that exist."""
    illustrated: bool
    overlay: InlinePicture | None = None
    contact: InlinePicture | None = None

    @property
    def caution(self) -> str:
        """What the interval does not know; empty for a slide of one piece."""
        return pieces_caution(self.numbers.get("n_pieces"))

    @property
    def address(self) -> str:
        """Where a click on the name leads; empty if there is nothing to see."""
        return f"#{self.anchor}" if self.illustrated else self.links.get("overlay", "")


def write_report(out: Path, slides: Sequence[ReportSlide]) -> None:
    """Write OUT/report.html of OUT/run.json and these slides, in this order. Raises OutputError."""
    write_atomic(out / REPORT, report_html(out, slides, read_run(out)).encode("utf-8", "replace"))


def read_run(out: Path) -> dict[str, Any]:
    """The record of the run, or shard, that was started last.

    Empty if none can be read: a report without a head is better than none.
    """
    return max(read_records(out), key=lambda run: str(run.get("started", "")), default={})


def report_html(out: Path, slides: Sequence[ReportSlide], run: Mapping[str, Any]) -> str:
    """The page; pictures are read from the slides' folders."""
    chosen = set(choose_illustrated(slides))
    max_bytes = min(LARGEST_PICTURE_BYTES, PICTURE_BYTES // max(1, 2 * len(chosen)))
    views = [view_slide(out, i, slide, max_bytes if i in chosen else 0) for i, slide in enumerate(slides)]
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("gloinone.pipeline"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(fixed=fixed, moment=moment)
    return environment.get_template("report.html.j2").render(
        run=run,
        models=model_views(run),
        slides=views,
        counts={status: sum(v.status == status for v in views) for status in STATUS_ORDER},
        problems=[v for status in STATUS_ORDER[:-1] for v in views if v.status == status],
        noted=[v for v in views if v.notes and v.status == "done"],
        totals={name: _total(slides, name) for name in ("n_glomeruli", "n_normal", "n_sclerosed")},
        kinds=SCLEROSED_KINDS,
        colours={name: f"rgb{COLOURS[name]}" for name in GLOMERULAR},
        max_illustrated=MAX_ILLUSTRATED,
    )


def choose_illustrated(slides: Sequence[ReportSlide], at_most: int = MAX_ILLUSTRATED) -> list[int]:
    """Places of the slides with pictures: all with results, or the partial, the empty, the most sclerosed."""

    def urgency(place: int) -> tuple[int, float, int]:
        slide = slides[place]
        if slide.status == "partial":
            return 0, 0.0, place
        if slide.number("n_glomeruli") == 0:
            return 1, 0.0, place
        return 2, -(slide.number("percent_sclerosed") or 0.0), place

    with_results = [i for i, slide in enumerate(slides) if slide.status in ("done", "partial")]
    return sorted(sorted(with_results, key=urgency)[:at_most])


def view_slide(out: Path, place: int, slide: ReportSlide, max_bytes: int) -> SlideView:
    """What the template shows of one slide; pictures if ``max_bytes`` is over 0."""
    stem = file_stem(slide.name)
    files = {
        "overlay": OVERLAY,
        "contact sheet": CONTACT,
        "table": GLOMERULI,
        "ImageScope XML": f"{stem}.xml",
        "QuPath GeoJSON": f"{stem}.geojson",
        "new ImageScope XML": f"{stem}.new.xml",
        "new QuPath GeoJSON": f"{stem}.new.geojson",
    }
    return SlideView(
        anchor=f"slide-{place + 1}",
        name=shown(slide.name),
        status=slide.status,
        reason=shown(slide.reason.removeprefix(f"{slide.name}: ")),
        notes=tuple(map(shown, slide.notes)),
        numbers={c.name: slide.number(c.name) for c in SUMMARY if c.kind in ("int", "float")},
        links={
            what: relative_address(out, slide.folder / name)
            for what, name in files.items()
            if (slide.folder / name).is_file()
        },
        illustrated=max_bytes > 0,
        overlay=inline_picture(slide.folder / OVERLAY, max_bytes) if max_bytes else None,
        contact=inline_picture(slide.folder / CONTACT, max_bytes, may_cut=True) if max_bytes else None,
    )


def relative_address(out: Path, path: Path) -> str:
    """URL of a file in OUT, relative to the report: every odd character is escaped, `#` and `?` among them."""
    return "/".join(quote(os.fsencode(part), safe="") for part in path.relative_to(out).parts)


def shown(text: str) -> str:
    """Text that UTF-8 can hold: what of a name is no Unicode becomes a replacement character."""
    return re.sub("[\ud800-\udfff]", "\ufffd", text)


def model_views(run: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Task, identity, measured scores and gaps of each model that run.json names."""
    models = run.get("models")
    views = []
    for task, model in models.items() if isinstance(models, Mapping) else ():
        card = model if isinstance(model, Mapping) else {"name": str(model)}
        name, sha256 = str(card.get("name", "")), str(card.get("sha256", ""))
        views.append(
            {
                "task": str(task),
                "identity": f"{name}@{sha256[:12]}" if sha256 else name,
                "licence": str(card.get("licence", "")),
                "measured": [m for m in card.get("measured", ()) if isinstance(m, Mapping)],
                "not_validated": [str(text) for text in card.get("not_validated", ())],
            }
        )
    return views


def pieces_caution(n_pieces: float | None) -> str:
    """What to say beside the numbers of a slide with several pieces of tissue.

    >>> pieces_caution(3)
    'sum over 3 pieces; levels of one core repeat glomeruli, the interval does not allow for it'
    """
    if n_pieces is None or n_pieces < 2:
        return ""
    repeats = "levels of one core repeat glomeruli, the interval does not allow for it"
    return f"sum over {n_pieces:.0f} pieces; {repeats}"


def fixed(value: object, decimals: int = 0) -> str:
    """A number for people; a dash for none.

    >>> fixed(12.345, 1), fixed(None)
    ('12.3', '–')
    """
    return f"{value:.{decimals}f}" if isinstance(value, int | float) else "–"


def moment(time: object) -> str:
    """An ISO time for people.

    >>> moment("2025-01-31T10:20:30+00:00")
    '2025-01-31 10:20 UTC'
    """
    return re.sub(r"T(\d\d:\d\d)(:\d\d)?\+00:00$", r" \1 UTC", str(time))


def _total(slides: Sequence[ReportSlide], column: str) -> int:
    return int(sum(slide.number(column) or 0 for slide in slides))
