"""The classifier as the pipeline calls it, its partial-label loss, and its training on two colours."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from gloinone.classification.build import build_classifier
from gloinone.classification.build import build_network as any_network
from gloinone.classification.losses import allowed_classes, hierarchical_loss
from gloinone.classification.make import MakeConfig, make_classifier, start_card, two_classes
from gloinone.classification.predict import Classifier
from gloinone.classification.resnet import build_network
from gloinone.classification.train import LearnConfig, classifier_task
from gloinone.errors import UsageError, WeightsError
from gloinone.learning.patch_training import PatchSet, patch_recipe
from gloinone.learning.patches import PATCH_PX, Patches, join_patches
from gloinone.learning.training import train
from gloinone.records import Crop, Window
from gloinone.weights.card import Architecture, ModelCard
from gloinone.weights.features import load_features
from gloinone.weights.store import ModelPaths, load_state, read_card

CPU = torch.device("cpu")
DARK_OF = {"normal": 200, "sclerosed": 60, "non-glomerular": 130}


def patches_of(labels: list[str], group: str = "a", seed: int = 0) -> Patches:
    """Each label has its own grey, and its own texture too, since training varies the light."""
    rng = np.random.default_rng(seed)
    count = len(labels)
    pixels = np.empty((count, PATCH_PX, PATCH_PX, 3), np.uint8)
    for i, label in enumerate(labels):
        spread = {"normal": 50, "sclerosed": 2, "non-glomerular": 20}.get(label, 5)
        grain = rng.integers(-spread, spread + 1, (PATCH_PX // 8, PATCH_PX // 8, 3)).repeat(8, 0).repeat(8, 1)
        pixels[i] = np.clip(DARK_OF.get(label, 100) + grain, 0, 255)
    masks = np.zeros((count, PATCH_PX, PATCH_PX), np.uint8)
    words = tuple(labels), (group,) * count, (group,) * count, ("drawn",) * count
    return Patches(pixels, masks, np.full(count, 85.0), *words)


def a_card() -> ModelCard:
    nothing = patches_of([])
    config = MakeConfig(out=Path("tiny"), recipe=patch_recipe(1), learn=LearnConfig(edge_px=32))
    card = start_card(PatchSet(nothing, nothing, nothing), config)
    return replace(card, architecture=Architecture("resnet18"))


class Tiny(torch.nn.Module):
    """One convolution and means: trains in seconds."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = torch.nn.Conv2d(3, 16, 5, stride=2)
        self.norm = torch.nn.BatchNorm2d(16)
        self.dropout = torch.nn.Dropout(0.1)
        self.head = torch.nn.Linear(16, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        f = self.norm(self.first(x / 255 - 0.5)).relu().float()
        logits: torch.Tensor = self.head(self.dropout(f.mean(dim=(2, 3))))
        return logits.float()


def a_classifier(temperature: float = 1.0) -> Classifier:
    torch.manual_seed(0)
    card = replace(a_card(), temperature=temperature)
    return build_classifier(card, build_network(card).state_dict(), CPU)


def some_crops(count: int) -> list[Crop]:
    rng = np.random.default_rng(1)
    window = Window(0, 0, 256, 256, 256, 256)
    return [Crop(window, rng.integers(0, 255, (256, 256, 3), np.uint8)) for _ in range(count)]


def test_rows_are_probabilities_of_their_own_crop_only() -> None:
    classifier, crops = a_classifier(), some_crops(11)
    rows = classifier.classify(crops)
    assert rows.shape == (11, 5)
    assert rows.dtype == np.float64
    assert np.allclose(rows.sum(axis=1), 1)
    assert np.array_equal(classifier.classify(crops[9:10]), rows[9:10])
    assert np.array_equal(classifier.classify(crops), rows)
    assert classifier.classify([]).shape == (0, 5)
    both = classifier.with_features(crops)
    assert np.array_equal(both[:, :5], rows)
    assert both.shape == (len(crops), 5 + 64)
    assert np.array_equal(classifier.with_features(crops[9:10])[0], both[9])


def test_adapted_to_a_slide_the_means_of_the_first_layers_alone_are_mixed() -> None:
    taught, crops = a_classifier(), some_crops(11)
    assert taught.card.norm_prior == 16.0
    assert (
        Classifier(taught.network, replace(taught.card, norm_prior=None), CPU).adapted(crops).taught is None
    )
    assert taught.adapted([]) is taught
    before = {name: value.clone() for name, value in taught.network.state_dict().items()}
    adapted = taught.adapted(crops)
    after = adapted.network.state_dict()
    changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert changed == {
        "backbone.bn1.running_mean",
        *(f"backbone.layer1.{block}.bn{norm}.running_mean" for block in (0, 1) for norm in (1, 2)),
    }
    alone = replace(taught.card, norm_prior=0.0)
    own = (
        Classifier(taught.network, alone, CPU)
        .adapted(crops)
        .network.state_dict()["backbone.bn1.running_mean"]
    )
    mixed = torch.lerp(before["backbone.bn1.running_mean"], own, 11 / (11 + 16))
    torch.testing.assert_close(after["backbone.bn1.running_mean"], mixed)
    assert all(torch.equal(value, before[name]) for name, value in taught.network.state_dict().items())


def test_what_says_how_unlike_a_slide_is_stays_as_it_was_taught() -> None:
    taught, crops = a_classifier(), some_crops(11)
    taught.card = replace(taught.card, norm_prior=0.0)
    adapted = taught.adapted(crops)
    before, after = taught.with_features(crops), adapted.with_features(crops)
    assert np.allclose(after[:, 5:], before[:, 5:], rtol=0.02)
    assert not np.allclose(after[:, :5], before[:, :5], atol=1e-4)
    assert np.array_equal(after[:, :5], adapted.classify(crops))


def test_a_network_without_such_layers_is_not_adapted() -> None:
    card = replace(a_card(), architecture=Architecture("bit-r101x1"), norm_prior=4.0)
    state = any_network(card).state_dict()
    with pytest.raises(WeightsError, match="norm_prior is 4, but bit-r101x1 cannot be adapted to slides"):
        build_classifier(card, state, CPU)


def test_temperature_flattens_without_reordering() -> None:
    sharp, flat = a_classifier().classify(some_crops(4)), a_classifier(5.0).classify(some_crops(4))
    assert (sharp.argmax(axis=1) == flat.argmax(axis=1)).all()
    assert (flat.max(axis=1) <= sharp.max(axis=1)).all()


def test_channel_order_of_the_card_is_used() -> None:
    crops = some_crops(2)
    rgb, bgr = a_classifier(), a_classifier()
    bgr.card = replace(bgr.card, channels="BGR")
    swapped = [Crop(c.window, np.ascontiguousarray(c.pixels[..., ::-1])) for c in crops]
    assert np.array_equal(bgr.classify(swapped), rgb.classify(crops))
    assert not np.array_equal(bgr.classify(crops), rgb.classify(crops))


def test_other_labels_and_networks_are_refused() -> None:
    with pytest.raises(WeightsError, match="labels"):
        Classifier(torch.nn.Identity(), replace(a_card(), labels=("a", "b")), CPU)
    with pytest.raises(WeightsError, match="unknown classifier"):
        build_network(replace(a_card(), architecture=Architecture("vgg")))
    with pytest.raises(WeightsError, match="another network"):
        build_classifier(a_card(), {"x": torch.zeros(1)}, CPU)


def test_loss_is_marginal_over_what_the_truth_leaves_open() -> None:
    logits = np.array([[1.0, 0.5, -1.0, 2.0, 0.0]])
    p = np.exp(logits[0]) / np.exp(logits[0]).sum()
    expected = {
        "normal": p[0],
        "disappearing": p[3],
        "sclerosed": p[1:4].sum(),
        "glomerulus": 1 - p[4],
        "non-glomerular": p[4],
    }
    for label, probability in expected.items():
        allowed = torch.from_numpy(allowed_classes([label]))
        loss = float(hierarchical_loss(torch.from_numpy(logits), allowed))
        assert loss == pytest.approx(-np.log(probability))
    both = torch.from_numpy(allowed_classes(["normal"]))
    smooth = float(hierarchical_loss(torch.from_numpy(logits), both, 0.1))
    assert smooth == pytest.approx(-0.9 * np.log(p[0]) - 0.1 * np.log(p).mean())
    with pytest.raises(UsageError, match="unknown class tubule"):
        allowed_classes(["tubule"])


def test_a_partial_label_says_nothing_between_what_it_leaves_open() -> None:
    logits = torch.tensor([[0.3, 1.0, -0.5, 0.2, 0.1]], requires_grad=True)
    hierarchical_loss(logits, torch.from_numpy(allowed_classes(["sclerosed"]))).backward()
    assert logits.grad is not None
    p = torch.softmax(logits.detach()[0], 0)
    shares = logits.grad[0, 1:4] / p[1:4]  # pulled up in proportion: their ratios stay
    assert torch.allclose(shares, shares[0].expand(3))


def test_training_resumes_exactly_and_learns(tmp_path: Path) -> None:
    patches = patches_of(["normal", "sclerosed", "non-glomerular"] * 4)
    parts = PatchSet(patches, patches_of([]), patches_of([]))
    recipe = patch_recipe(80, batch=12, peak_rate=2e-2, average_decay=0.9)

    def run(folder: str, stop: str) -> torch.nn.Module:
        def say(line: str) -> None:
            if line.startswith(stop):
                raise KeyboardInterrupt

        task = classifier_task(parts, recipe, LearnConfig(edge_px=48), CPU, lambda _: {})
        return train(Tiny(), task, recipe, tmp_path / folder, CPU, say)

    trained = run("whole", "never")
    with pytest.raises(KeyboardInterrupt):
        run("killed", "step 60/")
    whole, resumed = trained.state_dict(), run("killed", "never").state_dict()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    classifier = Classifier(trained, replace(a_card(), edge_px=48), CPU)
    fresh = patches_of(["normal", "sclerosed"] * 3, seed=9)
    rows = classifier.probabilities([p[60:260, 60:260] for p in fresh.pixels])
    share = rows[:, 1:4].sum(axis=1)
    assert share[1::2].min() > share[::2].max()


def test_focal_loss_weighs_what_is_hard() -> None:
    logits = torch.tensor([[3.0, 0, 0, 0, 0], [0.2, 0, 0, 0, 0]])
    allowed = torch.from_numpy(allowed_classes(["normal", "normal"]))
    p = torch.softmax(logits, 1)[:, 0]
    expected = float((-(p.log()) * (1 - p) ** 2.5).mean())
    assert float(hierarchical_loss(logits, allowed, focal=2.5)) == pytest.approx(expected, rel=1e-5)
    certain = torch.tensor([[90.0, 0, 0, 0, 0]], requires_grad=True)
    hierarchical_loss(certain, allowed[:1], focal=0.5).backward()
    assert certain.grad is not None
    assert torch.isfinite(certain.grad).all()


def test_linear_evaluation_leaves_the_features_alone(tmp_path: Path) -> None:
    parts = PatchSet(patches_of(["normal", "sclerosed"] * 2), patches_of([]), patches_of([]))
    torch.manual_seed(0)
    network = build_network(a_card())
    network.freeze_backbone()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    recipe = patch_recipe(2, batch=4)
    task = classifier_task(parts, recipe, LearnConfig(edge_px=32), CPU, lambda _: {})
    after = train(network, task, recipe, tmp_path, CPU, lambda _: None).state_dict()
    changed = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"norm", "head"}


