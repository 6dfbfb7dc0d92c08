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
from gloinone.doubts import LIMITS, Doubts
from gloinone.pipeline.drawing import jpeg_bytes
from gloinone.pipeline.layout import slide_place
from gloinone.pipeline.report import read_run, write_report
from gloinone.pipeline.report_choice import MAX_ILLUSTRATED, MAX_UNSURE, LeastSure, choose_illustrated
from gloinone.pipeline.report_pictures import inline_picture
from gloinone.pipeline.report_plots import histogram
from gloinone.pipeline.report_slide import ReportSlide, fixed, moment, relative_address, shown
from gloinone.pipeline.save import SaveOptions, write_slide
from gloinone.pipeline.slide_report import slide_report

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
                {"what": "recall", "on": "pas-b", "n": 132, "value": 0.912, "low": 0.86, "high": 0.95},
                {"what": "AP50", "on": "one slide", "n": 132, "value": 0.97, "low": 0.97, "high": 0.97},
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
    write_slide(folder, result, SaveOptions())
    row = summary_row(result, MADE_WITH)
    return with_report(out, ReportSlide(name, result.status, row["reason"], row, folder, notes))


def failed(out: Path, name: str, why: str) -> ReportSlide:
    row = summary_row_without_result(name, "failed", why, MADE_WITH)
    slide = ReportSlide(name, "failed", why, row, out / "slides" / name)
    slide.folder.mkdir(parents=True, exist_ok=True)
    return with_report(out, slide)


def with_report(out: Path, slide: ReportSlide) -> ReportSlide:
    data = slide_report(slide, slide_place(out, slide.name), RUN["models"])  # type: ignore[arg-type]
    (slide.folder / "report.html").write_bytes(data)
    return slide


def page(out: Path, slides: list[ReportSlide]) -> Page:
    least_sure = LeastSure()
    for slide in slides:
        if (table := slide.folder / "glomeruli.csv").is_file():
            least_sure.look(table.read_bytes())
    write_report(out, slides, least_sure)
    return Page((out / "report.html").read_text())


def own_page(slide: ReportSlide) -> Page:
    return Page((slide.folder / "report.html").read_text())


def assert_says(found: Page, *sentences: str) -> None:
    words = re.sub(r"\s+", " ", found.words)
    for said in sentences:
        assert said in words, said


WEIGHTS = (
    "For research use only",
    "circles@0123456789ab",
    "recall: 0.912 (95 % 0.860 to 0.950), n = 132, on pas-b",
    "AP50: 0.970, n = 132, on one slide",  # one slide has no interval
    "Not validated: Other stains.",
    "kinds@abcdef",
)


def test_what_stands_in_the_report_of_the_run(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps(RUN))
    slides = [
        done(tmp_path, "case 1/a.svs", notes=("a.xml was edited and is kept.",)),
        failed(tmp_path, "b.svs", "b.svs: cannot be opened; copy it again"),
        done(tmp_path, "c.svs", 0, read=0.75),
    ]
    found = page(tmp_path, slides)
    assert_says(found, *WEIGHTS, "2025-01-31 10:20 UTC", "a.xml was edited and is kept.")
    assert_says(found, "cannot be opened; copy it again", "25.0 % of the tissue could not be read")
    assert_says(found, "not validated by a pathologist")
    assert found.tags.count("img") == 2  # an overlay of each with results; no glomerulus is in doubt
    assert found.tags.count("input") == 1


def test_what_stands_in_the_report_of_a_slide(tmp_path: Path) -> None:
    found = own_page(done(tmp_path, "case 1/a.svs", notes=("a.xml was edited and is kept.",)))
    assert_says(found, *WEIGHTS, "a.xml was edited and is kept.", "50.0 % sclerosed, 3 of 6")
    assert_says(found, "95 % interval 18.8 to 81.2 %", "kinds: not validated by a pathologist", "G006")
    assert found.tags.count("img") == 2
    none = own_page(done(tmp_path, "c.svs", 0, read=0.75))
    assert none.tags.count("img") == 1  # no contact sheet
    assert_says(none, "25.0 % of the tissue could not be read", "0 glomeruli")
    nothing = own_page(failed(tmp_path, "b.svs", "b.svs: cannot be opened"))
    assert_says(nothing, "b.svs failed", "cannot be opened")
    assert "img" not in nothing.tags
    assert "overlay" not in nothing.words


def test_several_pieces_are_a_caution(tmp_path: Path) -> None:
    slides = [done(tmp_path, name) for name in ("a.svs", "b.svs")]
    slides[1] = replace(slides[1], row={**slides[1].row, "n_pieces": "6"})
    with_report(tmp_path, slides[1])
    words = [re.sub(r"\s+", " ", p.words) for p in (page(tmp_path, slides), *map(own_page, slides))]
    assert words[0].count("sum over 6 pieces") == 1, "beside the slide's numbers"
    assert words[0].count('"sum over" it does not allow for levels of one core that repeat glomeruli') == 1
    caution = "sum over 6 pieces; levels of one core repeat glomeruli, the interval does not allow for it"
    assert words[2].count(caution) == 1
    assert "sum over" not in words[1]
    assert "sum over" not in page(tmp_path, slides[:1]).words


