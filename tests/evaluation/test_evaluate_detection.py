"""Scores of a run whose right answers are known."""

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from made_run import Found, write_run, write_truth

from gloinone.cli.evaluate_detection import command
from gloinone.errors import UsageError
from gloinone.evaluation.detection import breakdown, make_view, scores
from gloinone.evaluation.groups import Groups, read_groups
from gloinone.evaluation.run_output import load_run


@pytest.fixture
def run(tmp_path: Path) -> tuple[Path, Path]:
    out, truth = tmp_path / "out", tmp_path / "truth"
    write_truth(truth, "a", [1000, 2000], cut=[3000])
    write_truth(truth, "b", [1000])
    write_truth(truth, "unread", [1000])
    # a: one found, one missed, the cut one found, one false circle that the classifier refuses
    slides = {
        "a.tif": [
            Found(1000, 0.9, 0.8, id="G001"),
            Found(3000, 0.8, 0.7, id="G002"),
            Found(5000, 0.95, 0.1, "non-glomerular"),
        ],
        "deep/b.tif": [Found(1000, 0.6, 0.2, "solidified")],
        "c.tif": [],
    }
    write_run(out, slides, unsettled={"broken.tif": "failed", "later.tif": "pending"})
    left = out / "slides" / "broken.tif"  # of an earlier run
    left.mkdir()
    (left / "circles.csv").write_bytes((out / "slides" / "c.tif" / "circles.csv").read_bytes())
    write_truth(truth, "broken", [1000])
    return out, truth


def test_scores_by_hand(run: tuple[Path, Path]) -> None:
    slides = load_run(*run).slides
    assert [s.name for s in slides] == ["a.tif", "deep/b.tif"]
    by_name = {s.name: s for s in scores(slides)}
    # detector: false .95, right .9, right .6 of three truths: precision at best 2/3 up to recall 2/3
    for what in ("AP50", "AP75", "AP .50:.90", "AP .50:.95"):
        assert by_name[f"detector {what}"].value == pytest.approx(67 * (2 / 3) / 101)
        # with the classifier the false one is gone
        assert by_name[f"with classifier {what}"].value == pytest.approx(67 / 101)
    assert by_name["recall at the threshold"].value == pytest.approx(1 / 3)
    assert by_name["precision at the threshold"].value == 1
    assert by_name["false per mm2 of tissue at the threshold"].value == 0
    assert by_name["with classifier AP50"].low < 67 / 101 < by_name["with classifier AP50"].high


def test_a_draw_of_slides_is_scored_as_if_they_were_there_so_often(run: tuple[Path, Path]) -> None:
    slides = load_run(*run).slides
    drawn = make_view([slides[0], slides[0], slides[1]])
    once = np.ones(3, np.intp)
    for who, pool in make_view(slides).items():
        times = np.array([2, 1])
        expected = drawn[who].average_precision((0.5,), once)
        assert pool.average_precision((0.5,), times) == pytest.approx(expected, nan_ok=True)
        assert pool.counts(times) == drawn[who].counts(once)


def test_of_a_truth_that_is_not_complete_only_recall_is_told(run: tuple[Path, Path]) -> None:
    """Slide a has a false circle, b none; without a region none of them can be false."""
    loaded = load_run(*run).recall_only()
    assert all(slide.is_partial for slide in loaded.slides)
    assert any("scored for recall only): a.tif, deep/b.tif" in note for note in loaded.notes)
    values = {s.name: s.value for s in scores(loaded.slides)}
    assert values["recall at the threshold"] == pytest.approx(1 / 3)
    assert {name for name, value in values.items() if np.isfinite(value)} == {"recall at the threshold"}
    by_slide = breakdown(loaded.slides)[1].rows[0]
    # slide, patient, truth, ignored, found, missed, false, recall, precision and what is made of them
    assert by_slide[2:6] == (2, 1, 1, 1)
    assert by_slide[7] == 0.5
    assert np.isnan([float(by_slide[i]) for i in (6, *range(8, 13))]).all()


