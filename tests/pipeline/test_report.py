"""The report: what it shows, what it escapes, and that it stays one page of bounded size."""

import base64
import html.parser
import io
import json
import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from made_result import made_result, renamed
from PIL import Image

from gloinone.annotations.tables import MadeWith, summary_row, summary_row_without_result
from gloinone.pipeline.drawing import jpeg_bytes
from gloinone.pipeline.report import (
    MAX_ILLUSTRATED,
    PICTURE_BYTES,
    ReportSlide,
    choose_illustrated,
    fixed,
    moment,
    read_run,
    relative_address,
    shown,
    write_report,
)
from gloinone.pipeline.report_pictures import inline_picture
from gloinone.pipeline.save import SaveOptions, write_slide

MADE_WITH = MadeWith("d@0", "c@0", "s@0", "0.1")
RUN = {
    "version": "0.1.0",
    "finished": "2025-01-31T10:20:30+00:00",
    "device": "cpu",
    "models": {
        "detector": {
            "name": "circles",
            "sha256": "0123456789abcdef",
            "licence": "CC BY-NC-SA 4.0",
            "measured": [
                {"what": "recall", "on": "pas-b", "n": 132, "value": 0.912, "low": 0.86, "high": 0.95}
            ],
            "not_validated": ["Other stains."],
        },
        "classifier": "kinds@abcdef",
    },
}


