"""The card survives a round trip, and nothing that is not one passes."""

import json
from pathlib import Path

import pytest

from gloinone.errors import WeightsError
from gloinone.labels import CLASSES, ClassRule
from gloinone.weights.card import (
    LATER,
    Architecture,
    Measured,
    ModelCard,
    card_from_json,
    card_to_json,
    read_card,
)


def a_card(**changes: object) -> ModelCard:
    values: dict[str, object] = {
        "name": "tiny",
        "task": "classifier",
        "architecture": Architecture("resnet", {"depth": 18, "outputs": 5}),
        "edge_px": 64,
        "mean": (122.0, 117.0, 104.0),
        "std": (256.0, 256.0, 256.0),
        "labels": CLASSES,
        "licence": "none",
        "training_data": ("drawn",),
        "split": "no patient left out",
        "created_by": "gloinone 0",
        "class_rule": ClassRule("hierarchy", 0.4, 0.6),
        "temperature": 1.5,
        "measured": (Measured("AUC", "drawn", 10, 0.9, 0.8, 1.0),),
        "not_validated": ("the kinds",),
        "sha256": "ab" * 32,
    }
    return ModelCard(**{**values, **changes})  # type: ignore[arg-type]


def test_round_trip(tmp_path: Path) -> None:
    card = a_card(scales=(1.0, 0.8))
    path = tmp_path / "card.json"
    path.write_text(card_to_json(card), "utf-8")
    assert read_card(path) == card
    assert card.identity == "tiny@abababababab"


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"surprise": 1}, "unknown keys surprise"),
        ({"licence": None}, "licence"),
        ({"edge_px": "64"}, "edge_px"),
        ({"edge_px": True}, "edge_px"),
        ({"edge_px": 0}, "edge_px"),
        ({"mean": [1, 2]}, "mean and std"),
        ({"std": [1, 0, 1]}, "std"),
        ({"mpp": "fine"}, "mpp"),
        ({"temperature": 0}, "temperature"),
        ({"task": "painter"}, "painter"),
        ({"channels": "GBR"}, "channels"),
        ({"class_rule": {"name": "dice", "nonglomerular_cut": 0.5, "sclerosed_cut": 0.5}}, "dice"),
        ({"class_rule": {"name": "argmax"}}, "class_rule.nonglomerular_cut"),
        ({"architecture": "resnet"}, "architecture"),
        ({"format": 2}, "format 1"),
        ({"feature_limit": 0}, "feature_limit"),
        ({"peak_reach": -1}, "peak_reach is -1"),
        ({"peak_reach": 9}, "peak_reach is 9; it must be from 0 to 8"),
        ({"peak_reach": 0.5}, "peak_reach"),
        ({"norm_prior": -1}, "norm_prior is -1.0; it must not be under 0"),
        ({"norm_prior": float("inf")}, "norm_prior"),
        ({"norm_prior": "16"}, "norm_prior"),
        ({"scales": []}, r"scales are \[\]; give 1 to 4, each from 0.5 to 2"),
        ({"scales": [1, 1, 1, 1, 1]}, "give 1 to 4"),
        ({"scales": [1, 0.4]}, r"scales are \[1.0, 0.4\]"),
        ({"scales": [2.1]}, r"scales are \[2.1\]"),
        ({"scales": 1.0}, "scales has an unexpected value 1.0"),
        ({"floor": 5}, "floor is 5.0; it must be from 0 to 1"),
        ({"floor": 0.1, "deepest_floor": 0.2}, "deepest_floor is 0.2; it must be from 0 to floor, 0.1"),
        ({"deepest_floor": -0.1}, "deepest_floor is -0.1"),
        ({"mpp": 0}, "mpp is 0"),
        ({"mpp": -1}, "mpp is -1"),
        ({"margin_um": -1}, "margin_um is -1"),
        ({"mpp": 0.5, "margin_um": 16}, "margins of 16 um leave nothing of a tile of 64 px at 0.5 um/px"),
        ({"threshold": 1.5}, "threshold is 1.5"),
        ({"threshold": -0.1}, "threshold is -0.1"),
    ],
)
def test_refused(change: dict[str, object], word: str) -> None:
    data = json.loads(card_to_json(a_card())) | change
    with pytest.raises(WeightsError, match=word):
        card_from_json(json.dumps(data), "card.json")


def test_a_card_of_an_earlier_version_lacks_what_came_later() -> None:
    data = json.loads(card_to_json(a_card()))
    for key in LATER:
        del data[key]
    assert card_from_json(json.dumps(data), "card.json") == a_card()


def test_a_score_of_one_patient_has_no_interval() -> None:
    several = Measured.within("AUC", "drawn", 10, 0.9, (0.8, 1.0))
    assert several == a_card().measured[0]
    one = Measured.within("AUC", "drawn", 10, 0.9, (float("nan"), float("nan")))
    assert (one.low, one.high, one.told) == (None, None, "0.900")
    text = card_to_json(a_card(measured=(one, several)))
    assert json.loads(text)["measured"][0]["low"] is None
    assert card_from_json(text, "card.json").measured == (one, several)


def test_missing_key_and_no_json_are_refused(tmp_path: Path) -> None:
    data = json.loads(card_to_json(a_card()))
    del data["split"]
    with pytest.raises(WeightsError, match="missing keys split"):
        card_from_json(json.dumps(data), "card.json")
    with pytest.raises(WeightsError, match="not a model card"):
        card_from_json("{", "card.json")
    with pytest.raises(WeightsError, match="not a model card"):
        card_from_json("[" * 100_000 + "]" * 100_000, "card.json")
    with pytest.raises(WeightsError, match="cannot be read"):
        read_card(tmp_path / "absent.json")
