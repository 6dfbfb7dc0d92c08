"""Weights whose normalisations stand in scales and shifts: the same network in use, and now in training too."""

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from gloinone.classification import make as classifying
from gloinone.classification import pretrain as pretraining
from gloinone.detection import make as detecting
from gloinone.detection.cases import Case
from gloinone.detection.samples import SampleConfig
from gloinone.detection.train import detector_recipe
from gloinone.learning.backbones import ResNetFeatures
from gloinone.learning.folded import folded_norms, unfold
from gloinone.learning.patch_training import PatchSet, patch_recipe
from gloinone.learning.patches import PATCH_PX, Patches
from gloinone.learning.training import UNFOLDED_BY, Recipe, Task, train
from gloinone.segmentation import make as outlining

CPU = torch.device("cpu")


def pictures(seed: int, count: int = 8) -> Tensor:
    return torch.rand(count, 3, 64, 64, generator=torch.Generator().manual_seed(seed))


def norms_of(network: nn.Module) -> list[nn.BatchNorm2d]:
    return [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]


@torch.no_grad()
def folded_resnet(seed: int = 0) -> ResNetFeatures:
    """As a converter leaves it: what its normalisations measured stands in scales and shifts."""
    torch.manual_seed(seed)
    network = ResNetFeatures("resnet18")
    for norm in norms_of(network):
        norm.momentum = None
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.uniform_(norm.bias, -0.5, 0.5)
    for start in range(4):
        network.train()(pictures(start))
    for norm in norms_of(network.eval()):
        assert norm.running_mean is not None
        assert norm.running_var is not None
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        norm.bias.sub_(scale * norm.running_mean)
        norm.weight.copy_(scale)
        norm.reset_running_stats()
        norm.momentum = 0.1
    return network


def unfolded(network: ResNetFeatures, batches: list[Tensor]) -> ResNetFeatures:
    ours = copy.deepcopy(network)
    unfold(ours, folded_norms(ours), (ours(batch) for batch in batches))
    return ours


def test_in_use_the_network_stays_the_same() -> None:
    network, unseen = folded_resnet(), pictures(9)
    ours = unfolded(network, [pictures(1), pictures(2, count=3)]).eval()
    with torch.no_grad():
        for before, after in zip(network(unseen), ours(unseen), strict=True):
            torch.testing.assert_close(after, before, rtol=1e-3, atol=1e-3)


def test_in_training_it_is_the_network_in_use() -> None:
    network, batch = folded_resnet(), pictures(1, count=16)
    with torch.no_grad():
        used = network(batch)[-1]
        torch.testing.assert_close(unfolded(network, [batch]).train()(batch)[-1], used, rtol=0.05, atol=0.05)
        lost = copy.deepcopy(network).train()(batch)[-1]
    assert np.corrcoef(lost.flatten(), used.flatten())[0, 1] < 0.9, "else nothing would be to mend"


