"""The published classifier, against its arithmetic written plainly; and classifiers of other class counts."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from published_files import bit_r101x1, random_state
from torch import Tensor
from torch.nn import functional

from gloinone.classification.bit import BitClassifier, StandardisedConv
from gloinone.classification.build import build_classifier
from gloinone.classification.published import LAYOUTS, bit_card
from gloinone.errors import UsageError, WeightsError
from gloinone.labels import CLASSES, classify
from gloinone.learning.backbones import Normalise
from gloinone.learning.fit import fit_picture
from gloinone.weights.published import ImportOptions, fitted

CPU = torch.device("cpu")
OPTIONS = ImportOptions("imported", "a test", "none")


def plain_bit(s: dict[str, Tensor], x: Tensor) -> Tensor:
    """ResNetV2 from a state dict, normalised pictures in."""

    def conv(name: str, x: Tensor, stride: int = 1) -> Tensor:
        w = s[f"{name}.weight"]
        flat = w.flatten(1).double()
        flat = (flat - flat.mean(1, keepdim=True)) / (
            flat.var(1, unbiased=False, keepdim=True) + 1e-10
        ).sqrt()
        return functional.conv2d(x, flat.float().view_as(w), None, stride, w.shape[-1] // 2)

    def gn(name: str, x: Tensor) -> Tensor:
        groups = x.view(len(x), 32, -1)
        mean, var = groups.mean(2, keepdim=True), groups.var(2, unbiased=False, keepdim=True)
        normal = ((groups - mean) / (var + 1e-5).sqrt()).view_as(x)
        return (normal * s[f"{name}.weight"][:, None, None] + s[f"{name}.bias"][:, None, None]).relu()

    x = functional.max_pool2d(functional.pad(conv("root.conv", x, 2), (1, 1, 1, 1)), 3, 2)
    for block, count in enumerate((3, 4, 23, 3), start=1):
        for unit in range(1, count + 1):
            name = f"body.block{block}.unit{unit:02d}"
            stride = 2 if block > 1 and unit == 1 else 1
            before = gn(f"{name}.gn1", x)
            shortcut = conv(f"{name}.downsample", before, stride) if f"{name}.downsample.weight" in s else x
            y = conv(f"{name}.conv2", gn(f"{name}.gn2", conv(f"{name}.conv1", before)), stride)
            x = conv(f"{name}.conv3", gn(f"{name}.gn3", y)) + shortcut
    pooled = gn("head.gn", x).mean((2, 3))
    return pooled @ s["head.conv.weight"].flatten(1).T + s["head.conv.bias"]


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    return random_state(bit_r101x1())


def test_probabilities_are_those_of_the_plain_arithmetic(state: dict[str, Tensor]) -> None:
    card = replace(bit_card(state, OPTIONS), edge_px=64)
    whole = fitted(state, LAYOUTS[0], card, "file")
    picture = np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    shown = torch.from_numpy(fit_picture(picture, 64, "RGB").copy()).permute(2, 0, 1)[None]
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    classifier = build_classifier(card, whole, CPU)
    with torch.inference_mode():
        logits = plain_bit(state, (shown / 255 - mean[:, None, None]) / std[:, None, None])
        ours = classifier.network(shown)
    assert logits.std() > 0.05
    torch.testing.assert_close(ours, logits, rtol=1e-3, atol=1e-3)
    found = classifier.probabilities([picture])  # where the processor has it, in bfloat16
    np.testing.assert_allclose(found, logits.softmax(1).numpy(), atol=0.05)
    assert classify(tuple(found[0]), card.class_rule) == CLASSES[int(logits.argmax())]


def test_weights_are_standardised() -> None:
    layer = StandardisedConv(2, 1, 1, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([3.0, 5.0]).view(1, 2, 1, 1))
    assert layer(torch.tensor([10.0, 30.0]).view(1, 2, 1, 1)).item() == pytest.approx(-10 + 30)
    with torch.no_grad():
        layer.weight.fill_(2.0)  # no variance: only epsilon is left below
    assert layer(torch.ones(1, 2, 1, 1)).item() == 0


def test_the_stem_pools_over_zeros() -> None:
    """Where all is negative the border is 0, not the largest negative."""
    network = BitClassifier(Normalise((0, 0, 0), (1, 1, 1)), 5, (1, 1, 1, 1)).eval()
    seen = []
    network.body.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    network.root[0].forward = lambda x: torch.full((1, 64, 16, 16), -1.0)  # type: ignore[method-assign]
    network(torch.zeros(1, 3, 32, 32, dtype=torch.uint8))
    assert seen[0].shape == (1, 64, 8, 8)
    assert seen[0][0, 0, 0].unique().tolist() == [0]
    assert seen[0][0, 0, 1:, 1:].unique().tolist() == [-1]


def test_the_card_carries_the_published_convention(state: dict[str, Tensor]) -> None:
    card = bit_card(state, OPTIONS)
    assert (card.edge_px, card.channels, card.labels, card.score_combination) == (
        224,
        "RGB",
        CLASSES,
        "detector",
    )
    assert card.mean == pytest.approx((123.675, 116.28, 103.53))
    assert card.std == pytest.approx((58.395, 57.12, 57.375))
    assert card.class_rule is not None
    assert card.class_rule.name == "argmax"


def test_other_class_counts_say_what_their_outputs_are() -> None:
    three = {"head.conv.weight": torch.zeros(3, 2048, 1, 1)}
    with pytest.raises(WeightsError, match="of 3 outputs; say what they are"):
        bit_card(three, OPTIONS)
    with pytest.raises(UsageError, match="names 2 outputs, the file has 3"):
        bit_card(three, replace(OPTIONS, labels=("normal", "obsolescent")))
    with pytest.raises(UsageError, match="crescent: unknown"):
        bit_card(three, replace(OPTIONS, labels=("normal", "obsolescent", "crescent")))
    labels = ("non-glomerular", "normal", "normal")
    card = bit_card(three, replace(OPTIONS, labels=labels))
    network = BitClassifier(Normalise(card.mean, card.std), 3, (1, 1, 1, 1))

    class Fixed(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.tensor([[0.2, 0.3, 0.5]]).log().expand(len(x), 3)

    from gloinone.classification.predict import Classifier

    assert network(torch.zeros(1, 3, 32, 32, dtype=torch.uint8)).shape == (1, 3)
    found = Classifier(Fixed(), card, CPU).probabilities([np.zeros((8, 8, 3), np.uint8)])
    assert found == pytest.approx(np.array([[0.8, 0, 0, 0, 0.2]]))