def test_two_classes_are_normal_and_sclerosed() -> None:
    patches = patches_of(["normal", "obsolescent", "glomerulus", "non-glomerular", "sclerosed"])
    kept = two_classes(patches)
    assert kept.labels == ("normal", "sclerosed", "sclerosed")
    assert np.array_equal(kept.pixels, patches.pixels[[0, 1, 4]])


def test_a_model_knows_its_training_slides(tmp_path: Path) -> None:
    """Of which the colours that it has seen are some, and others are not."""
    labels = ["normal", "sclerosed", "non-glomerular"] * 2
    several = [replace(patches_of(labels, f"p{i}", i), slides=(f"s{i}",) * len(labels)) for i in range(6)]
    parts = PatchSet(join_patches(several[:4]), join_patches(several[4:]), patches_of([]))
    config = MakeConfig(
        out=tmp_path / "tiny",
        recipe=patch_recipe(2, batch=4),
        learn=LearnConfig(edge_px=32),
        backbone="resnet18",
    )
    card = make_classifier(parts, config, lambda _: None)
    paths = ModelPaths(tmp_path / "tiny")
    known, classifier = load_features(paths, card), build_classifier(card, load_state(paths, card), CPU)
    assert known is not None
    assert known.limit == card.feature_limit
    pictures = list(patches_of(labels, seed=9).pixels)
    like = known.unlikeness(classifier.logits_and_features(pictures)[1])
    tinted = [np.stack([p[..., 0], 255 - p[..., 1], p[..., 2]], axis=2) for p in pictures]
    unlike = known.unlikeness(classifier.logits_and_features(tinted)[1])
    assert like is not None
    assert unlike is not None
    assert unlike > max(1, 2 * like)