def test_a_slide_whose_truth_is_complete_keeps_its_precision(run: tuple[Path, Path]) -> None:
    a, b = load_run(*run).slides
    mixed, alone = ({s.name: s.value for s in scores(s)} for s in ((a, b.recall_only()), (a,)))
    for name, value in alone.items():
        if name != "recall at the threshold":
            assert mixed[name] == pytest.approx(value, nan_ok=True), name
    assert mixed["recall at the threshold"] == pytest.approx(1 / 3)


def test_froc_by_hand(tmp_path: Path) -> None:
    write_truth(tmp_path / "truth", "a", [1000, 2000, 3000, 4000])
    circles = [Found(1000, 0.9, 0.9), Found(1500, 0.8, 0.8), Found(2000, 0.7, 0.7)]
    circles += [Found(2500, 0.6, 0.6), Found(3000, 0.5, 0.5)]
    write_run(tmp_path / "out", {"a.png": circles}, tissue_mm2=2.0)
    pool = make_view(load_run(tmp_path / "out", tmp_path / "truth").slides)["with classifier"]
    once = np.ones(1, np.intp)
    # right, false, right, false, right on 2 mm2: half a false circle per mm2 before the second right one
    assert [pool.recall_at(rate, once) for rate in (0.0, 0.49, 0.5, 1.0, 8.0)] == [
        0.25,
        0.25,
        0.5,
        0.75,
        0.75,
    ]
    rate, recall = pool.froc()
    assert rate.tolist() == [0, 0.5, 0.5, 1, 1]
    assert recall.tolist() == [0.25, 0.25, 0.5, 0.5, 0.75]


def test_what_the_truth_is_said_to_lack_stands_beside_the_plain_numbers(run: tuple[Path, Path]) -> None:
    listed = {"a.tif": np.array([[5000.0, 200.0, 50.0]]), "elsewhere.tif": np.array([[1.0, 1.0, 1.0]])}
    loaded = load_run(*run, unlabelled=listed)
    assert any("1 circles on these slides, 1 on slides that are not scored" in note for note in loaded.notes)
    plain, ignoring = ({s.name: s.value for s in scores(loaded.slides, u)} for u in (False, True))
    assert plain["detector AP50"] == pytest.approx(67 * (2 / 3) / 101)
    assert ignoring["detector AP50"] == pytest.approx(67 / 101)
    by_file_name = load_run(*run, unlabelled={"b.tif": np.array([[1.0, 1.0, 1.0]])}).slides
    assert {s.name: len(s.unlabelled) for s in by_file_name} == {"a.tif": 0, "deep/b.tif": 1}


def test_sources_and_patients(run: tuple[Path, Path], tmp_path: Path) -> None:
    table = tmp_path / "groups.csv"
    table.write_text("Slide,patient,hospital\na.tif,p1,north\ndeep/b.tif,p1,south\n")
    slides = load_run(*run, groups=read_groups(table)).slides
    assert [(s.group, s.source) for s in slides] == [("p1", "north"), ("p1", "south")]
    # two slides of one patient say nothing of other patients
    assert all(np.isnan([s.low, s.high]).all() for s in scores(slides))
    by_source, by_slide = breakdown(slides)
    assert [row[:7] for row in by_source.rows] == [
        ("north", 1, 2, 1, 1, 1, 0),
        ("south", 1, 1, 0, 0, 1, 0),
        ("together", 2, 3, 1, 1, 2, 0),
    ]
    assert [row[0] for row in by_slide.rows] == ["a.tif", "deep/b.tif"]
    assert Groups().source("deep/b.tif") == "deep"


