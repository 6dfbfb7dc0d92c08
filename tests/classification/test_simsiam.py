"""SimSiam: its loss and its spread by hand, collapse, resume, and that the other trainings start from it."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from safetensors.torch import load_file
from torch import nn

from gloinone.classification.pretrain import (
    PretrainConfig,
    make_backbone,
    pretraining_recipe,
    pretraining_task,
    retrieved,
)
from gloinone.classification.simsiam import SimSiam, Views, disagreement, spread
from gloinone.cli.main import program
from gloinone.errors import UsageError, WeightsError
from gloinone.learning.backbones import Normalise, ResNetFeatures
from gloinone.learning.journal import read_journal
from gloinone.learning.patch_training import MEAN, STD, PatchSet
from gloinone.learning.patches import PATCH_PX, Patches
from gloinone.segmentation.networks import build_network
from gloinone.weights.card import Architecture, read_card
from gloinone.weights.starting import start
from gloinone.weights.store import find_model, save_model

CPU = torch.device("cpu")


class KilledError(Exception):
    pass


@pytest.fixture(scope="module")
def patches() -> Patches:
    """Eight blots of different colours, of four patients."""
    rng = np.random.default_rng(0)
    small = rng.integers(0, 255, (8, 6, 6, 3), np.uint8)
    pixels = np.stack([cv2.resize(s, (PATCH_PX, PATCH_PX), interpolation=cv2.INTER_CUBIC) for s in small])
    slides = tuple(f"p{i // 2}" for i in range(8))
    masks = np.zeros(pixels.shape[:3], np.uint8)
    return Patches(pixels, masks, np.full(8, 80.0), ("glomerulus",) * 8, slides, slides, ("s",) * 8)


def parts_of(patches: Patches) -> PatchSet:
    numbers = np.arange(8)
    return PatchSet(patches.take(numbers[:6]), patches.take(numbers[6:]), patches.take(numbers[:0]))


def config(out: Path, **recipe: int) -> PretrainConfig:
    made = replace(pretraining_recipe(3, 4, None, 0, 3), log_every=1, **recipe)
    return PretrainConfig(out=out, recipe=made, device="cpu", edge_px=32, backbone="resnet18")


def network() -> SimSiam:
    torch.manual_seed(0)
    return SimSiam(Normalise(MEAN, STD), ResNetFeatures("resnet18"), width=64)


def test_loss_by_hand_and_gradient_stops_at_the_embedding() -> None:
    a, b = torch.tensor([[3.0, 0.0]]), torch.tensor([[0.0, 2.0]])
    assert disagreement(Views(a, b), Views(b, a)) == pytest.approx(-1.0)
    assert disagreement(Views(a, a), Views(b, b)) == pytest.approx(0.0)
    leaves = [torch.rand(4, 8, requires_grad=True) for _ in range(4)]
    disagreement(Views(leaves[0], leaves[1]), Views(leaves[2], leaves[3])).backward()
    assert [leaf.grad is None for leaf in leaves] == [True, False, True, False]


def test_spread_is_one_over_the_sphere_and_nothing_in_a_point() -> None:
    torch.manual_seed(0)
    assert spread(torch.randn(4000, 32)) == pytest.approx(1, abs=0.02)
    assert spread(torch.ones(10, 32)) == pytest.approx(0, abs=1e-6)


def test_collapse_stops_the_training(patches: Patches, tmp_path: Path) -> None:
    task = pretraining_task(parts_of(patches), config(tmp_path), CPU)
    blind = network()
    assert float(task.losses(blind, task.draw(1))["spread"]) > 0.5
    nn.init.zeros_(blind.projector[6].weight)
    with pytest.raises(UsageError, match=r"collapsed.*lower --rate"):
        task.losses(blind, task.draw(1))


def test_two_views_differ_and_the_same_step_draws_the_same(patches: Patches, tmp_path: Path) -> None:
    task = pretraining_task(parts_of(patches), config(tmp_path), CPU)
    first, second = task.draw(3)
    assert first.shape == second.shape == (4, 3, 32, 32)
    assert not torch.equal(first, second)
    assert torch.equal(first, task.draw(3)[0])


def test_retrieval_knows_what_it_sees(patches: Patches) -> None:
    seeing = network().eval()
    hits, embedding = retrieved(seeing, patches, 32, CPU)
    assert hits.shape == (8,)
    torch.testing.assert_close(embedding.norm(dim=1), torch.ones(8))
    nn.init.zeros_(seeing.projector[6].weight)
    assert retrieved(seeing, patches, 32, CPU)[0].sum() == 1  # all alike: the first is taken every time


def test_a_killed_training_ends_with_the_same_backbone(patches: Patches, tmp_path: Path) -> None:
    def kill(line: str) -> None:
        if line.startswith("step 2/"):
            raise KilledError

    parts = parts_of(patches)
    whole = make_backbone(parts, config(tmp_path / "whole", save_every=1), lambda _: None)
    with pytest.raises(KilledError):
        make_backbone(parts, config(tmp_path / "killed", save_every=1), kill)
    resumed = make_backbone(parts, config(tmp_path / "killed", save_every=1), lambda _: None)
    assert resumed.sha256 == whole.sha256
    rows = read_journal(tmp_path / "whole" / "training.csv")
    assert [bool(row["retrieval"]) for row in rows] == [False, False, True]
    assert all(float(row["spread"]) > 0.1 for row in rows)
    with pytest.raises(UsageError, match="one crop alone"):
        make_backbone(replace(parts, train=patches.take(np.arange(1))), config(tmp_path / "x"), print)


def train(kind: str, crops: Path, out: Path, *more: str) -> Result:
    small = ["--steps", "1", "--batch-size", "3", "--edge", "32", "--threads", "1", "--device", "cpu"]
    return CliRunner().invoke(
        program, ["train", kind, "--crops", str(crops), "--out", str(out), *small, *more]
    )


def test_the_other_trainings_start_from_its_folder(patches: Patches, tmp_path: Path) -> None:
    crops, ssl, labels = tmp_path / "crops", tmp_path / "ssl", tmp_path / "labels.csv"
    crops.mkdir()
    for i, picture in enumerate(patches.pixels):
        cv2.imwrite(str(crops / f"{i}.png"), picture[:64, :64])
    result = train("ssl", crops, ssl, "--backbone", "resnet18")
    assert result.exit_code == 0, result.output
    card = read_card(ssl / "card.json")
    assert (card.task, card.architecture.name, card.edge_px) == ("backbone", "resnet18", 32)
    assert card.measured[0].what == "nearest of 2 views is of the same crop"
    learned = load_file(ssl / "weights.safetensors")

    lines = [f"{i},{'normal' if i % 2 else 'sclerosed'}" for i in range(8)]
    labels.write_text("\n".join(["name,label", *lines]), "utf-8")
    for number, init in enumerate((ssl, ssl / "weights.safetensors")):
        options = ["--labels", str(labels), "--init", str(init), "--linear"]
        options += ["--backbone", "resnet18"] if init.is_file() else []
        result = train("classifier", crops, tmp_path / f"c{number}", *options)
        assert result.exit_code == 0, result.output
        state = load_file(tmp_path / f"c{number}" / "weights.safetensors")
        assert all(torch.equal(state[f"backbone.{name}"], tensor) for name, tensor in learned.items())

    architecture = Architecture("unet", {"encoder_name": "resnet18"})
    outline = build_network(replace(card, task="segmenter", architecture=architecture))
    assert not start(outline, outline.encoder, str(ssl), "segmenter")
    torch.testing.assert_close(outline.encoder.state_dict()["conv1.weight"], learned["conv1.weight"].float())
    with pytest.raises(WeightsError, match="holds a backbone, not a classifier; start a training"):
        find_model(str(ssl), "classifier", [])
    save_model(
        tmp_path / "outline", outline.state_dict(), replace(card, task="segmenter", architecture=architecture)
    )
    options = ["--labels", str(labels), "--init", str(tmp_path / "outline"), "--linear"]
    result = train("classifier", crops, tmp_path / "c3", *options)
    assert result.exit_code == 0, result.output
    assert read_card(tmp_path / "c3" / "card.json").architecture.name == "resnet18"
    state = load_file(tmp_path / "c3" / "weights.safetensors")
    assert torch.equal(state["backbone.conv1.weight"], learned["conv1.weight"]), (
        "of another task the backbone"
    )
    result = train("classifier", crops, tmp_path / "c2", "--init", str(ssl), "--backbone", "resnet50")
    assert result.exit_code == 2
    assert "not weights of this backbone" in result.output
