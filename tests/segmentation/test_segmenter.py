"""The segmenter as the pipeline calls it, and its training on drawn discs."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from gloinone.errors import UsageError, WeightsError
from gloinone.learning.backbones import ResNetFeatures
from gloinone.learning.journal import read_journal
from gloinone.learning.patch_training import PatchSet, patch_recipe
from gloinone.learning.patches import PATCH_PX, UNKNOWN, Patches, join_patches
from gloinone.learning.training import JOURNAL, Recipe, Task, train
from gloinone.records import Crop, Detection, Window
from gloinone.segmentation.build import build_segmenter
from gloinone.segmentation.deeplab_plus import DeepLabPlus
from gloinone.segmentation.losses import mask_loss
from gloinone.segmentation.make import MakeConfig, make_segmenter, outlined, start_card
from gloinone.segmentation.networks import build_network, options_of
from gloinone.segmentation.predict import Segmenter
from gloinone.segmentation.scores import dice, dice_of_patches
from gloinone.segmentation.train import segmenter_task
from gloinone.weights.card import Architecture, ModelCard
from gloinone.weights.starting import start
from gloinone.weights.store import ModelPaths, load_state, read_card, save_model

CPU = torch.device("cpu")


def discs(count: int, group: str = "a", seed: int = 0) -> Patches:
    """Dark discs on pale ground, with their masks."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:PATCH_PX, :PATCH_PX] + 0.5
    radius = rng.uniform(75, 90, count)
    masks = (np.hypot(x - 160, y - 160) < radius[:, None, None]).astype(np.uint8)
    pixels = np.where(masks[..., None] == 1, 80, 220) + rng.integers(-20, 20, (count, PATCH_PX, PATCH_PX, 3))
    words = ("glomerulus",) * count, (group,) * count, (group,) * count, ("drawn",) * count
    return Patches(pixels.astype(np.uint8), masks, radius, *words)


def a_card() -> ModelCard:
    options = {"encoder_name": "resnet18", "decoder_channels": 32, "encoder_output_stride": 16}
    config = MakeConfig(out=Path("tiny"), recipe=patch_recipe(1), edge_px=64)
    card = start_card(PatchSet(discs(1), discs(0), discs(0)), config)
    return replace(card, architecture=Architecture("deeplabv3plus", options))


