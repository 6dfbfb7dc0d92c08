"""Which detectors a run has, whatever their order, and what of them is recorded."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from gloinone.errors import UsageError, WeightsError
from gloinone.levelling import Level
from gloinone.pipeline.stages import Networks, StagesConfig
from gloinone.weights.card import ModelCard, card_to_json, read_card
from gloinone.weights.store import find_model, model_dirs, save_model


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """Two detectors and a copy of one."""
    shipped = read_card(find_model("detector", "detector", model_dirs()).card)

    def save(folder: str, value: float, card: ModelCard) -> None:
        save_model(tmp_path / folder, {"w": torch.full((2,), value)}, card)

    save("a", 1.0, replace(shipped, name="a", threshold=0.1))
    save("b", 2.0, replace(shipped, name="b", threshold=0.4))
    save("copy", 1.0, replace(shipped, name="copy"))
    return tmp_path


def networks(models: Path, *detectors: str, **more: object) -> Networks:
    return Networks(StagesConfig(detectors=detectors, models=(models,), **more))  # type: ignore[arg-type]


def test_the_order_of_the_detectors_is_nothing(models: Path) -> None:
    one, other = networks(models, "a", "b"), networks(models, "b", "a")
    assert one.models == other.models
    assert one.settings == other.settings
    assert one.cards == other.cards
    first, second = one.models["detector"].split(" + ")
    assert (first[:2], second[:2]) == ("a@", "b@")
    assert [task for task in one.cards if task.startswith("detector")] == ["detector", "detector 2"]
    assert one.min_score == pytest.approx(0.25)
    assert dict(zip(("a", "b"), one.thresholds, strict=True)) == {"a": 0.1, "b": 0.4}
    assert networks(models, "a", "b", min_score=0.3).min_score == 0.3


def test_a_detector_without_a_threshold_is_named(models: Path) -> None:
    card = models / "b" / "card.json"
    card.write_text(card.read_text().replace('"threshold": 0.4', '"threshold": null'))
    with pytest.raises(WeightsError, match="card b: a detector's card states threshold"):
        _ = networks(models, "a", "b").min_score


def test_one_detector_is_recorded_as_ever(models: Path) -> None:
    assert networks(models, "a").settings.keys() == {
        "min_score",
        "keep_nonglomerular",
        "device",
        "model_cards",
    }
    assert networks(models, "a", tta=True).settings["tta"] is True
    assert Networks(StagesConfig()).models["detector"].startswith("detector@")


@pytest.mark.parametrize(
    ("change", "counts"),
    [
        ({"kept_log_odds": None}, True),
        ({"norm_prior": None}, True),
        ({"scales": (1.0, 0.8)}, True),
        ({"floor": 0.06}, True),
        ({"not_validated": ("Nothing.",)}, False),
        ({"licence": "none"}, False),
    ],
)
def test_a_number_changed_on_a_card_changes_the_settings(
    models: Path, change: dict[str, object], counts: bool
) -> None:
    before = networks(models, "b").settings["model_cards"]
    card = replace(read_card(models / "b" / "card.json"), **change)  # type: ignore[arg-type]
    (models / "b" / "card.json").write_text(card_to_json(card))
    after = networks(models, "b")
    assert (after.settings["model_cards"] != before) is counts
    assert after.models == networks(models, "b").models


def test_scores_are_held_against_the_usual_ones_of_a_single_voter(models: Path) -> None:
    card = read_card(models / "b" / "card.json")
    for folder, usual in (("b", 0.1), ("without", None)):
        save_model(models / folder, {"w": torch.full((2,), 2.0)}, replace(card, kept_log_odds=usual))
    assert networks(models, "b").level == Level(0.4, 0.1)
    assert networks(models, "b", min_score=0.3).level == Level(0.4, 0.1)  # scores do not depend on options
    assert networks(models, "without").level is None
    assert networks(models, "b", tta=True).level is None
    assert networks(models, "a", "b").level is None


def test_votes_that_make_no_sense_are_refused(models: Path) -> None:
    with pytest.raises(UsageError, match="the same weights twice"):
        _ = networks(models, "a", "copy").detectors
    with pytest.raises(UsageError, match="there are 2 votes"):
        networks(models, "a", "b", min_votes=3)
    assert networks(models, "a", "b", min_votes=8, tta=True).config.voters == 8
    with pytest.raises(UsageError, match="there are 1 votes"):
        networks(models, "a", min_votes=2)


WITHOUT = """
import sys
from gloinone.pipeline.stages import Networks, StagesConfig
Networks(StagesConfig(device="cpu")).load()
print(*sorted({"torchvision", "segmentation_models_pytorch", "timm", "sympy", "torch._dynamo"} & set(sys.modules)))
"""


def test_what_ships_loads_without_the_libraries_that_take_seconds() -> None:
    loaded = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == ""
