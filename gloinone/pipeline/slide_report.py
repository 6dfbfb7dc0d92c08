"""The report of one slide: a page that needs no network and no other file, and may be handed on."""

from collections.abc import Mapping
from typing import Any

from gloinone.annotations.columns import GLOMERULI, SUMMARY
from gloinone.annotations.csv_text import Value, read_table
from gloinone.doubts import LIMITS, WORDS, Doubts
from gloinone.pipeline.layout import GLOMERULI as GLOMERULI_CSV
from gloinone.pipeline.layout import REPORT, SlidePlace, file_stem
from gloinone.pipeline.report_pictures import inline_picture
from gloinone.pipeline.report_slide import ReportSlide, model_views, pages, relative_address, shown
from gloinone.pipeline.save import CONTACT, OVERLAY

PICTURE_BYTES = 2_000_000
"""Of the overlay, and of the contact sheet; larger ones are reduced."""


def slide_report(slide: ReportSlide, place: SlidePlace, models: Mapping[str, Any]) -> bytes:
    """The page, from the files in ``slide.folder``, which will lie, or lies, in ``place``.

    ``models``: what run.json says of each.
    """
    depth = len(place.folder.relative_to(place.out).parts)
    html = (
        pages()
        .get_template("slide_report.html.j2")
        .render(
            slide=slide,
            name=shown(slide.name),
            home="../" * depth + REPORT,
            notes=[shown(note) for note in slide.notes if note != slide.why],
            links=_links(slide),
            overlay=inline_picture(slide.folder / OVERLAY, PICTURE_BYTES),
            contact=inline_picture(slide.folder / CONTACT, PICTURE_BYTES, may_cut=True),
            doubts=_doubts(slide),
            glomeruli=_glomeruli(slide),
            models=model_views(models),
        )
    )
    return html.encode("utf-8", "replace")


def _links(slide: ReportSlide) -> dict[str, str]:
    """What a file is -> its address; only files that exist."""
    stem = file_stem(slide.name)
    files = {
        "overlay": OVERLAY,
        "contact sheet": CONTACT,
        "table": GLOMERULI_CSV,
        "ImageScope XML": f"{stem}.xml",
        "QuPath GeoJSON": f"{stem}.geojson",
        "new ImageScope XML": f"{stem}.new.xml",
        "new QuPath GeoJSON": f"{stem}.new.geojson",
    }
    paths = {what: slide.folder / name for what, name in files.items()}
    return {what: relative_address(slide.folder, path) for what, path in paths.items() if path.is_file()}


def _doubts(slide: ReportSlide) -> list[dict[str, object]]:
    """What is known of the slide as a whole, the worst first."""
    doubts = Doubts(**{name: slide.number(name) for name in LIMITS if name in _MEANING})
    return [
        {"word": WORDS[name], "meaning": _MEANING[name], "value": slide.row[name], "ratio": ratio}
        for name, ratio in sorted(doubts.ratios.items(), key=lambda item: -item[1])
    ]


_MEANING = {column.name: f"{column.meaning} ({column.unit})" for column in SUMMARY if column.name in LIMITS}


def _glomeruli(slide: ReportSlide) -> list[dict[str, Value]]:
    """Rows of the slide's table, by number."""
    table = slide.folder / GLOMERULI_CSV
    return read_table(table, GLOMERULI) if table.is_file() else []
