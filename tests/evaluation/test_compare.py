"""Machine against reader, by hand and from files edited as ImageScope and QuPath save them."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from folder_fakes import config_for, write_slide_file
from lxml import etree
from made_run import SIZE, Found, write_run, write_truth
from sklearn.metrics import balanced_accuracy_score, cohen_kappa_score
from threshold_method import ThresholdMethod, run_at

from gloinone.annotations.class_names import read_class_names
from gloinone.cli.compare import command
from gloinone.cli.main import program
from gloinone.errors import AnnotationError, UsageError
from gloinone.evaluation.agreement import balanced_accuracy, kappa, limits_of_agreement
from gloinone.evaluation.compare import MEASURES, compare, counts, glances, pair_up
from gloinone.evaluation.corrected import PIECE_MAP, load_corrected
from gloinone.evaluation.corrected_files import choose_answers
from gloinone.pipeline.export import ExportConfig, export
from gloinone.pipeline.run_folder import run_folder


@pytest.fixture
def out(tmp_path: Path) -> Path:
    slides = {
        "one/a.png": [
            Found(500, 0.9, 0.9, id="G001"),
            Found(1000, 0.9, 0.9, id="G002"),
            Found(1500, 0.9, 0.9, "obsolescent", "G003"),
            Found(2000, 0.9, 0.9, id="G004"),
            Found(2500, 0.9, 0.1),
        ],
        "two/a.png": [Found(500, 0.9, 0.9, "solidified", "G001")],
        "b.png": [Found(500, 0.9, 0.9, id="G001")],
    }
    write_run(tmp_path / "out", slides)
    return tmp_path / "out"


@pytest.fixture
def corrected(tmp_path: Path) -> Path:
    """Of the first: G002 is sclerosed, G004 is none, one is new; of the second the kind is another."""
    folder = tmp_path / "corrected"
    write_truth(
        folder / "one", "a", [500, 1000, 1500, 3000], label=["normal", "sclerosed", "obsolescent", "normal"]
    )
    write_truth(folder / "two", "a", [505], label="disappearing")
    return folder


def compared(out: Path, files: Sequence[Path]) -> dict[str, list[dict[str, str]]]:
    """Rows of every table by its name."""
    return {
        table.name: list(csv.DictReader(table.csv_bytes().decode().splitlines()))
        for table in compare(load_corrected(out, files)).tables
    }


def read_csv(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


def test_by_hand(out: Path, corrected: Path) -> None:
    found = compared(out, sorted(corrected.rglob("*.geojson")))
    first, second = found["compare_slides"]
    assert (first["slide"], second["slide"]) == ("one/a.png", "two/a.png")
    assert [first[k] for k in ("glomeruli, reader", "glomeruli, machine", "missed", "added")] == [
        "4",
        "4",
        "1",
        "1",
    ]
    assert [first[k] for k in ("% sclerosed, reader", "% sclerosed, machine", "difference (points)")] == [
        *("50", "25", "-25"),
    ]
    scores = {row["measure"]: float(row["value"]) for row in found["compare"]}
    # both have four: reader N S S S, machine N N S S
    assert scores["kappa, normal or sclerosed"] == pytest.approx((3 / 4 - 1 / 2) / (1 - 1 / 2))
    assert scores["balanced accuracy, normal or sclerosed"] == pytest.approx((1 + 2 / 3) / 2, abs=1e-5)
    # of known kind three: N N, O O, D against S
    assert scores["balanced accuracy, four classes"] == pytest.approx(2 / 3, abs=1e-5)
    assert scores["missed: the reader's that the machine has not (%)"] == 20
    assert scores["added: the machine's that the reader has not (%)"] == 20
    count, percent = found["compare_limits"]
    assert (count["slides"], count["bias"]) == ("2", "0")
    assert float(percent["bias"]) == -12.5
    assert float(percent["high"]) == pytest.approx(-12.5 + 1.96 * np.std([-25, 0], ddof=1), rel=1e-5)
    assert "compare_pieces" not in found
    assert "compare_patients" not in found
    rows = {(row["slide"], row["glomerulus"] or row["x"]): row for row in found["compare_glomeruli"]}
    assert rows["one/a.png", "G004"]["reader"] == ""
    assert rows["one/a.png", "3000"]["machine"] == ""
    assert len(rows) == 6


def test_pieces_and_patients_where_they_are_known(out: Path, corrected: Path, tmp_path: Path) -> None:
    pieces = np.zeros((40, SIZE[0] // 10), np.uint16)
    pieces[:, :120], pieces[:, 130:] = 1, 2
    assert cv2.imwrite(str(out / "slides/one/a.png" / PIECE_MAP), pieces)
    table = tmp_path / "groups.csv"
    table.write_text("slide,patient\none/a.png,P1\ntwo/a.png,P1\n")
    done = CliRunner().invoke(
        command, [str(out), str(corrected), "--groups", str(table), "--out", str(tmp_path / "x")]
    )
    assert done.exit_code == 0, done.output
    assert "By patient" in done.output
    rows = read_csv(tmp_path / "x/compare_pieces.csv")
    assert [(r["piece"], r["glomeruli, reader"], r["missed"], r["added"]) for r in rows] == [
        *(("1", "2", "0", "0"), ("2", "2", "1", "1"), ("", "1", "0", "0")),
    ]
    patient = read_csv(tmp_path / "x/compare_patients.csv")[0]
    assert (patient["patient"], patient["glomeruli, reader"]) == ("P1", "5")
    assert float(patient["% sclerosed, reader"]) == 60
    for name in ("bland_altman_count", "bland_altman_percent_sclerosed", "compare_classes"):
        assert (tmp_path / "x" / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_tables_of_an_earlier_comparison_do_not_stay(out: Path, corrected: Path, tmp_path: Path) -> None:
    report, table, mine = tmp_path / "x", tmp_path / "groups.csv", tmp_path / "x/compare_mine.csv"
    pieces = out / "slides/one/a.png" / PIECE_MAP
    assert cv2.imwrite(str(pieces), np.ones((40, SIZE[0] // 10), np.uint16))
    table.write_text("slide,patient\none/a.png,P1\ntwo/a.png,P1\n")
    asked = [str(out), str(corrected), "--out", str(report)]
    assert CliRunner().invoke(command, [*asked, "--groups", str(table)]).exit_code == 0
    optional = {"compare_patients.csv", "compare_pieces.csv"}
    before = {path.name for path in report.iterdir()}
    assert optional < before
    pieces.unlink()
    mine.write_text("a,b\n")
    assert CliRunner().invoke(command, asked).exit_code == 0
    assert {path.name for path in report.iterdir()} == before - optional | {mine.name}


@pytest.mark.parametrize("record", ["run.json", "runs/0-of-2.json"])
def test_patients_of_a_table_do_not_get_into_an_out_with_pseudonyms(
    out: Path, corrected: Path, tmp_path: Path, record: str
) -> None:
    table = tmp_path / "groups.csv"
    table.write_text("slide,patient\none/a.png,Ada Quux\ntwo/a.png,Ada Quux\n")
    (out / record).parent.mkdir(exist_ok=True)
    (out / record).write_text(json.dumps({"pseudonyms": True}))
    before = sorted(out.rglob("*"))
    asked = ["compare", str(out), str(corrected), "--groups", str(table)]
    for more in ([], ["--out", str(out / "x/y")]):
        refused = CliRunner().invoke(program, [*asked, *more])
        assert (refused.exit_code, sorted(out.rglob("*"))) == (2, before)
        assert "pass --out with a folder outside" in refused.stderr
    asked_of_evaluate = [
        "evaluate",
        "detection",
        str(out),
        str(corrected),
        *asked[3:],
        "--out",
        str(out / "x"),
    ]
    refused = CliRunner().invoke(program, asked_of_evaluate)
    assert (refused.exit_code, sorted(out.rglob("*"))) == (2, before)
    done = CliRunner().invoke(program, [*asked, "--out", str(tmp_path / "out-beside")])
    assert done.exit_code == 0, done.output
    assert "Ada Quux" in (tmp_path / "out-beside/compare_slides.csv").read_text()
    assert CliRunner().invoke(program, asked[:3]).exit_code == 0


def test_kappa_and_balanced_accuracy_are_those_of_scikit_learn() -> None:
    random = np.random.default_rng(0)
    for classes in (2, 4):
        reader = random.integers(classes, size=60)
        machine = np.where(random.random(60) < 0.6, reader, random.integers(classes, size=60))
        table = np.zeros((classes, classes), np.intp)
        np.add.at(table, (reader, machine), 1)
        assert kappa(table) == pytest.approx(cohen_kappa_score(reader, machine))
        assert balanced_accuracy(table) == pytest.approx(balanced_accuracy_score(reader, machine))
    assert np.isnan(kappa(np.zeros((2, 2), np.intp)))
    assert np.isnan(kappa(np.array([[3, 0], [0, 0]])))
    assert np.isnan(balanced_accuracy(np.array([[3, 1], [0, 0]])))
    assert np.isnan(limits_of_agreement(np.array([1.0, np.nan])).low)


def test_a_redrawn_outline_keeps_its_id_and_a_copied_id_does_not_mislead() -> None:
    machine = np.array([[100.0, 100, 50], [300, 100, 50]])
    reader = np.array([[130.0, 100, 30], [300, 100, 50], [900, 100, 50]])
    same = np.array([[True, False, False], [True, False, False]])
    assert sorted(pair_up(machine, reader, same)) == [(0, 0), (1, 1)]
    assert pair_up(machine[:1], reader[2:], np.array([[True]])) == []
    assert pair_up(machine[:0], reader, same[:0]) == []


def test_an_id_that_another_export_gave_to_a_neighbour_does_not_mislead() -> None:
    """Two that touch, renumbered by an export at another threshold: the circles say which is which."""
    machine = np.array([[100.0, 100, 50], [190, 100, 50]])
    swapped = np.array([[False, True], [True, False]])
    assert sorted(pair_up(machine, machine, swapped)) == [(0, 0), (1, 1)]
    assert pair_up(machine[:1], machine, swapped[:1]) == [(0, 0)]


def test_what_the_reader_ignores_or_leaves_outside_of_his_region_is_on_neither_side(
    out: Path, tmp_path: Path
) -> None:
    write_truth(tmp_path / "c", "b", [], label="ignore")
    write_truth(tmp_path / "d", "b", [500, 4000], label=["ignore", "glomerulus"])
    plain, ignoring = (load_corrected(out, [tmp_path / name / "b.geojson"]) for name in "cd")
    assert counts(glances(plain.slides[0]))[:5] == (0, 1, 1, 0, 1)
    seen = glances(ignoring.slides[0])
    assert counts(seen)[:5] == (1, 0, -1, 1, 0)
    assert np.isnan(counts(seen)[5])
    assert any("have no class" in note for note in compare(ignoring).notes)


def test_files_belong_to_the_slide_of_their_name_and_folder(tmp_path: Path) -> None:
    names = ["one/a.svs", "two/a.svs", "b.ome.tif", "c.svs", "d.svs", "d.new.svs"]

    def chosen(*files: str) -> dict[str, Path]:
        return dict(choose_answers([tmp_path / file for file in files], names).files)

    files = ("two/a.xml", "one/a.geojson.gz", "b.ome.xml", "c.new2.geojson", "d.new.xml")
    slides = ("two/a.svs", "one/a.svs", "b.ome.tif", "c.svs", "d.new.svs")
    assert chosen(*files) == {slide: tmp_path / file for slide, file in zip(slides, files, strict=True)}
    assert chosen("slides/one/a.svs/a.xml").keys() == {"one/a.svs"}
    for wrong, match in (
        (["a.xml"], "2 slides"),
        (["e.xml", "c - Kopie.xml"], "fits no slide"),
        ([], "no XML"),
    ):
        with pytest.raises(UsageError, match=match):
            chosen(*wrong)
    for two in (["one/a.xml", "one/a.geojson"], ["c.xml", "c.new.xml"]):
        with pytest.raises(UsageError, match="two files of one slide, give one"):
            chosen(*two)


def test_files_of_no_slide_are_told_and_the_rest_is_compared(out: Path, tmp_path: Path) -> None:
    write_truth(tmp_path / "c", "b", [500], label="normal")
    for number in range(7):
        write_truth(tmp_path / "c", f"b - Kopie {number}", [500], label="nobody knows this name")
    done = CliRunner().invoke(command, [str(out), str(tmp_path / "c")])
    assert done.exit_code == 0, done.output
    assert "7 files are of no slide that has results: they count nowhere" in done.stderr
    assert "b - Kopie 4.geojson and 2 more" in done.stderr
    assert [row["slide"] for row in read_csv(out / "compare/compare_slides.csv")] == ["b.png"]
    assert "Kopie" not in (out / "compare/scores.md").read_text()


def test_other_names_need_a_table(out: Path, tmp_path: Path) -> None:
    write_truth(tmp_path / "c", "b", [500], label="GGS")
    files = [tmp_path / "c/b.geojson"]
    with pytest.raises(AnnotationError, match="--classes"):
        load_corrected(out, files)
    (tmp_path / "names.csv").write_text("name,class\nGGS,sclerosed\n")
    read = load_corrected(out, files, read_class_names(tmp_path / "names.csv"))
    assert [g.reader for g in glances(read.slides[0])] == ["sclerosed"]


def _edit_xml(path: Path) -> tuple[str, str]:
    """As ImageScope does: the first normal one is moved to `obsolescent`, the last of all deleted; their ids."""
    tree = etree.parse(path)
    layers = tree.findall("Annotation")
    moved, deleted = layers[0].find("Regions/Region"), tree.findall(".//Region")[-1]
    layers[1].find("Regions").append(moved)
    deleted.getparent().remove(deleted)
    tree.write(path)
    return moved.get("Text").split()[0], deleted.get("Text").split()[0]


def test_what_was_edited_in_out_itself_is_found_there(tmp_path: Path) -> None:
    out = tmp_path / "out"
    for name in ("a.svs", "bc.tif"):
        write_slide_file(tmp_path / "in" / name)
    assert run_at(tmp_path / "in", out).exit_status == 0
    refused = CliRunner().invoke(command, [str(out)])
    assert isinstance(refused.exception, UsageError)
    moved, deleted = _edit_xml(out / "slides/a.svs/a.xml")
    features = json.loads((out / "slides/bc.tif/bc.geojson").read_text())
    (out / "slides/bc.tif/bc.geojson").write_text(
        json.dumps(features, indent=1)
    )  # QuPath writes it otherwise
    done = CliRunner().invoke(command, [str(out)])
    assert done.exit_code == 0, done.output
    rows = read_csv(out / "compare/compare_glomeruli.csv")
    changed = {
        row["glomerulus"]: (row["machine"], row["reader"]) for row in rows if row["machine"] != row["reader"]
    }
    assert moved != deleted
    assert changed.keys() == {moved, deleted}
    assert changed[moved] == ("normal", "obsolescent")
    assert changed[deleted][1] == ""
    assert {row["slide"] for row in rows} == {"a.svs", "bc.tif"}
    assert "0 others have no corrected file" in done.stderr


def test_a_file_as_the_machine_wrote_it_is_no_answer(tmp_path: Path) -> None:
    """Beside the slides, in OUT, or a copy of either; a reader may have agreed with it, though (--untouched)."""
    source, out, copies = tmp_path / "in", tmp_path / "out", tmp_path / "copies"
    for name in ("a.svs", "bc.tif"):
        write_slide_file(source / name)
    assert run_folder(config_for(source, out, xml_beside_slide=True), ThresholdMethod()).exit_status == 0
    copies.mkdir()
    for name in ("a.svs/a.xml", "bc.tif/bc.geojson"):
        (copies / Path(name).name).write_bytes((out / "slides" / name).read_bytes())
    for folder in (source, copies, out / "slides"):
        refused = CliRunner().invoke(command, [str(out), str(folder)])
        assert isinstance(refused.exception, UsageError)
        assert "as the machine wrote them: no reader's answer" in str(refused.exception)
    _edit_xml(source / "a.xml")
    done = CliRunner().invoke(command, [str(out), str(source)])
    assert "1 files are as the machine wrote them: no reader's answer" in done.stderr
    assert [row["slide"] for row in read_csv(out / "compare/compare_slides.csv")] == ["a.svs"]
    done = CliRunner().invoke(command, [str(out), str(source), "--untouched"])
    assert "1 files are as the machine wrote them: agreed with" in done.stderr
    edited, agreed = read_csv(out / "compare/compare_slides.csv")
    assert (edited["added"], agreed["slide"], agreed["missed"], agreed["added"]) == ("1", "bc.tif", "0", "0")
    done = CliRunner().invoke(command, [str(out), str(copies), "--untouched"])
    assert [row["added"] for row in read_csv(out / "compare/compare_slides.csv")] == ["0", "0"]


def test_answers_from_before_an_export_at_another_threshold(tmp_path: Path) -> None:
    """Ids are others since: circles still pair, and copies that nobody touched are still no answer."""
    source, out, copies = tmp_path / "in", tmp_path / "out", tmp_path / "copies"
    copies.mkdir()
    for name in ("a.svs", "bc.tif"):
        write_slide_file(source / name)
    run_at(source, out)
    for name in ("a.svs/a.xml", "bc.tif/bc.xml"):
        (copies / Path(name).name).write_bytes((out / "slides" / name).read_bytes())
    edited = _edit_xml(copies / "a.xml")

    def rows() -> list[dict[str, str]]:
        assert CliRunner().invoke(command, [str(out), str(copies)]).exit_code == 0
        return read_csv(out / "compare/compare_glomeruli.csv")

    before = {row["glomerulus"]: row["x"] for row in rows()}
    export(ExportConfig(out, min_score=0.5))
    after = [row for row in rows() if row["machine"]]
    assert {row["slide"] for row in after} == {"a.svs"}
    assert any(before[row["glomerulus"]] != row["x"] for row in after)
    unlike = {row["x"] for row in after if row["machine"] != row["reader"]}
    assert unlike <= {before[name] for name in edited}


def test_geojson_of_a_cropped_slide_is_where_qupath_has_it(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_slide_file(tmp_path / "in/a.svs")
    run_at(tmp_path / "in", out)
    folder = out / "slides/a.svs"
    saved = json.loads((folder / "result.json").read_text())
    saved["info"]["bounds"] = [30, 40, 400, 400]
    (folder / "result.json").write_text(json.dumps(saved))
    document = json.loads((folder / "a.geojson").read_text())
    for feature in document["features"]:
        ring = np.array(feature["geometry"]["coordinates"][0]) - [30, 40]
        feature["geometry"]["coordinates"] = [ring.tolist()]
        feature["properties"]["name"] = "redrawn"
    (tmp_path / "a.geojson").write_text(json.dumps(document))
    seen = glances(load_corrected(out, [tmp_path / "a.geojson"]).slides[0])
    assert seen
    assert all(g.machine == g.reader for g in seen)
    assert MEASURES["missed: the reader's that the machine has not (%)"](seen) == 0
