"""Names of crops, against scikit-learn and counts by hand."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from made_run import Found, write_run, write_truth
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, f1_score, roc_auc_score

from gloinone.cli.evaluate_classification import command
from gloinone.errors import UsageError
from gloinone.evaluation.classification import calls_at, evaluate_classification
from gloinone.evaluation.groups import Groups, read_groups
from gloinone.evaluation.levels import LEVELS
from gloinone.evaluation.named import Named, named_of_run, named_of_tables
from gloinone.evaluation.run_output import load_run
from gloinone.labels import CLASSES

GLOMERULUS, STATE, THREE, FIVE = LEVELS
HEADER = "name,p_normal,p_obsolescent,p_solidified,p_disappearing,p_nonglomerular"


def _named(seed: int = 0, count: int = 200) -> Named:
    rng = np.random.default_rng(seed)
    truth = rng.integers(5, size=count)
    powers = np.exp(rng.normal(0, 1, (count, 5)) + 1.2 * np.eye(5)[truth])
    probabilities = powers / powers.sum(axis=1, keepdims=True)
    return Named(
        probabilities,
        tuple(CLASSES[i] for i in probabilities.argmax(axis=1)),
        tuple(CLASSES[i] for i in truth),
        tuple(str(i) for i in rng.integers(9, size=count)),
        ("all",) * count,
    )


def test_five_classes_agree_with_scikit_learn() -> None:
    named = _named()
    calls = calls_at(named, FIVE)
    assert calls is not None
    assert (calls.confusion() == confusion_matrix(named.truth, named.given, labels=CLASSES)).all()
    assert calls.balanced_accuracy() == pytest.approx(balanced_accuracy_score(named.truth, named.given))
    assert calls.macro_f1() == pytest.approx(f1_score(named.truth, named.given, average="macro"))
    truth = [CLASSES.index(label) for label in named.truth]
    assert calls.mean_auc() == pytest.approx(roc_auc_score(truth, named.probabilities, multi_class="ovr"))


def test_state_by_hand() -> None:
    probabilities = np.array(
        [
            [0.6, 0.1, 0.1, 0.0, 0.2],  # normal, called normal
            [0.2, 0.0, 0.0, 0.3, 0.5],  # normal, called non-glomerular: sclerosed is likelier
            [0.1, 0.2, 0.3, 0.3, 0.1],  # sclerosed
            [0.1, 0.0, 0.0, 0.0, 0.9],  # its state is not known
            [0.0, 0.0, 0.0, 0.0, 1.0],  # none
        ]
    )
    given = ("normal", "non-glomerular", "solidified", "non-glomerular", "non-glomerular")
    truth = ("normal", "normal", "sclerosed", "glomerulus", "non-glomerular")
    named = Named(probabilities, given, truth, tuple("abcde"), ("all",) * 5)
    calls = calls_at(named, STATE)
    assert calls is not None
    assert calls.probabilities[:, 1] == pytest.approx([0.2 / 0.8, 0.3 / 0.5, 0.8 / 0.9])
    assert calls.confusion().tolist() == [[1, 1], [0, 1]]
    assert calls.balanced_accuracy() == 0.75
    assert calls.mean_auc() == 1
    whether = calls_at(named, GLOMERULUS)
    assert whether is not None
    assert whether.confusion().tolist() == [[1, 0], [2, 2]]
    assert calls_at(named, FIVE) is None
    three = calls_at(named, THREE)
    assert three is not None
    assert three.confusion().tolist() == [[1, 0, 1], [0, 1, 0], [0, 0, 1]]


def test_circles_of_a_run_get_the_class_of_what_they_found(tmp_path: Path) -> None:
    write_truth(tmp_path / "truth", "a", [1000, 2000, 3000], [4000], ["normal", "sclerosed", "glomerulus"])
    circles = [
        Found(1000, 0.5, 0.5),
        Found(1040, 0.4, 0.4),  # half beside the first: neither a glomerulus nor clearly none
        Found(1060, 0.3, 0.3, radius=20),  # lies on its rim, mostly outside: none
        Found(2000, 0.9, 0.9, "solidified", "G001"),
        Found(3000, 0.9, 0.9, "non-glomerular"),
        Found(4000, 0.9, 0.9, id="G002"),
        Found(5000, 0.9, 0.9, id="G003"),
    ]
    write_run(tmp_path / "out", {"a.tif": circles})
    named = named_of_run(load_run(tmp_path / "out", tmp_path / "truth"))
    assert sorted(zip(named.truth, named.given, strict=True)) == [
        ("glomerulus", "non-glomerular"),
        ("non-glomerular", "normal"),
        ("non-glomerular", "normal"),
        ("normal", "normal"),
        ("sclerosed", "solidified"),
    ]
    assert any("5 circles have a class in the truth; 2 that overlap" in note for note in named.notes)


def _tables(folder: Path, rows: str, labels: str) -> tuple[Path, Path]:
    predictions, truth = folder / "predictions.csv", folder / "labels.csv"
    predictions.write_text(rows)
    truth.write_text(labels)
    return predictions, truth


def test_two_tables(tmp_path: Path) -> None:
    tables = _tables(
        tmp_path,
        f"{HEADER}\na,.7,.1,.1,.1,0\nb,.1,.2,.3,.4,0\nnobody,1,0,0,0,0\n",
        "name,label,slide,centre\na,normal,s1,x\nb,sclerosed,s2,y\nc,normal,s3,y\n",
    )
    named = named_of_tables(*tables, Groups(), read_groups(tables[1]))
    assert named.given == ("normal", "disappearing")
    assert (named.groups, named.sources) == (("s1", "s2"), ("x", "y"))
    assert "without a label (1, not scored): nobody" in named.notes
    assert "with a label and no prediction (1, not scored): c" in named.notes
    tables_by_name = {table.name: table for table in evaluate_classification(named).tables}
    assert tables_by_name["confusion_state"].rows == (("normal", 1, 0), ("sclerosed", 0, 1))
    assert [row[1] for row in tables_by_name["classification_sources"].rows] == ["x", "y"]


def test_a_table_of_two_classes(tmp_path: Path) -> None:
    tables = _tables(
        tmp_path,
        "name,p_sclerosed\na,.2\nb,.9\nc,.4\n",
        "name,label\na,normal\nb,solidified\nc,non-glomerular\n",
    )
    named = named_of_tables(*tables, Groups(), Groups())
    names = {table.name for table in evaluate_classification(named).tables}
    assert "confusion_state" in names
    assert not names & {"confusion_three", "confusion_glomerulus"}


@pytest.mark.parametrize(
    ("rows", "labels", "words"),
    [
        (f"{HEADER}\na,.7,.1,.1,.1,.5\n", "name,label\na,normal\n", "sum to 1"),
        (f"{HEADER}\na,x,.1,.1,.1,.5\n", "name,label\na,normal\n", "not a number"),
        ("name,p_normal\na,.7\n", "name,label\na,normal\n", "needs the columns"),
        ("name,p_sclerosed\na,.7\n", "name,label\na,odd\n", "unknown labels 'odd'"),
        ("name,p_sclerosed\na,.7\n", "name,label\nb,normal\n", "no name in common"),
        ("name,p_sclerosed\na,.7\na,.7\n", "name,label\na,normal\n", "listed twice"),
        ("name,p_sclerosed\na,.7\n", "name\na\n", "no column label"),
    ],
)
def test_tables_that_cannot_be_understood(tmp_path: Path, rows: str, labels: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        named_of_tables(*_tables(tmp_path, rows, labels), Groups(), Groups())


def test_the_command(tmp_path: Path) -> None:
    tables = _tables(tmp_path, "name,p_sclerosed\na,.2\nb,.9\n", "name,label\na,normal\nb,sclerosed\n")
    report = tmp_path / "scores"
    result = CliRunner().invoke(command, [*map(str, tables), "--out", str(report)])
    assert result.exit_code == 0, result.output
    assert "| normal or sclerosed: balanced accuracy | 1.000 |" in result.stdout
    for name in ("confusion_state", "reliability_state", "roc_state"):
        assert (report / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    mixed = CliRunner().invoke(command, [str(tables[0]), str(tmp_path)])
    assert isinstance(mixed.exception, UsageError)


def test_truth_that_knows_nothing_is_an_error(tmp_path: Path) -> None:
    write_truth(tmp_path / "truth", "a", [1000])
    write_run(tmp_path / "out", {"a.tif": [Found(1000, 0.5, 0.5)]})
    with pytest.raises(UsageError, match="nothing to tell apart"):
        evaluate_classification(named_of_run(load_run(tmp_path / "out", tmp_path / "truth")))
