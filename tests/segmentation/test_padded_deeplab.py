"""The published segmenter, against torchvision's network and the published preparation by numpy and OpenCV."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from published_files import parameters, random_state
from torch import Tensor
from torchvision.models.segmentation import deeplabv3_resnet101

from gloinone.errors import WeightsError
from gloinone.learning.backbones import Normalise
from gloinone.segmentation.build import build_network, build_segmenter
from gloinone.segmentation.padded_deeplab import PaddedDeepLab
from gloinone.segmentation.published import LAYOUTS, deeplab_card
from gloinone.weights.card import Architecture
from gloinone.weights.published import ImportOptions, fitted

CPU = torch.device("cpu")
OPTIONS = ImportOptions("imported", "a test", "none")


@pytest.fixture(scope="module")
def theirs() -> torch.nn.Module:
    """torchvision's own, with random weights that keep the signal alive."""
    network = deeplabv3_resnet101(weights=None, weights_backbone=None, num_classes=2, aux_loss=None)
    state = network.state_dict()
    network.load_state_dict(random_state({name: tuple(value.shape) for name, value in state.items()}))
    return network.eval()


def test_the_layout_is_the_published_one(theirs: torch.nn.Module) -> None:
    keys = {name: tuple(value.shape) for name, value in theirs.state_dict().items()}
    assert len(keys) == 668
    assert parameters(keys) == pytest.approx(58.6e6, rel=1e-3)
    card = deeplab_card({}, OPTIONS)
    assert (card.edge_px, dict(card.architecture.options)) == (256, {"pad_px": 64, "network_px": 512})
    assert (card.mean, card.std, card.threshold) == ((0, 0, 0), (255, 255, 255), 0.5)
    auxiliary = {"aux_classifier.4.weight": torch.zeros(2, 256, 1, 1)}
    assert set(fitted(theirs.state_dict() | auxiliary, LAYOUTS[0], card, "file")) == set(keys)


def test_the_mask_is_the_likelier_class_of_the_padded_and_enlarged_crop(theirs: torch.nn.Module) -> None:
    small = Architecture("deeplabv3-resnet101", {"pad_px": 16, "network_px": 128})
    card = replace(deeplab_card({}, OPTIONS), architecture=small, edge_px=64)
    crop = cv2.resize(np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8), (64, 64))
    padded = np.pad(crop, ((16, 16), (16, 16), (0, 0)), mode="edge")
    shown = cv2.resize(padded, (128, 128), interpolation=cv2.INTER_CUBIC).astype(np.float32) / 255
    with torch.inference_mode():
        classes = theirs(torch.from_numpy(shown).permute(2, 0, 1)[None])["out"]
        middle = (classes[0, 1] - classes[0, 0])[16:112, 16:112].median()
        classes[0, 1] -= middle  # so that there is something of both
    whole = classes.argmax(1)[0].numpy().astype(np.uint8)
    mask = cv2.resize(whole, (96, 96), interpolation=cv2.INTER_NEAREST)[16:80, 16:80]
    assert 0.1 < mask.mean() < 0.9

    state: dict[str, Tensor] = fitted(theirs.state_dict(), LAYOUTS[0], card, "file")
    state["classifier.4.bias"] = state["classifier.4.bias"] - torch.tensor([0.0, float(middle)])
    found = next(build_segmenter(card, state, CPU).probabilities([crop]))
    assert ((found >= 0.5) == mask).mean() > 0.95


def test_the_network_is_shown_what_opencv_would_prepare() -> None:
    """To the border: edges repeated, then enlarged. The crop changes towards its edges, so paddings differ."""
    shown: list[Tensor] = []

    class Caught(torch.nn.Module):
        def forward(self, x: Tensor) -> dict[str, Tensor]:
            shown.append(x)
            return {"out": torch.zeros(1, 2048, 16, 16)}

    network = PaddedDeepLab(Normalise((0, 0, 0), (255, 255, 255)), 16, 128).eval()
    network.backbone = Caught()
    rows, columns = np.mgrid[:64, :64]
    crop = np.stack([rows * 3, columns * 3, 255 - rows - columns], 2).astype(np.uint8)
    with torch.inference_mode():
        logits = network(torch.from_numpy(crop).permute(2, 0, 1)[None])
    padded = np.pad(crop, ((16, 16), (16, 16), (0, 0)), mode="edge")
    theirs = cv2.resize(padded, (128, 128), interpolation=cv2.INTER_CUBIC)
    ours = (shown[0][0] * 255).permute(1, 2, 0).numpy()
    assert np.abs(ours - theirs).max() <= 1.01  # of 255: OpenCV rounds its kernel
    for other in ("reflect", "symmetric", "constant"):
        elsewise = np.pad(crop, ((16, 16), (16, 16), (0, 0)), mode=other)  # type: ignore[call-overload]
        assert np.abs(cv2.resize(elsewise, (128, 128), interpolation=cv2.INTER_CUBIC) - ours).max() > 20
    assert logits.shape == (1, 1, 64, 64)


def test_a_card_without_its_convention_is_refused() -> None:
    card = replace(deeplab_card({}, OPTIONS), architecture=Architecture("deeplabv3-resnet101"))
    with pytest.raises(WeightsError, match="pad_px"):
        build_network(card)