class Tiny(torch.nn.Module):
    """A few convolutions: trains in seconds."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = torch.nn.Conv2d(3, 8, 5, padding=2)
        self.norm = torch.nn.BatchNorm2d(8)
        self.last = torch.nn.Conv2d(8, 1, 5, padding=2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.last(self.norm(self.first(x / 255 - 0.5)).relu())
        return logits.float()


def a_segmenter() -> Segmenter:
    torch.manual_seed(0)
    card = a_card()
    return build_segmenter(card, build_network(card).state_dict(), CPU)


def some_crops(count: int) -> tuple[list[Crop], list[Detection]]:
    rng = np.random.default_rng(1)
    crops = [
        Crop(Window(i * 10, 0, 256, 256, 256, 256), rng.integers(0, 255, (256, 256, 3), np.uint8))
        for i in range(count)
    ]
    return crops, [Detection(i * 10 + 128, 128, 100, 0.5) for i in range(count)]


def test_a_map_depends_on_its_own_crop_only() -> None:
    segmenter = a_segmenter()
    pictures = [crop.pixels for crop in some_crops(11)[0]]
    together = list(segmenter.probabilities(pictures))
    alone = list(segmenter.probabilities([pictures[9]]))
    assert len(together) == 11
    assert together[0].shape == (256, 256)
    assert np.array_equal(together[9], alone[0])
    again = list(segmenter.probabilities(pictures))
    assert all(np.array_equal(a, b) for a, b in zip(together, again, strict=True))


def test_outlines_come_in_order() -> None:
    crops, circles = some_crops(3)
    outlines = a_segmenter().segment(crops, circles)
    assert [o.mask.shape for o in outlines] == [(256, 256)] * 3
    assert a_segmenter().segment([], []) == []
    with pytest.raises(ValueError, match="3 crops of 2"):
        a_segmenter().segment(crops, circles[:2])


def test_unknown_networks_and_other_weights_are_refused() -> None:
    card = a_card()
    with pytest.raises(WeightsError, match="unknown segmenter"):
        build_network(replace(card, architecture=Architecture("fcn")))
    with pytest.raises(WeightsError, match="cannot be built"):
        build_network(replace(card, architecture=Architecture("deeplabv3", {"encoder_name": "none"})))
    with pytest.raises(WeightsError, match="another network"):
        build_segmenter(card, {"x": torch.zeros(1)}, CPU)


def test_loss_by_hand() -> None:
    truth = torch.tensor([[[1, 0], [0, UNKNOWN]]], dtype=torch.uint8)
    logits = torch.tensor([[[[2.0, -1.0], [0.5, 9.0]]]])
    p = 1 / (1 + np.exp(-np.array([2.0, -1.0, 0.5])))
    entropy = -(np.log(p[0]) + np.log(1 - p[1]) + np.log(1 - p[2])) / 3
    overlap = (2 * p[0] + 1) / (p.sum() + 1 + 1)
    assert float(mask_loss(logits, truth)) == pytest.approx(entropy + 1 - overlap, rel=1e-5)
    nothing_known = torch.full((1, 2, 2), UNKNOWN, dtype=torch.uint8)
    assert float(mask_loss(logits, nothing_known)) == 0


def test_dice_counts_what_is_known() -> None:
    found = np.array([[True, True, False, True]])
    assert dice(found, np.array([[1, 0, 1, UNKNOWN]], np.uint8)) == pytest.approx(0.5)
    assert dice(found & False, np.zeros((1, 4), np.uint8)) == 1


def a_task(patches: Patches, steps: int = 60) -> Task[tuple[torch.Tensor, torch.Tensor]]:
    return segmenter_task(PatchSet(patches, discs(0), discs(0)), a_recipe(steps), 64, CPU, lambda _: {})


def a_recipe(steps: int = 60) -> Recipe:
    return replace(patch_recipe(steps, batch=4, peak_rate=1e-2, average_decay=0.8), save_every=5)


def test_batches_repeat_and_masks_follow_pictures() -> None:
    images, masks = a_task(discs(3)).draw(1)
    again = a_task(discs(3)).draw(1)
    assert torch.equal(images, again[0])
    assert torch.equal(masks, again[1])
    assert not torch.equal(images, a_task(discs(3)).draw(2)[0])
    for image, mask in zip(images.double().mean(dim=1), masks, strict=True):
        assert abs(image[mask == 1].mean() - image[mask == 0].mean()) > 15


def test_training_learns_discs_and_resumes_exactly(tmp_path: Path) -> None:
    def run(folder: str, stop: str) -> torch.nn.Module:
        def say(line: str) -> None:
            if line.startswith(stop):
                raise KeyboardInterrupt

        return train(Tiny(), a_task(discs(8)), a_recipe(), tmp_path / folder, CPU, say)

    trained = run("whole", "never")
    with pytest.raises(KeyboardInterrupt):
        run("killed", "step 40/")
    whole, resumed = trained.state_dict(), run("killed", "never").state_dict()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert [row["step"] for row in read_journal(tmp_path / "whole" / JOURNAL)] == [
        "10",
        "20",
        "30",
        "40",
        "50",
        "60",
    ]
    untrained, scores = (
        dice_of_patches(Segmenter(network, a_card(), CPU), discs(6, seed=5)) for network in (Tiny(), trained)
    )
    assert untrained.mean() < 0.8
    assert scores.mean() > 0.93
    assert a_task(discs(5)).identity != a_task(discs(8)).identity


def test_one_crop_a_step_is_too_few_for_a_deeplab(tmp_path: Path) -> None:
    config = MakeConfig(out=tmp_path, recipe=patch_recipe(1, batch=1), edge_px=64, encoder="resnet18")
    with pytest.raises(UsageError, match="--batch-size 1: deeplabv3plus normalises a batch together"):
        make_segmenter(PatchSet(discs(2), discs(0), discs(0)), config, print)


def test_a_model_is_made_and_loads(tmp_path: Path) -> None:
    recipe = patch_recipe(2, batch=2)
    config = MakeConfig(out=tmp_path / "tiny", recipe=recipe, edge_px=64, encoder="resnet18")
    said: list[str] = []
    two_patients = join_patches([discs(3, "b"), discs(2, "c")])
    card = make_segmenter(PatchSet(discs(4), two_patients, discs(0)), config, said.append)
    paths = ModelPaths(tmp_path / "tiny")
    assert read_card(paths.card) == card
    build_segmenter(card, load_state(paths, card), CPU)
    assert [m.on for m in card.measured] == ["validation patients, drawn"]
    assert 0 <= card.measured[0].low <= card.measured[0].value <= card.measured[0].high <= 1
    assert said[-1].startswith("mean Dice per glomerulus, held-out patients: shipped ")
    more = replace(config, out=tmp_path / "more", init=str(tmp_path / "tiny"), encoder=None)
    unseen = make_segmenter(PatchSet(discs(4), discs(0), discs(0)), more, said.append)
    assert unseen.measured == ()
    assert unseen.architecture == card.architecture
    with pytest.raises(WeightsError, match="not weights of this backbone"):
        make_segmenter(PatchSet(discs(4), discs(0), discs(0)), replace(more, encoder="resnet34"), said.append)


@pytest.mark.parametrize("name", ["deeplabv3", "deeplabv3plus", "unet"])
def test_every_network_starts_from_the_encoder_of_another(tmp_path: Path, name: str) -> None:
    card = replace(a_card(), architecture=Architecture(name, options_of(name, "resnet18")))
    torch.manual_seed(1)
    network = build_network(card).eval()
    assert network(torch.zeros(1, 3, 64, 64)).shape == (1, 1, 64, 64)
    other = a_segmenter()  # with a decoder of its own
    save_model(tmp_path / "other", other.network.state_dict(), replace(a_card(), name="other"))
    assert not start(network, network.encoder, str(tmp_path / "other"), "segmenter")
    theirs = load_state(ModelPaths(tmp_path / "other"), read_card(tmp_path / "other" / "card.json"))
    for key, value in network.encoder.state_dict().items():
        assert torch.equal(value, theirs[f"network.encoder.{key}"].to(value.dtype)), key


@pytest.mark.parametrize("encoder", ["resnet18", "resnet50"])
def test_our_deeplab_is_the_library_s(encoder: str) -> None:
    """The same names in the same order, on which the state of an optimizer depends, and the same numbers."""
    import segmentation_models_pytorch as smp

    torch.manual_seed(0)
    theirs = smp.DeepLabV3Plus(encoder, encoder_weights=None, encoder_output_stride=16, decoder_channels=32)
    for module in theirs.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-1, 1)
            module.running_var.uniform_(0.5, 2)
    ours = DeepLabPlus(ResNetFeatures(encoder, dilated=True), 32)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(2, 3, 64, 96)
    with torch.inference_mode():
        assert torch.equal(ours.eval()(x), theirs.eval()(x))


def test_what_ours_cannot_be_is_the_library_s() -> None:
    options = options_of("deeplabv3plus", "resnet18")
    for name, chosen, ours in (
        ("deeplabv3plus", options, True),
        ("deeplabv3plus", options | {"encoder_name": "mit_b0"}, False),
        ("deeplabv3plus", options | {"encoder_output_stride": 8}, False),
        ("deeplabv3plus", options | {"encoder_depth": 4}, False),
        ("unet", options_of("unet", "resnet18"), False),
    ):
        card = replace(a_card(), architecture=Architecture(name, chosen))
        assert isinstance(build_network(card).network, DeepLabPlus) == ours, chosen


def test_patches_without_outline_train_nothing(tmp_path: Path) -> None:
    patches = discs(2)
    patches.masks[0] = 0
    patches.masks[1] = UNKNOWN
    assert len(outlined(patches)) == 0
    config = MakeConfig(out=tmp_path, recipe=patch_recipe(1))
    with pytest.raises(UsageError, match="no outlines"):
        make_segmenter(PatchSet(patches, discs(0), discs(0)).each(outlined), config, lambda _: None)
