"""`gloinone train detector` from drawn slides to a model, with whole and with partial truth."""

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

from gloinone.cli.main import program
from gloinone.cli.train_detector import FROM_BACKBONE, FROM_DETECTOR
from gloinone.detection.make import MakeConfig
from gloinone.drawn.config import SceneConfig
from gloinone.drawn.slide import draw_slide
from gloinone.weights.store import ModelPaths, check_hash, find_model, model_dirs, read_card


@pytest.fixture(scope="module")
def slides(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two drawn slides with their truth."""
    folder = tmp_path_factory.mktemp("slides")
    for seed in (1, 2):
        config = SceneConfig(
            1200, 900, normal=2, obsolescent=1, solidified=0, disappearing=0, decoys=1, seed=seed, mpp=1.5
        )
        draw_slide(folder / f"s{seed}.tif", config)
    return folder


def train(slides: Path, out: Path, *more: str) -> Result:
    small = ["--steps", "1", "--batch-size", "1", "--edge", "64", "--threads", "1", "--device", "cpu"]
    folders = ["--slides", str(slides), "--truth", str(slides), "--out", str(out)]
    return CliRunner().invoke(program, ["train", "detector", *folders, *small, *more])


def test_a_detector_is_made_and_compared(slides: Path, tmp_path: Path) -> None:
    start = ("--arch", "resnet18", "--complete", "yes")
    result = train(slides, tmp_path / "d", *start)
    assert result.exit_code == 0, result.output
    card = read_card(tmp_path / "d" / "card.json")
    check_hash(ModelPaths(tmp_path / "d"), card)
    assert card.split.startswith("validation (threshold and floor): s")  # one of two is held out
    assert [row.what for row in card.measured] == ["AP50", "AP .50:.90"]
    assert "kept: step 1, the best by ap50" in result.output
    assert "AP50, held-out slides: shipped" in result.output
    with (tmp_path / "d" / "comparison.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["verdict"] for row in rows] == ["no difference shown"] * 2
    again = train(slides, tmp_path / "d", *start)
    assert again.exit_code == 0
    assert "goes on at step 1 of 1" in again.output


@pytest.mark.parametrize(("more", "expected"), [((), FROM_DETECTOR), (("--init", "none"), FROM_BACKBONE)])
def test_a_detector_takes_fewer_and_smaller_steps_than_a_backbone(
    more: tuple[str, ...],
    expected: tuple[int, float],
    slides: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[MakeConfig] = []
    monkeypatch.setattr(
        "gloinone.detection.make.make_detector", lambda learn, judge, config, say: made.append(config)
    )
    folders = ["--slides", str(slides), "--truth", str(slides), "--out", str(tmp_path / "d")]
    result = CliRunner().invoke(program, ["train", "detector", *folders, "--complete", "yes", *more])
    assert result.exit_code == 0, result.output
    assert [(c.recipe.steps, c.recipe.peak_rate) for c in made] == [expected]


def test_partial_truth_shows_no_precision_and_is_not_mined(slides: Path, tmp_path: Path) -> None:
    result = train(slides, tmp_path / "d", "--complete", "no", "--val", "s2")  # from the shipped weights
    assert result.exit_code == 0, result.output
    assert "s1.tif: 0 false circles to learn from" in result.output
    card = read_card(tmp_path / "d" / "card.json")
    shipped = read_card(find_model("detector", "detector", model_dirs()).card)
    assert [row.what for row in card.measured] == [f"recall at {shipped.threshold:.2f}"]
    assert "precision is not known" in card.measured[0].on
    # Nothing here can tell a better one
    assert (card.threshold, card.floor) == (shipped.threshold, shipped.floor)
    assert card.deepest_floor == shipped.deepest_floor
    assert f"recall at {shipped.threshold:.2f}, held-out slides: shipped" in result.output
    assert "AP50" not in result.output


def test_each_slide_is_left_out_once(slides: Path, tmp_path: Path) -> None:
    start = ("--init", "none", "--arch", "resnet18", "--complete", "yes", "--val", "none")
    result = train(slides, tmp_path / "d", *start, "--folds", "2")
    assert result.exit_code == 0, result.output
    with (tmp_path / "d" / "folds.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["fold"], row["items"]) for row in rows] == [
        ("fold-1", "1"),
        ("fold-2", "1"),
        ("mean of the folds", "2"),
        ("all folds pooled", "2"),
    ]
    assert {"AP50", "AP .50:.90", "recall at its threshold"} <= set(rows[0])
    splits = [read_card(tmp_path / "d" / f"fold-{n}" / "card.json").split for n in (1, 2)]
    assert sorted(split.split("left out: ")[1] for split in splits) == ["s1", "s2"]


def test_a_slide_that_is_left_out_takes_its_patient_along(slides: Path, tmp_path: Path) -> None:
    folder, table = tmp_path / "slides", tmp_path / "table.csv"
    folder.mkdir()
    for name in ("s1", "s2"):
        for suffix in (".tif", ".truth.geojson"):
            (folder / f"{name}{suffix}").symlink_to(slides / f"{name}{suffix}")
    (folder / "s3.tif").write_bytes((slides / "s1.tif").read_bytes()[:3000])  # cannot be opened, has no truth
    table.write_text("slide,mpp,patient\ns1.tif,,p\ns2.tif,,q\ns3.tif,,p\n", "utf-8")
    start = ("--init", "none", "--arch", "resnet18", "--complete", "yes", "--mpp-csv", str(table))
    result = train(folder, tmp_path / "d", *start, "--val", "none", "--leave-out", "s3")
    assert result.exit_code == 0, result.output
    assert "s1.tif: left out" in result.output
    assert "s3.tif: left out" in result.output
    card = read_card(tmp_path / "d" / "card.json")
    assert card.split.endswith("left out: p")
    assert [line.split(":")[1] for line in card.training_data] == [" 1 slides, 3 glomeruli"]
    for names, word in ((("s3", "s9"), "no slide or patient named s9"), (("p", "q"), "nothing to train on")):
        more = (word for name in names for word in ("--leave-out", name))
        refused = train(folder, tmp_path / "e", *start, *more)
        assert refused.exit_code == 2
        assert word in refused.output


@pytest.mark.parametrize(
    ("more", "word"),
    [
        ((), "is every glomerulus outlined? Pass --complete yes"),
        (("--complete", "yes", "--val", "nobody"), "no slide or patient named nobody"),
        (("--complete", "yes", "--init", "absent"), "no detector named"),
        (("--complete", "yes", "--init", "absent"), "or $GLOINONE_MODELS the folder that it lies in"),
        (("--complete", "yes", "--edge", "32"), "--batch-size 1 with --edge 32"),
        (("--complete", "yes", "--rate", "inf"), "not a finite number"),
        (("--complete", "yes", "--network-mpp", "0.5"), "--network-mpp 0.5: give more than 0.583 um/px"),
        (("--complete", "yes", "--network-mpp", "0"), "--network-mpp 0: give more than 0.583 um/px"),
        (("--complete", "yes", "--network-mpp", "-1"), "--network-mpp -1: give more than 0.583 um/px"),
        (("--complete", "yes", "--network-mpp", "nan"), "--network-mpp nan: give more than 0.583 um/px"),
    ],
)
def test_refused(slides: Path, tmp_path: Path, more: tuple[str, ...], word: str) -> None:
    result = train(slides, tmp_path / "d", *more)
    assert result.exit_code == 2
    assert word in result.output


def test_reference_stains_are_pictures_of_tissue(slides: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    start = ("--arch", "resnet18", "--complete", "yes")
    refused = train(slides, tmp_path / "d", *start, "--stains", str(empty))
    assert refused.exit_code == 2
    assert "no picture of stained tissue" in refused.output
    tissue = np.random.default_rng(1).uniform(0.1, 1.5, (64, 64, 1)) * np.array([0.3, 0.8, 0.4])
    tissue += np.random.default_rng(2).uniform(0.1, 1.5, (64, 64, 1)) * np.array([0.7, 0.5, 0.2])
    cv2.imwrite(str(empty / "brown.png"), (255 * np.exp(-tissue)).astype(np.uint8)[..., ::-1])
    taken = train(slides, tmp_path / "d", *start, "--stains", str(empty))
    assert taken.exit_code == 0, taken.output