def test_patients_are_those_of_the_run_unless_a_table_says_otherwise(
    run: tuple[Path, Path], tmp_path: Path
) -> None:
    summary = run[0] / "summary.csv"
    rows = list(csv.DictReader(io.StringIO(summary.read_text("utf-8-sig"), newline="")))
    for row in rows:
        row["patient"] = "p7" if row["slide"] in ("a.tif", "deep/b.tif") else ""
    with summary.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    assert [slide.group for slide in load_run(*run).slides] == ["p7", "p7"]
    table = tmp_path / "groups.csv"
    table.write_text("slide,patient,source\na.tif,p1,\ndeep/b.tif,,south\n")
    loaded = load_run(*run, groups=read_groups(table))
    assert [slide.group for slide in loaded.slides] == ["p1", "p7"]
    assert not any("not in --groups" in note for note in loaded.notes)


def test_groups_of_a_spreadsheet_with_semicolons(tmp_path: Path) -> None:
    table = tmp_path / "groups.csv"
    table.write_text("Slide;Patient;Hospital\na.tif;p1;north\n./a.tif;p1;\n")
    groups = read_groups(table)
    assert (groups.group("a.tif"), groups.source("a.tif")) == ("p1", "north")


def test_a_slide_of_two_patients_is_refused(tmp_path: Path) -> None:
    table = tmp_path / "groups.csv"
    table.write_text("slide,patient\na.tif,p1\nb.tif,p1\na.tif,p2\n")
    with pytest.raises(UsageError, match=r"a\.tif is listed twice, with patient p1 and p2; keep one"):
        read_groups(table)


def test_labels_of_crops_serve_as_groups(tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    table.write_text("name,slide,centre,label\nx-1,x,SAS,normal\n")
    groups = read_groups(table)
    assert (groups.group("x-1.png"), groups.source("x-1.png")) == ("x", "SAS")
    table.write_text("name,label\nx-1,normal\n")
    with pytest.raises(UsageError, match="slide,patient"):
        read_groups(table)
    assert read_groups(table, required=False).group("x-1") == "x-1"


def test_only_some_slides(run: tuple[Path, Path]) -> None:
    loaded = load_run(*run, frozenset({"b"}))
    assert [s.name for s in loaded.slides] == ["deep/b.tif"]
    with pytest.raises(UsageError, match="no result of nobody"):
        load_run(*run, frozenset({"nobody", "b"}))


def test_whatever_is_not_scored_is_named(run: tuple[Path, Path]) -> None:
    notes = "\n".join(load_run(*run, groups=Groups({"a.tif": "p1"})).notes)
    assert "no truth for (1, not scored): c.tif" in notes
    assert "slides that are failed (1, not scored): broken.tif" in notes
    assert "slides that are pending (1, not scored): later.tif" in notes
    assert "truth without a result (2, its glomeruli count nowhere): broken.geojson, unread.geojson" in notes
    assert "not in --groups (1, each taken for a patient of its own): deep/b.tif" in notes


def test_folders_that_hold_nothing(run: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="finished gloinone run"):
        load_run(tmp_path / "truth", run[1])
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="holds no truth"):
        load_run(run[0], tmp_path / "empty")
    (run[0] / "summary.csv").unlink()
    with pytest.raises(UsageError, match="gloinone merge"):
        load_run(*run)


def test_the_command_prints_and_writes_the_tables(run: tuple[Path, Path], tmp_path: Path) -> None:
    report = tmp_path / "scores"
    result = CliRunner().invoke(command, [str(run[0]), str(run[1]), "--out", str(report)])
    assert result.exit_code == 0, result.output
    assert "| a.tif | a.tif | 2 | 1 | 1 | 1 | 0 |" in result.stdout
    assert "c.tif" in result.stderr
    assert "--slides" in result.stderr
    text = (report / "scores.md").read_text()
    for line in result.stdout.splitlines():
        assert line in text
    for name in ("precision_recall", "froc", "ap_by_iou"):
        assert (report / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    first = (report / "detection.csv").read_text().splitlines()[:2]
    assert first[0] == "measure,value,low,high"
    assert first[1].startswith("detector AP .50:.90,0.442244,")
