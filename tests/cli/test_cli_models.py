"""``gloinone models``: what there is, what is known of it, if it is whole; published files made into models."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from published_files import beside, bit_r101x1, dla_34, random_state, resdcn_18, save
from torch import Tensor

from gloinone.cli.main import program
from gloinone.drawn.config import SceneConfig
from gloinone.drawn.slide import draw_slide
from gloinone.errors import WeightsError
from gloinone.labels import ClassRule
from gloinone.learning.backbones import ResNetFeatures
from gloinone.pipeline.check_model import check_model
from gloinone.weights.card import Architecture, read_card
from gloinone.weights.store import ModelPaths, find_model, load_state, model_dirs, save_model


def call(*words: object, **environment: str) -> Result:
    return CliRunner().invoke(
        program, ["models", *map(str, words)], env={"GLOINONE_MODELS": None, **environment}
    )


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Tensor]]:
    """A small CircleNet as a lab has it, saved before 1.6 from two GPUs, with its optimiser."""
    state = random_state(resdcn_18())
    data = {
        "epoch": 30,
        "state_dict": {f"module.{k}": v for k, v in state.items()},
        "optimizer": {"state": {}},
    }
    return save(tmp_path_factory.mktemp("files") / "model_best.pth", data, legacy=True), state


def test_what_is_imported_is_listed_shown_and_verified(
    detector: tuple[Path, dict[str, Tensor]], tmp_path: Path
) -> None:
    models = tmp_path / "new" / "models"
    result = call(
        "import", detector[0], "--as", "ours", "--models", models, "--mpp", 3, "--licence", "of the lab"
    )
    assert result.exit_code == 0, result.output
    assert f"--models {models} --detector ours" in result.output
    card = read_card(models / "ours" / "card.json")
    assert (card.name, card.mpp, card.margin_um, card.licence) == ("ours", 3, 384, "of the lab")
    assert "model_best.pth (sha256 " in card.created_by
    loaded = load_state(ModelPaths(models / "ours"), card)
    for name, value in detector[1].items():
        ours = name if name.startswith(("deconv", "hm", "cl", "reg")) else f"backbone.{name}"
        assert torch.equal(loaded[ours], value), name  # unchanged, not rounded to float16
    listed = call("list", "--models", models).stdout.splitlines()
    assert listed[0].startswith("detector")
    assert "resnet18-dcn, threshold 0.05, not measured" in listed[0]
    assert [line.strip() for line in listed[1:3]] == ["licence: of the lab", str(models / "ours")]
    assert any("AP50" in line for line in listed[3:])  # those that ship
    assert sum(line.startswith(" " * 11 + "licence: ") for line in listed) == 4
    assert max(len(line) for line in listed if not line.strip().startswith(("/", "?"))) <= 100
    shown = call("show", "ours", "--models", models).stdout
    assert "channels           BGR" in shown
    assert "not_validated      Imported" in shown
    assert "measured           " in call("show", "detector").stdout
    whole = call("verify", GLOINONE_MODELS=str(models))
    assert whole.exit_code == 0
    assert f"detector: {card.identity}" in whole.stdout
    again = call("import", detector[0], "--as", "ours", "--models", models)
    assert again.exit_code == 2
    assert "there is a model of that name" in again.output
    path = models / "ours" / "card.json"
    right = path.read_text()
    for published, instead, says in (
        ('"name": "resnet18-dcn"', '"name": "dla34"', "weights of another network"),
        ('"name": "resnet18-dcn"', '"name": "vgg"', "unknown detector 'vgg'"),
        ('"head_width": 64', '"head_width": 32', "size mismatch for hm.0.weight"),
        ('"head_width": 64', '"head_width": -1', "cannot be built"),
        ('"threshold": 0.05', '"threshold": null', "a detector's card states threshold"),
    ):
        assert published in right
        path.write_text(right.replace(published, instead))
        with pytest.raises(WeightsError, match=says):
            check_model(ModelPaths(models / "ours"))
    path.write_text(right)
    (models / "ours" / "weights.safetensors").write_bytes(b"torn")
    assert_only_ours_fails(call("verify", "--models", models), "damaged or not the card's")


def assert_only_ours_fails(result: Result, says: str) -> None:
    """In its own line, which tells what is wrong; those that ship are well."""
    assert result.exit_code == 1, says
    first, *others = result.stdout.splitlines()
    assert first.startswith("FAIL  ")
    assert "/ours: " in first
    assert says in first
    assert [line[:4] for line in others] == ["ok  "] * 3


@pytest.mark.parametrize("task", ["classifier", "segmenter", "backbone"])
def test_a_card_that_names_another_network_is_refused(task: str, tmp_path: Path) -> None:
    """Right hash, and weights that the named network has no use for."""
    card = read_card(find_model("segmenter", "segmenter", model_dirs()).card)
    architecture = Architecture("deeplabv3plus", {"encoder_name": "resnet18"})
    if task != "segmenter":
        architecture = Architecture("resnet18")
    wrong = replace(card, name="ours", task=task, architecture=architecture)  # type: ignore[arg-type]
    wrong = replace(wrong, class_rule=ClassRule("argmax"), score_combination="detector")
    save_model(tmp_path / "ours", {"conv1.weight": torch.zeros(64, 3, 7, 7)}, wrong)
    assert_only_ours_fails(call("verify", "--models", tmp_path), "weights of another network")


def test_a_backbone_is_verified(tmp_path: Path) -> None:
    card = read_card(find_model("classifier", "classifier", model_dirs()).card)
    network = ResNetFeatures("resnet18")
    card = replace(card, name="mine", task="backbone", architecture=Architecture("resnet18"))
    save_model(tmp_path / "mine", network.state_dict(), card)
    result = call("verify", "--models", tmp_path)
    assert result.exit_code == 0
    assert result.stdout.startswith("ok    backbone: mine@")


def test_a_classifier_without_its_features_is_not_whole(repository: Path, tmp_path: Path) -> None:
    shipped, copy = repository / "models" / "classifier", tmp_path / "models" / "copy"
    copy.mkdir(parents=True)
    for name in ("card.json", "weights.safetensors"):
        (copy / name).symlink_to(shipped / name)
    broken = call("verify", "--models", tmp_path / "models")
    assert broken.exit_code == 1
    assert "features.safetensors: cannot be read" in broken.stdout
    (copy / "features.safetensors").symlink_to(shipped / "features.safetensors")
    assert call("verify", "--models", tmp_path / "models").exit_code == 0


def test_refusals_are_exit_status_2_and_say_what_to_do(
    detector: tuple[Path, dict[str, Tensor]], tmp_path: Path
) -> None:
    file, state = detector
    nowhere = call("import", file, "--as", "x")
    assert nowhere.exit_code == 2
    assert "--models DIR, or set GLOINONE_MODELS" in nowhere.output
    some = dict(state)
    some["extra"] = some.pop("bn1.weight")
    some["hm.2.bias"] = torch.zeros(3)
    files = {
        "unknown layout": {"a.weight": torch.zeros(2, 2)},
        "1 missing (backbone.bn1.weight); 1 unknown (backbone.extra); 1 of another shape (hm.2.bias)": some,
        "of 3 outputs; say what they are": {**dict.fromkeys(bit_r101x1(3), torch.zeros(3, 1, 1, 1))},
        "not finite": {**state, "conv1.weight": torch.full((64, 3, 7, 7), float("nan"))},
    }
    for says, data in files.items():
        result = call("import", save(tmp_path / "f.pth", data), "--as", "x", "--models", tmp_path / "m")
        assert result.exit_code == 2, says
        assert says in result.output
    for more, says in (
        (("--as", "../x"), "not a name for a folder"),
        (("--as", "x", "--mpp", "99"), "0.05 to 20"),
        (("--as", "x", "--labels", "normal"), "for classifiers alone"),
    ):
        result = call("import", file, *more, "--models", tmp_path / "m")
        assert result.exit_code == 2
        assert says in result.output
    assert not (tmp_path / "m").exists()
    assert call("show", "nobody").exit_code == 2


def test_the_first_folder_of_the_environment_gets_it(
    detector: tuple[Path, dict[str, Tensor]], tmp_path: Path
) -> None:
    result = call("import", detector[0], "--as", "ours", GLOINONE_MODELS=f"{tmp_path / 'a'}:{tmp_path / 'b'}")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "a" / "ours" / "card.json").is_file()


@pytest.mark.slow
def test_a_run_with_published_weights_and_a_vote(tmp_path: Path) -> None:
    """All three published files, imported and run; then the detector and a second one vote."""
    from torchvision.models.segmentation import deeplabv3_resnet101

    from gloinone.annotations.columns import CIRCLES, GLOMERULI, SUMMARY
    from gloinone.annotations.csv_text import read_table

    models, files = tmp_path / "models", tmp_path / "files"
    files.mkdir()
    found = random_state(dla_34(), 1)
    seen = random_state(resdcn_18(), 2)
    for state in (found, seen):  # circles anywhere, all of radius 8 cells, 128 um
        for head, size in (("cl", 8.0), ("reg", 0.5)):
            state[f"{head}.2.weight"] *= 0.02
            state[f"{head}.2.bias"].fill_(size)
    named = random_state(bit_r101x1(), 3)
    named["head.conv.bias"] = torch.tensor([9.0, 0, 0, 0, 0])
    outlined = deeplabv3_resnet101(
        weights=None, weights_backbone=None, num_classes=2, aux_loss=False
    ).state_dict()
    outlined = random_state({name: tuple(value.shape) for name, value in outlined.items()})
    save(files / "detection_model.pth", {"epoch": 1, "state_dict": found})
    save(files / "second.pth", {"state_dict": seen})
    save(files / "classifier_model.pth.tar", beside(named), legacy=True, numpy_1=True)
    save(files / "segmentation_model.pth", outlined)
    for file, name in (("detection_model.pth", "d"), ("second.pth", "e")):
        assert call("import", files / file, "--as", name, "--models", models).exit_code == 0
    assert call("import", files / "classifier_model.pth.tar", "--as", "c", "--models", models).exit_code == 0
    assert call("import", files / "segmentation_model.pth", "--as", "s", "--models", models).exit_code == 0
    eased = [("c", '"edge_px": 224', '"edge_px": 64'), ("s", '"network_px": 512', '"network_px": 128')]
    # random weights say most at the border of the tile, where no slide is
    eased += [(name, '"max_per_tile": 100', '"max_per_tile": 2000') for name in "de"]
    for name, published, instead in eased:
        card = models / name / "card.json"
        assert published in card.read_text()
        card.write_text(card.read_text().replace(published, instead))
    scene = SceneConfig(
        600, 450, normal=1, obsolescent=0, solidified=0, disappearing=0, decoys=0, seed=1, mpp=1.5
    )
    draw_slide(tmp_path / "a.tif", scene)
    run = ["run", str(tmp_path / "a.tif"), "--models", str(models), "--device", "cpu", "--classifier", "c"]
    result = CliRunner().invoke(program, [*run, str(tmp_path / "out"), "--detector", "d", "--segmenter", "s"])
    assert result.exit_code == 0, result.output
    (row,) = read_table(tmp_path / "out" / "summary.csv", SUMMARY)
    used = [str(row[task]).partition("@")[0] for task in ("detector", "classifier", "segmenter")]
    assert used == ["d", "c", "s"]
    glomeruli = read_table(tmp_path / "out" / "glomeruli.csv", GLOMERULI)
    assert glomeruli
    assert {g["class"] for g in glomeruli} == {"normal"}
    assert np.mean([float(str(g["radius"])) for g in glomeruli]) == pytest.approx(128 / 1.5, rel=0.2)
    assert {g["votes"] for g in glomeruli} == {1}

    both = [*run, str(tmp_path / "both"), "--detector", "e", "--detector", "d", "--min-votes", "1"]
    assert CliRunner().invoke(program, both).exit_code == 0
    (row,) = read_table(tmp_path / "both" / "summary.csv", SUMMARY)
    assert str(row["detector"]).startswith("d@")
    assert " + e@" in str(row["detector"])
    circles = read_table(next((tmp_path / "both").rglob("circles.csv")), CIRCLES)
    assert {1, 2} >= {c["votes"] for c in circles}
    assert "votes" in next((tmp_path / "both").rglob("*.geojson")).read_text()
    assert " of 2 votes" in next((tmp_path / "both").rglob("*.xml")).read_text()
    for folder in (models, files):
        shutil.rmtree(folder)  # a gigabyte