def test_no_network_and_every_link_leads_somewhere(tmp_path: Path) -> None:
    slides = [done(tmp_path, "a #1?/x & y%.svs"), failed(tmp_path, "b.svs", "gone")]
    pages = {tmp_path: page(tmp_path, slides), **{slide.folder: own_page(slide) for slide in slides}}
    for folder, found in pages.items():
        assert {"link", "iframe", "object"}.isdisjoint(found.tags)
        assert not re.search(r"https?://|@import|url\(", (folder / "report.html").read_text())
        for address in found.addresses:
            if not address.startswith("data:image/jpeg;base64,"):
                assert (folder / unquote(address)).is_file(), address
    assert any(address.endswith("x%20%26%20y%25.svs/report.html") for address in pages[tmp_path].addresses)
    assert {"overlay.jpg", "contact.jpg", "../../../report.html"} <= set(pages[slides[0].folder].addresses)


def test_markup_in_names_and_reasons_is_escaped(tmp_path: Path) -> None:
    evil = "<script>alert(1)<b>\"'&.svs"
    slides = [done(tmp_path, evil, notes=(f"{evil} was kept",)), failed(tmp_path, "b", evil)]
    for found in (page(tmp_path, slides), own_page(slides[0]), own_page(slides[1])):
        assert found.tags.count("script") == 1
        assert evil in found.words
    assert page(tmp_path, slides).words.count(evil) >= 4


def test_the_least_sure_glomeruli_stand_in_the_gallery(tmp_path: Path) -> None:
    (first, second) = (made_result(26), made_result(26))
    slides = []
    for name, result, most in (("a.svs", first, 2.0), ("b.svs", second, 3.0)):
        doubtful = tuple(
            replace(g, doubts=Doubts(near_cut=0.5, blur_um=LIMITS["blur_um"] * most * g.number / 26))
            for g in result.glomeruli
        )
        folder = tmp_path / "slides" / name
        folder.mkdir(parents=True)
        result = renamed(replace(result, glomeruli=doubtful), name)
        write_slide(folder, result, SaveOptions())
        row = summary_row(result, MADE_WITH)
        assert row["n_flagged"] == str(sum(most * i / 26 >= 1 for i in range(1, 27)))
        slides.append(with_report(tmp_path, ReportSlide(name, "done", "", row, folder)))
    found = page(tmp_path, slides)
    shown = re.findall(r"(.\.svs) (G\d+), .*?\n?\s*doubt ([\d.]+) (\w*)", found.words)
    assert len(shown) == MAX_UNSURE
    assert shown[0] == ("b.svs", "G026", "3.00", "blur")
    assert [float(doubt) for *_, doubt, _ in shown] == sorted((float(d) for *_, d, _ in shown), reverse=True)
    assert found.tags.count("img") == MAX_UNSURE + 2
    assert "blur" in own_page(slides[0]).words


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
    assert "The overlay could not be read." in own_page(with_report(tmp_path, slide)).words
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
    def slide(name: str, status: str, n: str, percent: str, doubt: str = "0.5") -> ReportSlide:
        row = {"n_glomeruli": n, "percent_sclerosed": percent, "doubt": doubt}
        return ReportSlide(name, status, "", row, tmp_path / "slides" / name)  # type: ignore[arg-type]

    slides = [
        slide("f", "failed", "", ""),
        slide("calm", "done", "9", "0.0", "0.1"),
        slide("s", "skipped", "", ""),
    ]
    slides += [slide(f"half{i}", "done", "9", "50.0") for i in range(60)]
    slides += [slide(f"part{i}", "partial", "3", "0") for i in range(60)]
    slides += [
        slide("worst", "done", "9", "90.0"),
        slide("none", "done", "0", ""),
        slide("blurred", "done", "9", "0", "2.5"),
    ]
    chosen = [slides[i].name for i in choose_illustrated(slides)]
    assert len(chosen) == MAX_ILLUSTRATED
    assert {"worst", "none", "blurred", "part0", "half0"} <= set(chosen)
    assert {"calm", "f", "s"}.isdisjoint(chosen)
    assert choose_illustrated(slides[:3]) == [1]


def test_thousands_of_slides_stay_small(tmp_path: Path) -> None:
    first = done(tmp_path, "a.svs")
    noise = np.random.default_rng(0).integers(0, 255, (700, 600, 3), np.uint8)
    (first.folder / "overlay.jpg").write_bytes(jpeg_bytes(noise))
    slides = [replace(first, name=f"a patient/with a longer name {i}.svs") for i in range(1000)]
    found = page(tmp_path, slides)
    assert found.tags.count("img") == MAX_ILLUSTRATED
    pictures = sum(len(address) for address in found.addresses if address.startswith("data:"))
    assert pictures < 9e6
    assert (tmp_path / "report.html").stat().st_size - pictures < 1000 * 1500  # of 5,000: 7.5 MB, 20 in all


def test_histograms_and_who_lies_far_outside() -> None:
    values = [*(float(v) for v in np.random.default_rng(1).normal(50, 5, 200)), 190.0, None, -40.0]
    plot = histogram("x", values)
    assert plot is not None
    assert plot.n == 202
    assert plot.far == (200, 202)
    counted = sum(int(re.search(r": (\d+) slide", bar.words).group(1)) for bar in plot.bars)  # type: ignore[union-attr]
    assert counted == 202
    assert (plot.low, plot.high) == ("-40", "200")
    whole = histogram("x", [3.0] * 30)
    assert whole is not None
    assert (whole.far, whole.most, len(whole.bars)) == ((), 30, 1)
    percent = histogram("x", [0.0, 100.0], (0, 100))
    assert percent is not None
    assert (len(percent.bars), percent.low, percent.high) == (20, "0", "100")
    assert histogram("x", [1.0, None]) is None


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
