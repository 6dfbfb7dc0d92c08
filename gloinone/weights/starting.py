"""Weights into networks: a model's own, all of them, or those a training starts from."""

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from gloinone.errors import WeightsError
from gloinone.weights.card import Task, read_card
from gloinone.weights.store import find_model, load_state, model_dirs


def fill(network: nn.Module, state: Mapping[str, Tensor], name: str) -> None:
    """Every key used and none missing; WeightsError that says whose card names another network."""
    try:
        network.load_state_dict(state, strict=True)
    except RuntimeError as error:
        what = " ".join(str(error).split())
        raise WeightsError(
            f"{name}: weights of another network than the one to be filled ({what[:200]} ...)"
        ) from error


def start(network: nn.Module, backbone: nn.Module, init: str, task: Task) -> bool:
    """Starting weights of a training; whether the whole network has them, so that it can already do its task.

    ``init``: a .safetensors file of the backbone, the name or folder of a model of that task, or none.
    """
    if init.endswith(".safetensors"):
        fill_backbone(backbone, Path(init))
    elif init != "none":
        paths = find_model(init, task, model_dirs())
        fill(network, load_state(paths, read_card(paths.card)), str(paths.folder))
        return True
    return False


def fill_backbone(backbone: nn.Module, path: Path) -> None:
    """Fill a backbone from a safetensors file of the same names; a classifier's head in it is left out."""
    if not path.is_file():
        raise WeightsError(f"{path}: no such file; --init takes a model's name, a .safetensors file, or none")
    try:
        state = load_file(path)
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path}: not a readable safetensors file ({error})") from error
    state = {k: v.float() for k, v in state.items() if not k.startswith("fc.")}
    own = backbone.state_dict()
    counters = {k for k in own if k.endswith("num_batches_tracked")}
    missing, unexpected = sorted(own.keys() - state.keys() - counters), sorted(state.keys() - own.keys())
    if missing or unexpected:
        raise WeightsError(
            f"{path}: not weights of this backbone: {len(missing)} missing ({', '.join(missing[:3])}), "
            f"{len(unexpected)} unknown ({', '.join(unexpected[:3])})"
        )
    backbone.load_state_dict(own | state)
