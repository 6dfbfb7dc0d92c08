"""Patient and stain of slides: in every table, summed, changed without a new run, and never in the clear."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from folder_fakes import FakeMethod, read_rows, run, tree, write_slide_file

from gloinone.annotations.columns import SUMMARY, TABLES
from gloinone.annotations.csv_text import make_row
from gloinone.annotations.saved_result import read_saved_result
from gloinone.cli.main import program
from gloinone.errors import UsageError
from gloinone.learning.bootstrap import interval, share_interval
from gloinone.pipeline.merge import SLIDE_TABLES, merge
from gloinone.pipeline.patients import patient_rows
from gloinone.pipeline.pseudonyms import read_key
from gloinone.pipeline.tasks import Shard
from gloinone.records import Origin

TABLE = "slide,mpp,patient,stain\na.svs,,Ada Quux,PAS\na.tif,,Ada Quux,HE\nb/c.tif,0.25,Kai Corge,PAS\n"


def table(folder: Path, text: str = TABLE) -> Path:
    path = folder / "slides.csv"
    path.write_text(text)
    return path


def origins(path: Path) -> set[tuple[object, ...]]:
    return {(row["slide"], row["patient"], row["stain"]) for row in read_rows(path)}


def slide(patient: str, stain: str, n: int, sclerosed: int, status: str = "done") -> dict[str, str]:
    return make_row(
        SUMMARY,
        {
            "slide": f"{patient} {stain} {n}",
            "patient": patient,
            "stain": stain,
            "status": status,
            **({"n_glomeruli": n, "n_sclerosed": sclerosed, "tissue_mm2": 1.5} if status == "done" else {}),
        },
    )


def test_patient_and_stain_stand_in_every_table_of_slides(slides: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(slides, out, mpp_csv=table(tmp_path))
    said = {("a.svs", "Ada Quux", "PAS"), ("a.tif", "Ada Quux", "HE"), ("b/c.tif", "Kai Corge", "PAS")}
    for name in ("summary.csv", *SLIDE_TABLES):
        assert origins(out / name) == said, name
    sums = [(row["sum_over"], row["patient"], row["stain"]) for row in read_rows(out / "patients.csv")]
    assert sums == [
        ("patient", "Ada Quux", None),
        ("stain", "Ada Quux", "HE"),
        ("stain", "Ada Quux", "PAS"),
        ("patient", "Kai Corge", None),
        ("stain", "Kai Corge", "PAS"),
    ]


def test_sums_of_a_patient_are_those_of_the_slides() -> None:
    rows = [
        slide("Ada Quux", "PAS", 10, 5),
        slide("Ada Quux", "PAS", 30, 3),
        slide("Ada Quux", "HE", 0, 0),
        slide("Ada Quux", "HE", 0, 0, "failed"),
        slide("", "HE", 9, 9),
    ]
    ann, he, pas = patient_rows(rows)
    assert [ann[c] for c in ("n_slides", "n_slides_missing", "n_glomeruli", "tissue_mm2")] == [
        "3",
        "1",
        "40",
        "4.5000",
    ]
    assert (ann["percent_sclerosed"], pas["percent_sclerosed"]) == ("20.00", "20.00")
    assert (float(ann["percent_sclerosed_low"]), float(ann["percent_sclerosed_high"])) == (10.0, 50.0), (
        "one or the other"
    )
    assert (he["percent_sclerosed"], he["percent_sclerosed_low"]) == ("", "")
    one = patient_rows(rows[:1])[0]
    assert (one["percent_sclerosed"], one["percent_sclerosed_low"]) == ("50.00", ""), (
        "one slide says nothing of slides"
    )
    assert patient_rows(rows[4:]) == []


def test_the_quick_bootstrap_is_the_slow_one() -> None:
    rng = np.random.default_rng(4)
    totals = rng.integers(1, 30, 40).astype(float)
    hits = rng.binomial(totals.astype(int), 0.3).astype(float)
    slow = interval(lambda i: float(hits[i].sum() / totals[i].sum()), [f"{i:02d}" for i in range(40)])
    assert share_interval(hits, totals) == pytest.approx(slow)
    assert np.isnan(share_interval(np.zeros(3), np.zeros(3))).all()


def test_other_patients_are_written_without_computing_anything(slides: Path, tmp_path: Path) -> None:
    whole, out = tmp_path / "whole", tmp_path / "out"
    run(slides, out, mpp_csv=table(tmp_path))
    newer = TABLE.replace("Ada Quux,HE", 'Cy; =1 "x",HE')
    run(slides, whole, mpp_csv=table(tmp_path, newer))
    method = FakeMethod()
    run(slides, out, method, mpp_csv=table(tmp_path, newer))
    assert method.loads == 0
    assert tree(out) == tree(whole)
    run(slides, out, method, mpp_csv=table(tmp_path, "slide,mpp\nb/c.tif,0.25\n"))
    assert method.loads == 0
    assert tree(out) == tree(whole), "a table that says nothing of patients takes nothing away"
    run(
        slides, out, method, mpp_csv=table(tmp_path, "slide,mpp,patient\na.svs,,Bo\nb/c.tif,0.25,Kai Corge\n")
    )
    assert method.loads == 0
    assert ("a.svs", "Bo", "PAS") in origins(out / "summary.csv"), "nor does one without stains take those"
    assert ("a.svs", "Bo", "PAS") in origins(out / "glomeruli.csv")
    saved = read_saved_result(out / "slides/a.svs")
    assert saved.origin == Origin("Bo", "PAS")


def test_shards_make_the_tables_of_one_run(slides: Path, tmp_path: Path) -> None:
    whole, out = tmp_path / "whole", tmp_path / "out"
    listed = table(tmp_path)
    run(slides, whole, mpp_csv=listed)
    for index in range(2):
        run(slides, out, mpp_csv=listed, shard=Shard(index, 2))
    merge(out)
    for name in TABLES:
        if name != "circles.csv":
            assert (out / name).read_bytes() == (whole / name).read_bytes(), name


def test_only_the_listed_slides_are_run(slides: Path, tmp_path: Path) -> None:
    out, listed = tmp_path / "out", table(tmp_path, "slide,mpp\nc.tif,\n")
    assert list(run(slides, out, mpp_csv=listed, only_listed=True).statuses) == ["b/c.tif"]
    assert [row["slide"] for row in read_rows(out / "summary.csv")] == ["b/c.tif"]
    key, hidden = tmp_path / "KEY.csv", tmp_path / "hidden"
    options = {"mpp_csv": listed, "only_listed": True, "pseudonyms": key}
    assert list(run(slides, hidden, **options, shard=Shard(0, 1)).statuses) == ["S0001"]
    assert list(read_key(key)) == ["b/c.tif"], "what is not run has no place in the key"
    with pytest.raises(UsageError, match="lists none of the 3 slides"):
        run(slides, out, mpp_csv=table(tmp_path, "slide,mpp\nx.tif,\n"), only_listed=True)
    other = tmp_path / "other"
    called = CliRunner().invoke(
        program,
        [
            "list",
            str(slides),
            str(other),
            "--mpp-csv",
            str(table(tmp_path, "slide,mpp\na.tif,\n")),
            "--only-listed",
        ],
    )
    assert called.output.endswith("slides.txt: 1 slides\n")
    with pytest.raises(UsageError, match="--only-listed: no list"):
        run(slides, out, only_listed=True)


def test_pseudonyms_are_patients_too(slides: Path, tmp_path: Path) -> None:
    out, key, listed = tmp_path / "out", tmp_path / "KEY.csv", table(tmp_path)
    run(slides, out, mpp_csv=listed, pseudonyms=key)
    called = read_key(key)
    ann, bob = "P" + min(called["a.svs"], called["a.tif"])[1:], "P" + called["b/c.tif"][1:]
    said = {(called["a.svs"], ann, "PAS"), (called["a.tif"], ann, "HE"), (called["b/c.tif"], bob, "PAS")}
    assert origins(out / "summary.csv") == origins(out / "pieces.csv") == said
    assert not [name for name, data in tree(out).items() if b"Ada Quux" in data or b"Kai Corge" in data]
    write_slide_file(slides / "0.tif", 7)
    method = FakeMethod()
    run(slides, out, method, mpp_csv=table(tmp_path, TABLE + "0.tif,,Ada Quux,PAS\n"), pseudonyms=key)
    assert method.seen == ["S0004"]
    assert origins(out / "summary.csv") == {*said, ("S0004", ann, "PAS")}


def test_results_of_an_older_version_are_left_out_and_then_done_again(slides: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(slides, out)
    before = tree(out)
    folder = out / "slides" / "a.tif"
    state = json.loads((folder / "state.json").read_bytes())
    state["row"] = {name: text for name, text in state["row"].items() if name not in ("patient", "n_pieces")}
    (folder / "state.json").write_text(json.dumps(state))
    (folder / "pieces.csv").unlink()
    assert merge(out) == ["done", "done", "done"]
    assert {row["slide"] for row in read_rows(out / "pieces.csv")} == {"a.svs", "b/c.tif"}
    assert [row["n_pieces"] for row in read_rows(out / "summary.csv")] == [1, None, 1]
    method = FakeMethod()
    run(slides, out, method)
    assert method.seen == ["a.tif"]
    assert tree(out) == before


@pytest.mark.parametrize("more", [(), ("--pseudonyms", "key.csv")])
def test_the_list_knows_the_patients_of_what_is_pending(
    more: tuple[str, ...], slides: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ["list", str(slides), "out", "--mpp-csv", str(table(tmp_path)), *more]
    listed = CliRunner().invoke(program, arguments)
    assert listed.exit_code == 0, listed.output
    merge(tmp_path / "out")
    names = {patient for _, patient, _ in origins(tmp_path / "out/summary.csv")}
    assert len(names) == 2
    assert names == {"Ada Quux", "Kai Corge"} or (
        more and all(re.fullmatch("P000[123]", str(name)) for name in names)
    )
