"""Models are found in the order of the search, and load whole or not at all."""

from pathlib import Path

import pytest
import torch

from gloinone.errors import WeightsError
from gloinone.weights.card import Architecture, ModelCard, Task
from gloinone.weights.store import (
    ModelPaths,
    check_hash,
    find_model,
    list_models,
    load_state,
    model_dirs,
    read_card,
    save_model,
)


def a_card(name: str = "tiny", task: Task = "segmenter") -> ModelCard:
    return ModelCard(
        name,
        task,
        Architecture("x"),
        8,
        (0, 0, 0),
        (1, 1, 1),
        ("glomerulus",),
        "none",
        ("drawn",),
        "none",
        "tests",
    )


def a_state() -> dict[str, torch.Tensor]:
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    network[1].running_var.fill_(1e6)  # outside float16
    return network.state_dict()


def test_saved_is_loaded(tmp_path: Path) -> None:
    state = a_state()
    card = save_model(tmp_path / "tiny", state, a_card())
    paths = ModelPaths(tmp_path / "tiny")
    assert read_card(paths.card) == card
    loaded = load_state(paths, card)
    assert set(loaded) == set(state)
    assert all(t.dtype == (torch.float32 if t.is_floating_point() else torch.int64) for t in loaded.values())
    assert torch.equal(loaded["1.running_var"], state["1.running_var"])
    assert torch.equal(loaded["0.weight"], state["0.weight"].half().float())
    assert sorted(p.name for p in paths.folder.iterdir()) == ["card.json", "weights.safetensors"]


def test_same_state_same_bytes(tmp_path: Path) -> None:
    state = a_state()
    assert (
        save_model(tmp_path / "a", state, a_card()).sha256
        == save_model(tmp_path / "b", state, a_card()).sha256
    )


def test_damage_is_noticed(tmp_path: Path) -> None:
    card = save_model(tmp_path / "tiny", a_state(), a_card())
    paths = ModelPaths(tmp_path / "tiny")
    data = bytearray(paths.weights.read_bytes())
    data[-1] ^= 1
    paths.weights.write_bytes(data)
    with pytest.raises(WeightsError, match="damaged"):
        load_state(paths, card)
    paths.weights.unlink()
    with pytest.raises(WeightsError, match="missing"):
        check_hash(paths, card)


def test_not_finite_is_refused(tmp_path: Path) -> None:
    state = a_state()
    state["0.weight"][0] = float("nan")
    with pytest.raises(WeightsError, match=r"0\.weight is not finite"):
        save_model(tmp_path / "tiny", state, a_card())
    assert not (tmp_path / "tiny").exists()


def test_search_order(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    save_model(second / "tiny", a_state(), a_card("theirs"))
    save_model(first / "tiny", a_state(), a_card("mine"))
    save_model(first / "nose", a_state(), a_card("nose", "classifier"))
    dirs = (first, second, tmp_path / "absent")
    assert find_model("tiny", "segmenter", dirs) == ModelPaths(first / "tiny")
    assert find_model(str(second / "tiny"), "segmenter", dirs) == ModelPaths(second / "tiny")
    assert [paths.folder.name for paths in list_models(dirs)] == ["nose", "tiny", "tiny"]
    with pytest.raises(WeightsError, match="there are: tiny"):
        find_model("nose", "segmenter", dirs)
    with pytest.raises(WeightsError, match="holds a classifier"):
        find_model(str(first / "nose"), "segmenter", dirs)
    with pytest.raises(WeightsError, match="no detector at all"):
        find_model("tiny", "detector", dirs)
    (first / "broken").mkdir()
    (first / "broken" / "card.json").write_text("{")  # stands before the others, and nobody asks for it
    assert find_model("tiny", "segmenter", dirs) == ModelPaths(first / "tiny")
    with pytest.raises(WeightsError, match="nose"):
        find_model("nose", "segmenter", dirs)
    with pytest.raises(WeightsError, match=r"broken.card\.json"):
        find_model("broken", "segmenter", dirs)


def test_model_dirs(tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    a.mkdir()
    dirs = model_dirs([a], {"GLOINONE_MODELS": str(b), "GLOINONE_HOME": str(tmp_path)})
    assert dirs[:2] == (a, b)
    assert tmp_path / "models" in dirs
    assert Path(__file__).resolve().parents[2] / "models" in dirs
    with pytest.raises(WeightsError, match="no such folder"):
        model_dirs([b], {})
