"""report.html: the run and its slides on one page that needs no network and no other file, however many they are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gloinone.pipeline.alike import differences
from gloinone.pipeline.atomic import write_atomic
from gloinone.pipeline.layout import REPORT, slide_place
from gloinone.pipeline.report_choice import LeastSure, Unsure, choose_illustrated
from gloinone.pipeline.report_pictures import InlinePicture, inline_picture, outlined_crop
from gloinone.pipeline.report_plots import histogram
from gloinone.pipeline.report_slide import ReportSlide, model_views, pages, relative_address, shown
from gloinone.pipeline.run_record import read_records
from gloinone.pipeline.save import OVERLAY

PICTURE_BYTES = 6_000_000
"""Of all overlays together, before base64 adds a third."""
LARGEST_PICTURE_BYTES = 1_000_000
STATUS_ORDER = ("failed", "partial", "pending", "skipped", "done")
"""Problems first."""


@dataclass(frozen=True)
class SlideView:
    """A slide as the template sees it."""

    anchor: str
    name: str
    status: str
    why: str
    notes: tuple[str, ...]
    flags: str
    numbers: Mapping[str, float | None]
    sum_of: str
    """What the numbers add up; empty for a slide of one piece of tissue."""
    address: str
    """Where a click on the name leads; empty if there is nothing to see."""
    illustrated: bool
    overlay: InlinePicture | None = None


@dataclass(frozen=True)
class UnsureView:
    """A glomerulus of the gallery."""

    slide: str
    id: str
    label: str
    flags: str
    doubt: float
    address: str
    picture: str
    """Data URI; empty where no crop was written."""


def write_report(out: Path, slides: Sequence[ReportSlide], least_sure: LeastSure) -> None:
    """Write OUT/report.html of OUT/run.json and these slides, in this order. Raises OutputError."""
    html = report_html(out, slides, least_sure, read_run(out))
    write_atomic(out / REPORT, html.encode("utf-8", "replace"))


def read_run(out: Path) -> dict[str, Any]:
    """The record of the run, or shard, that was started last.

    Empty if none can be read: a report without a head is better than none.
    """
    return max(read_records(out), key=lambda run: str(run.get("started", "")), default={})


def report_html(
    out: Path, slides: Sequence[ReportSlide], least_sure: LeastSure, run: Mapping[str, Any]
) -> str:
    """The page; pictures are read from the slides' folders."""
    chosen = set(choose_illustrated(slides))
    max_bytes = min(LARGEST_PICTURE_BYTES, PICTURE_BYTES // max(1, len(chosen)))
    views = [view_slide(out, i, slide, max_bytes if i in chosen else 0) for i, slide in enumerate(slides)]
    plots = (
        histogram("Glomeruli per slide", [v.numbers["n_glomeruli"] for v in views]),
        histogram("Median diameter of a slide, µm", [v.numbers["diameter_um_median"] for v in views]),
        histogram("Percent sclerosed", [v.numbers["percent_sclerosed"] for v in views], (0, 100)),
    )
    return (
        pages()
        .get_template("report.html.j2")
        .render(
            run=run,
            models=model_views(run.get("models")),
            slides=views,
            unlike=[shown(sentence) for sentence in differences(slides)],
            counts={status: sum(v.status == status for v in views) for status in STATUS_ORDER},
            problems=[v for status in STATUS_ORDER[:-1] for v in views if v.status == status],
            noted=[v for v in views if v.notes and v.status == "done"],
            totals={name: _total(views, name) for name in ("n_glomeruli", "n_normal", "n_sclerosed")},
            plots=[plot for plot in plots if plot is not None],
            unsure=[view_unsure(out, one) for one in least_sure.glomeruli],
        )
    )


def view_slide(out: Path, place: int, slide: ReportSlide, max_bytes: int) -> SlideView:
    """What the template shows of one slide; its overlay if ``max_bytes`` is over 0."""
    return SlideView(
        anchor=f"slide-{place + 1}",
        name=shown(slide.name),
        status=slide.status,
        why=slide.why,
        notes=tuple(map(shown, slide.notes)),
        flags=slide.row.get("flags", ""),
        numbers=slide.numbers,
        sum_of=slide.sum_of,
        address=_address(out, slide.folder),
        illustrated=max_bytes > 0,
        overlay=inline_picture(slide.folder / OVERLAY, max_bytes) if max_bytes else None,
    )


def view_unsure(out: Path, one: Unsure) -> UnsureView:
    """What the template shows of a glomerulus."""
    folder = slide_place(out, one.slide).folder
    return UnsureView(
        slide=shown(one.slide),
        id=one.id,
        label=one.label,
        flags=one.flags,
        doubt=one.doubt,
        address=_address(out, folder),
        picture=outlined_crop(folder, one.id) if one.crop else "",
    )


def _address(out: Path, folder: Path) -> str:
    """Of a slide's own report; empty where no run has written one."""
    report = folder / REPORT
    return relative_address(out, report) if report.is_file() else ""


def _total(views: Sequence[SlideView], column: str) -> int:
    return int(sum(view.numbers[column] or 0 for view in views))