class Page(html.parser.HTMLParser):
    """Addresses, texts and tags of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.tags: list[str] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.words += data


def done(out: Path, name: str, n: int = 6, notes: tuple[str, ...] = (), read: float = 1.0) -> ReportSlide:
    result = replace(renamed(made_result(n), name), tissue_read_fraction=read)
    folder = out / "slides" / name
    folder.mkdir(parents=True)
    write_slide(folder, result, SaveOptions(crops=False, masks=False))
    row = summary_row(result, MADE_WITH)
    return ReportSlide(name, result.status, row["reason"], row, folder, notes)


def failed(out: Path, name: str, why: str) -> ReportSlide:
    row = summary_row_without_result(name, "failed", why, MADE_WITH)
    return ReportSlide(name, "failed", why, row, out / "slides" / name)


def page(out: Path, slides: list[ReportSlide]) -> Page:
    write_report(out, slides)
    return Page((out / "report.html").read_text())


def test_what_stands_in_it(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps(RUN))
    slides = [
        done(tmp_path, "case 1/a.svs", notes=("a.xml was edited and is kept.",)),
        failed(tmp_path, "b.svs", "b.svs: cannot be opened; copy it again"),
        done(tmp_path, "c.svs", 0, read=0.75),
    ]
    found = page(tmp_path, slides)
    words = re.sub(r"\s+", " ", found.words)
    for said in (
        "For research use only",
        "2025-01-31 10:20 UTC",
        "circles@0123456789ab",
        "recall: 0.912 (95 % 0.860 to 0.950), n = 132, on pas-b",
        "Not validated: Other stains.",
        "kinds@abcdef",
        "a.xml was edited and is kept.",
        "cannot be opened; copy it again",
        "25.0 % of the tissue could not be read",
        "50.0 % sclerosed, 3 of 6",
        "95 % interval 18.8 to 81.2 %",
        "not validated by a pathologist",
    ):
        assert said in words, said
    assert found.tags.count("img") == 3  # an overlay each, a contact sheet where there are glomeruli
    assert found.tags.count("article") == 2


def test_several_pieces_are_a_caution(tmp_path: Path) -> None:
    slides = [done(tmp_path, name) for name in ("a.svs", "b.svs")]
    slides[1] = replace(slides[1], row={**slides[1].row, "n_pieces": "6"})
    words = re.sub(r"\s+", " ", page(tmp_path, slides).words)
    caution = "sum over 6 pieces; levels of one core repeat glomeruli, the interval does not allow for it"
    assert words.count(caution) == 2, "in the table and beside the slide's own numbers"
    assert words.count("sum over") == 2


def test_no_network_and_every_link_leads_somewhere(tmp_path: Path) -> None:
    slides = [done(tmp_path, "a #1?/x & y%.svs"), failed(tmp_path, "b.svs", "gone")]
    found = page(tmp_path, slides)
    assert {"link", "iframe", "object"}.isdisjoint(found.tags)
    text = (tmp_path / "report.html").read_text()
    assert not re.search(r"https?://|@import|url\(", text)
    ids = set(re.findall(r'id="([^"]+)"', text))
    for address in found.addresses:
        if address.startswith("#"):
            assert address[1:] in ids
        elif not address.startswith("data:image/jpeg;base64,"):
            assert (tmp_path / unquote(address)).is_file()
    assert any(address.endswith("overlay.jpg") for address in found.addresses)


def test_markup_in_names_and_reasons_is_escaped(tmp_path: Path) -> None:
    evil = "<script>alert(1)<b>\"'&.svs"
    found = page(tmp_path, [done(tmp_path, evil, notes=(f"{evil} was kept",)), failed(tmp_path, "b", evil)])
    assert found.tags.count("script") == 1
    assert "b" in found.tags  # ours, in the tiles
    assert found.words.count(evil) >= 4


def test_paths_that_are_no_unicode(tmp_path: Path) -> None:
    found = page(tmp_path, [failed(tmp_path, "a.svs", "/data/caf\udce9.svs is gone")])
    assert "caf\ufffd.svs is gone" in found.words
    assert shown("\ud800") == "\ufffd"
    assert relative_address(tmp_path, tmp_path / "caf\udce9#.svs") == "caf%E9%23.svs"


def test_no_run_and_no_pictures(tmp_path: Path) -> None:
    slide = done(tmp_path, "a.svs")
    (slide.folder / "overlay.jpg").write_bytes(b"no picture")
    (slide.folder / "contact.jpg").unlink()
    found = page(tmp_path, [slide])
    assert "The overlay could not be read." in found.words
    (tmp_path / "run.json").write_text("[]")
    assert read_run(tmp_path) == {}
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs/0-of-2.json").write_text('{"version": "7", "started": "2025-01-01T00:00:00+00:00"}')
    (tmp_path / "runs/1-of-2.json").write_text('{"version": "8", "started": "2025-01-02T00:00:00+00:00"}')
    assert "gloinone 8" in page(tmp_path, []).words  # of shards the last one's
    (tmp_path / "run.json").write_text('{"version": "9", "started": "2025-01-01T12:00:00+00:00"}')
    assert read_run(tmp_path)["version"] == "8"
    assert "Glomeruli in 0 slides" in page(tmp_path, []).words


def test_a_damaged_row_does_not_stop_the_report(tmp_path: Path) -> None:
    slide = ReportSlide("a.svs", "done", "", {"n_glomeruli": "many"}, tmp_path / "slides" / "a.svs")
    assert "a.svs" in page(tmp_path, [slide]).words


def test_at_most_fifty_with_pictures_chosen_by_need(tmp_path: Path) -> None:
    def slide(name: str, status: str, n: str, percent: str) -> ReportSlide:
        row = {"n_glomeruli": n, "percent_sclerosed": percent}
        return ReportSlide(name, status, "", row, tmp_path / "slides" / name)  # type: ignore[arg-type]

    slides = [slide("f", "failed", "", ""), slide("calm", "done", "9", "0.0"), slide("s", "skipped", "", "")]
    slides += [slide(f"half{i}", "done", "9", "50.0") for i in range(60)]
    slides += [
        slide("worst", "done", "9", "90.0"),
        slide("none", "done", "0", ""),
        slide("part", "partial", "3", "0"),
    ]
    chosen = [slides[i].name for i in choose_illustrated(slides)]
    assert len(chosen) == MAX_ILLUSTRATED
    assert {"worst", "none", "part", "half0", "half46"} <= set(chosen)
    assert {"calm", "half47", "f", "s"}.isdisjoint(chosen)
    assert choose_illustrated(slides[:3]) == [1]


def test_thousands_of_slides_stay_small(tmp_path: Path) -> None:
    first = done(tmp_path, "a.svs")
    noise = np.random.default_rng(0).integers(0, 255, (700, 600, 3), np.uint8)
    for name in ("overlay.jpg", "contact.jpg"):
        (first.folder / name).write_bytes(jpeg_bytes(noise))
    slides = [replace(first, name=f"{i}.svs") for i in range(1000)]
    found = page(tmp_path, slides)
    assert found.tags.count("img") == 2 * MAX_ILLUSTRATED
    assert (tmp_path / "report.html").stat().st_size < PICTURE_BYTES * 4 / 3 + 1000 * 2000


@pytest.mark.parametrize("may_cut", [False, True])
def test_pictures_shrink_to_their_share(tmp_path: Path, may_cut: bool) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (3000, 1600, 3), np.uint8)
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg_bytes(noise))
    small = inline_picture(path, 300_000, may_cut)
    assert small is not None
    data = base64.b64decode(small.uri.removeprefix("data:image/jpeg;base64,"))
    assert len(data) <= 300_000
    assert Image.open(io.BytesIO(data)).size == (small.width, small.height)
    assert small.cut is may_cut
    assert (small.width == 900) is may_cut
    whole = inline_picture(path, 10**9, may_cut)
    assert whole is not None
    assert base64.b64decode(whole.uri.partition(",")[2]) == path.read_bytes()


def test_numbers_and_times_for_people() -> None:
    assert [fixed(2.345, 2), fixed(3), fixed(None), fixed("x")] == ["2.35", "3", "–", "–"]
    assert moment("2025-01-31T10:20:30+00:00") == "2025-01-31 10:20 UTC"
    assert moment("yesterday") == "yesterday"
