"""Slides of one table that were counted otherwise than others: said by merge, export and run, and in the report."""

import html
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from folder_fakes import read_rows, write_slide_file
from threshold_method import FIRST, ThresholdMethod, run_at

from gloinone.cli.main import program
from gloinone.pipeline.alike import differences
from gloinone.pipeline.claims import Claims
from gloinone.pipeline.export import ExportConfig, export
from gloinone.pipeline.layout import CLAIMS, slide_place
from gloinone.pipeline.report_slide import ReportSlide
from gloinone.pipeline.state import Basis, Json
from gloinone.records import RowStatus

pytestmark = pytest.mark.usefixtures("unflushed")


def unlike(most: float, one: float) -> str:
    return (
        f"slides differ in min_score: {most:g} (2: a.svs, b.svs), {one:g} (1: demo.svs); do not add up or compare "
        "their numbers; to make them alike: gloinone export OUT --min-score X, or run them again"
    )


def of(name: str, basis: Basis | None, status: RowStatus = "done") -> ReportSlide:
    return ReportSlide(name, status, "", {}, Path(name), basis=basis)


def basis(**settings: Json) -> Basis:
    return Basis("0.1.0", {"detector": "d@0", "segmenter": "s@0"}, {"min_score": 0.25, **settings})


def test_what_does_not_change_a_count_is_no_difference() -> None:
    assert differences([]) == []
    others = [
        of("a", basis(device="cpu", shape="outline", crops=True, mpp_csv=0.5, keep_nonglomerular=False)),
        of("b", basis(device="cuda", shape="ellipse", crops=False, mpp_csv=0.25, tta=False, min_votes=None)),
        of("c", basis(min_score=0.5), "failed"),
        of("d", None, "pending"),
    ]
    assert differences(others) == []


def test_every_other_difference_is_a_sentence_of_its_own() -> None:
    usual = [of(f"{i}", basis()) for i in range(4)]
    for other, said in (
        (basis(min_score=0.5), "min_score: 0.25 (4 slides), 0.5 (1: x)"),
        (basis(keep_nonglomerular=True), "keep_nonglomerular: not given (4 slides), given (1: x)"),
        (basis(tta=True), "tta: not given (4 slides), given (1: x)"),
        (basis(min_votes=3), "min_votes: not given (4 slides), 3 (1: x)"),
        (basis(model_cards="0a"), "model_cards: not given (4 slides), 0a (1: x)"),
        (
            replace(basis(), models={"detector": "d@1", "segmenter": "s@0"}),
            "detector: d@0 (4 slides), d@1 (1: x)",
        ),
        (replace(basis(), models={"detector": "d@0"}), "segmenter: s@0 (4 slides), none (1: x)"),
        (replace(basis(), version="0.2.0"), "version: 0.1.0 (4 slides), 0.2.0 (1: x)"),
    ):
        (sentence,) = differences([*usual, of("x", other, "partial")])
        assert f"slides differ in {said}; do not" in sentence
        assert ("gloinone export OUT" in sentence) == ("score" in said or "keep" in said)
    assert len(differences([*usual, of("x", replace(basis(min_score=0.5), version="0.2.0"))])) == 2


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """IN and OUT, of three slides at one threshold."""
    for seed, name in enumerate(("a.svs", "b.svs", "demo.svs")):
        write_slide_file(tmp_path / "in" / name, seed)
    assert run_at(tmp_path / "in", tmp_path / "out").exit_status == 0
    return tmp_path


def warned(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [text for _, _, text in caplog.record_tuples if "slides differ" in text]


def noted(out: Path) -> str:
    """At the top of the report."""
    head, note, rest = html.unescape((out / "report.html").read_text()).partition(
        "Not counted alike:</strong> "
    )
    assert not note or "<h2>" not in head
    return rest.partition(".</p>")[0]


def test_slides_that_an_export_passed_over_stand_out(run: Path, caplog: pytest.LogCaptureFixture) -> None:
    out = run / "out"
    assert {row["min_score"] for row in read_rows(out / "summary.csv")} == {FIRST}
    with Claims(out / CLAIMS).hold(slide_place(out, "demo.svs").key, "demo.svs"):
        export(ExportConfig(out, min_score=0.5))
    assert warned(caplog) == [unlike(0.5, FIRST)]
    assert [row["min_score"] for row in read_rows(out / "summary.csv")] == [0.5, 0.5, FIRST]
    caplog.clear()
    export(ExportConfig(out, min_score=0.5))
    assert warned(caplog) == []
    assert not noted(out)


def test_a_folder_of_other_settings_that_was_copied_in_stands_out(
    run: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out, other = run / "out", run / "other"
    run_at(run / "in/demo.svs", other, ThresholdMethod(0.5))
    shutil.rmtree(out / "slides/demo.svs")
    shutil.copytree(other / "slides/demo.svs", out / "slides/demo.svs")
    merged = CliRunner().invoke(program, ["merge", str(out)])
    assert merged.exit_code == 0, "a choice of the user's"
    assert merged.stderr == f"warning: {unlike(FIRST, 0.5)}\n"
    assert noted(out) == unlike(FIRST, 0.5)
    caplog.clear()
    run_at(run / "in/a.svs", out)
    assert warned(caplog) == [unlike(FIRST, 0.5)]
    caplog.clear()
    run_at(run / "in", out)
    assert warned(caplog) == []
    assert not noted(out)