def test_batches_count_by_their_pictures() -> None:
    """Moments are those of all pictures, however they are dealt out."""
    network, batch = folded_resnet(), pictures(3)
    whole, parts = unfolded(network, [batch]), unfolded(network, [batch[:6], batch[6:]])
    expected = network.conv1(batch)
    assert whole.bn1.running_mean is not None
    torch.testing.assert_close(whole.bn1.running_mean, expected.mean((0, 2, 3)), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(whole.bn1.running_var, expected.var((0, 2, 3), correction=0))
    for ours, theirs in zip(norms_of(whole), norms_of(parts), strict=True):
        torch.testing.assert_close(ours.running_mean, theirs.running_mean, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(ours.running_var, theirs.running_var, rtol=1e-4, atol=1e-5)


def test_it_leaves_mode_hooks_and_gradients_as_they_were() -> None:
    network = folded_resnet().train()
    unfold(network, folded_norms(network), (network(pictures(number)) for number in range(2)))
    assert all(module.training for module in network.modules())
    assert not any(norm._forward_pre_hooks for norm in norms_of(network))
    assert all(p.grad is None and p.requires_grad for p in network.parameters())


def test_only_what_is_folded_and_trained_is_unfolded() -> None:
    network = folded_resnet()
    assert folded_norms(network) == norms_of(network)
    assert len(norms_of(network)) == 20, "of shortcuts, too"
    assert folded_norms(ResNetFeatures("resnet18")) == (), "new"
    measured = folded_resnet()
    measured.train()(pictures(0))
    assert folded_norms(measured) == ()
    network.requires_grad_(False)
    assert folded_norms(network) == ()
    assert folded_norms(nn.Conv2d(1, 1, 1)) == ()


RECIPE = Recipe(
    steps=4,
    batch=4,
    peak_rate=1e-3,
    warmup_steps=1,
    average_decay=0.9,
    max_gradient=5.0,
    validate_every=4,
    save_every=2,
    log_every=1,
)


def bright(looked: list[int]) -> Task[Tensor]:
    """The last features are to be bright; ``looked``: gets the step of every batch drawn."""

    def draw(step: int) -> Tensor:
        looked.append(step)
        return pictures(step, count=4)

    def losses(network: nn.Module, batch: Tensor) -> dict[str, Tensor]:
        return {"loss": (network(batch)[-1] - 1).square().mean()}

    return Task(draw, losses, ("loss",), None, (), "", "bright")


def test_a_training_unfolds_before_its_first_step_and_not_again(tmp_path: Path) -> None:
    def trained(out: str, say: Callable[[str], None] = lambda _: None) -> tuple[list[Tensor], list[int]]:
        network, looked = folded_resnet(), []
        average = train(
            network, bright(looked), RECIPE, tmp_path / out, CPU, say, folded=folded_norms(network)
        )
        return [t.clone() for t in average.state_dict().values()], looked

    def killed(line: str) -> None:
        if line.startswith("step 3"):
            raise KeyboardInterrupt

    whole, looked = trained("whole")
    assert sorted(looked) == sorted([*range(1, UNFOLDED_BY + 1), *range(1, RECIPE.steps + 1)])
    with pytest.raises(KeyboardInterrupt):
        trained("killed", killed)
    resumed, looked = trained("killed")
    assert looked == [3, 4]
    assert all(torch.equal(a, b) for a, b in zip(whole, resumed, strict=True))
    as_it_was = train(folded_resnet(), bright([]), RECIPE, tmp_path / "folded", CPU, lambda _: None)
    assert not all(torch.equal(a, b) for a, b in zip(whole, as_it_was.state_dict().values(), strict=True))


class StopError(Exception):
    pass


def patches() -> PatchSet:
    pixels = np.random.default_rng(0).integers(0, 255, (2, PATCH_PX, PATCH_PX, 3), np.uint8)
    masks = np.ones(pixels.shape[:3], np.uint8)
    words = ("normal", "sclerosed"), ("p", "q"), ("p", "q"), ("s", "s")
    given = Patches(pixels, masks, np.full(2, 80.0), *words)
    nothing = given.take(np.arange(0))
    return PatchSet(given, nothing, nothing)


def train_detector(out: Path, init: str) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (160, 160, 3), np.uint8)
    circles, nothing, tissue = np.array([[60.0, 60, 30]]), np.zeros((0, 3)), np.full((4, 2), 60.0)
    case = Case("a", "s", "p", 1.25, picture, circles, nothing, tissue, 1.0)
    recipe, small = detector_recipe(steps=1, batch=2), SampleConfig(edge_px=64)
    config = detecting.MakeConfig(
        out=out, recipe=recipe, init=init, arch="resnet18", sample=small, device="cpu"
    )
    detecting.make_detector([case], [], config, print)


def train_classifier(out: Path, init: str, *, linear: bool = False) -> None:
    config = classifying.MakeConfig(
        out=out,
        recipe=patch_recipe(1, batch=2),
        init=init,
        backbone="resnet18",
        device="cpu",
        linear=linear,
    )
    classifying.make_classifier(patches(), config, print)


def train_segmenter(out: Path, init: str) -> None:
    recipe = patch_recipe(1, batch=2)
    config = outlining.MakeConfig(out=out, recipe=recipe, init=init, encoder="resnet18", device="cpu")
    outlining.make_segmenter(patches(), config, print)


def train_backbone(out: Path, init: str) -> None:
    recipe = pretraining.pretraining_recipe(1, 2, None, 0, None)
    config = pretraining.PretrainConfig(out=out, recipe=recipe, init=init, backbone="resnet18", device="cpu")
    pretraining.make_backbone(patches(), config, print)


@pytest.mark.parametrize(
    ("module", "begin"),
    [
        (detecting, train_detector),
        (classifying, train_classifier),
        (outlining, train_segmenter),
        (pretraining, train_backbone),
    ],
)
def test_every_training_unfolds_what_it_starts_from(
    module: object, begin: Callable[[Path, str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[int] = []

    def counted(*given: object) -> nn.Module:
        norms = given[-1]
        assert isinstance(norms, (list, tuple))
        found.append(len(norms))
        raise StopError

    monkeypatch.setattr(module, "train", counted)
    file = tmp_path / "folded.safetensors"
    save_file(folded_resnet().state_dict(), file)
    for init in (str(file), "none"):
        with pytest.raises(StopError):
            begin(tmp_path / "out", init)
    assert found == [20, 0]


def test_a_frozen_backbone_stays_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def counted(*given: object) -> nn.Module:
        assert given[-1] == ()
        raise StopError

    monkeypatch.setattr(classifying, "train", counted)
    file = tmp_path / "folded.safetensors"
    save_file(folded_resnet().state_dict(), file)
    with pytest.raises(StopError):
        train_classifier(tmp_path / "out", str(file), linear=True)