def test_a_model_is_made_and_loads(tmp_path: Path) -> None:
    labels = ["normal", "sclerosed", "non-glomerular"] * 2
    nothing = patches_of([])
    validation = patches_of(labels, "b")
    parts = PatchSet(patches_of(labels), validation, nothing)
    said: list[str] = []
    config = MakeConfig(
        out=tmp_path / "tiny",
        recipe=patch_recipe(2, batch=4),
        learn=LearnConfig(edge_px=32),
        backbone="resnet18",
    )
    card = make_classifier(parts, config, said.append)
    paths = ModelPaths(tmp_path / "tiny")
    assert read_card(paths.card) == card
    assert not card.subtype_validated
    assert len(card.measured) == 5
    assert "drawn: normal 2" in card.training_data
    assert any(line.startswith("kept: step") and "likelihood" in line for line in said)
    assert said[-1].startswith("AUC sclerosed vs normal, held-out patients: shipped ")
    assert said[-1].endswith("no difference shown (fewer than 5 patients)")
    assert len((tmp_path / "tiny/comparison.csv").read_text("utf-8").splitlines()) == 3
    build_classifier(card, load_state(paths, card), CPU)
    more = replace(config, out=tmp_path / "more", init=str(tmp_path / "tiny"), backbone=None, binary=True)
    binary = make_classifier(replace(parts, validation=nothing).each(two_classes), more, lambda _: None)
    assert binary.temperature == card.temperature  # nobody is held out to fit another
    assert binary.architecture == card.architecture  # that of the start
    assert binary.score_combination == "detector"
    assert binary.training_data == ("drawn: normal 2", "drawn: sclerosed 2")
    with pytest.raises(WeightsError, match="not weights of this backbone"):
        make_classifier(parts, replace(more, backbone="resnet34"), lambda _: None)
