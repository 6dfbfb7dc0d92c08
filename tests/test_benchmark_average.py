"""The mean of two models is one that loads, with nothing said of it that was measured on another."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks.average import main, mean_of
from gloinone.errors import WeightsError
from gloinone.weights.card import Measured, ModelCard, read_card
from gloinone.weights.store import ModelPaths, load_state, save_model
from tests.weights.test_store import a_card


def a_model(folder: Path, weight: torch.Tensor) -> ModelCard:
    measured = (Measured("AP50", "drawn", 5, 0.5, 0.4, 0.6),)
    return save_model(folder, {"w": weight, "steps": torch.tensor(3)}, replace(a_card(), measured=measured))


def test_numbers_are_averaged_and_counters_are_not() -> None:
    states = [{"w": torch.tensor([1.0, x]), "steps": torch.tensor(7)} for x in (2.0, 4.0, 9.0)]
    assert mean_of(states)["w"].tolist() == [1, 5]
    assert mean_of(states)["steps"].item() == 7
    assert states[0]["w"].tolist() == [1, 2]


def test_a_mean_is_saved_with_a_card(tmp_path: Path) -> None:
    cards = [a_model(tmp_path / str(x), torch.full((2, 2), x)) for x in (1.0, 2.0)]
    main([str(tmp_path / "out"), *(str(tmp_path / name) for name in ("1.0", "2.0", "2.0", "1.0"))])
    card = read_card(tmp_path / "out/card.json")
    assert load_state(ModelPaths(tmp_path / "out"), card)["w"].tolist() == [[1.5, 1.5], [1.5, 1.5]]
    assert card.measured == ()
    assert all(a.sha256[:12] in card.created_by for a in cards)


def test_another_network_is_refused(tmp_path: Path) -> None:
    a_model(tmp_path / "a", torch.zeros(2, 2))
    a_model(tmp_path / "b", torch.zeros(3, 2))
    with pytest.raises(WeightsError, match="another network"):
        main([str(tmp_path / n) for n in ("out", "a", "b")])
    assert not (tmp_path / "out").exists()
