"""`--classes` of the evaluations: a truth under other names gives the same numbers as under ours."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from made_run import Found, write_run, write_truth

from gloinone.cli.main import program

OURS, THEIRS = ["normal", "sclerosed", "sclerosed", "normal"], ["Glom", "GS", "GS", "Glom"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run, its truth under our names and under others, and the table of these."""
    found = [(500, "normal"), (1000, "solidified"), (1500, "normal"), (3000, "obsolescent")]
    circles = [Found(x, 0.9, 0.9, label, f"G00{i}") for i, (x, label) in enumerate(found, 1)]
    write_run(tmp_path / "out", {"a.png": circles, "b.png": circles})
    for folder, labels in (("ours", OURS), ("theirs", THEIRS)):
        for stem in ("a", "b"):
            write_truth(tmp_path / folder, stem, [500, 1000, 1500, 2000], [], labels)
    (tmp_path / "classes.csv").write_text("name,class\nGlom,normal\nGS,sclerosed\n", "utf-8")
    return tmp_path


def evaluate(kind: str, folder: Path, truth: str, *more: str) -> Result:
    return CliRunner().invoke(program, ["evaluate", kind, str(folder / "out"), str(folder / truth), *more])


@pytest.mark.parametrize("kind", ["run", "detection", "classification", "segmentation"])
def test_other_names_give_the_same_numbers(kind: str, folder: Path) -> None:
    ours = evaluate(kind, folder, "ours")
    assert ours.exit_code == 0, ours.output
    theirs = evaluate(kind, folder, "theirs", "--classes", str(folder / "classes.csv"))
    assert theirs.exit_code == 0, theirs.output
    assert theirs.stdout == ours.stdout
    refused = evaluate(kind, folder, "theirs")
    assert refused.exit_code == 2
    assert "unknown class names 'GS', 'Glom'; all names: 'GS' 2, 'Glom' 2" in refused.output


def test_masks_and_tables_have_no_such_names(folder: Path) -> None:
    classes = ("--classes", str(folder / "classes.csv"))
    masks = CliRunner().invoke(program, ["evaluate", "segmentation", str(folder), str(folder), *classes])
    assert masks.exit_code == 2
    assert "masks have no names" in masks.output
    table = folder / "classes.csv"
    tables = CliRunner().invoke(program, ["evaluate", "classification", str(table), str(table), *classes])
    assert tables.exit_code == 2
    assert "write our names into the CSV" in tables.output
