"""Weights into networks: a model's own, all of them, or those a training starts from."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from gloinone.errors import WeightsError
from gloinone.weights.card import ModelCard, Task, read_card
from gloinone.weights.store import ModelPaths, find_model, load_state, model_dirs

Network = TypeVar("Network", bound=nn.Module)

DEFAULT_BACKBONE = "resnet34"
MEND = "give --init the model's own folder, or $GLOINONE_MODELS the folder that it lies in"
"""Where --init finds no model of that name: trainings have no --models."""
PREFIXES: Mapping[Task, str] = {
    "detector": "backbone.",
    "classifier": "backbone.",
    "segmenter": "network.encoder.",
}
"""Of the names of a backbone's weights in a model of the task."""
DRAWING = frozenset({torch.Tensor.uniform_, torch.Tensor.normal_, nn.init.kaiming_uniform_})
"""What layers fill their weights with."""


class _Undrawn(TorchFunctionMode):
    """Nothing is drawn. Not ``torch.device("meta")``: it imports for two seconds."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """As it is elsewhere, but for ``DRAWING``, which leaves a tensor as it was."""
        given = kwargs or {}
        if func in DRAWING:
            return args[0] if args else given["tensor"]
        return func(*args, **given)


def filled(build: Callable[[], Network], state: Mapping[str, Tensor], name: str) -> Network:
    """A network that is built for these very weights; raises WeightsError as ``fill``."""
    with _Undrawn():  # weights that are replaced at once: drawing them takes .2 s
        network = build()
    fill(network, state, name)
    return network


def fill(network: nn.Module, state: Mapping[str, Tensor], name: str) -> None:
    """Every key used and none missing; WeightsError that says whose card names another network."""
    try:
        network.load_state_dict(state, strict=True)
    except RuntimeError as error:
        what = " ".join(str(error).split())
        raise WeightsError(
            f"{name}: weights of another network than the one to be filled ({what[:200]} ...)"
        ) from error


def backbone_folder(init: str, task: Task) -> ModelPaths | None:
    """The folder ``init`` if its backbone alone can be meant: `train ssl` left it, or it is a model of another task."""
    paths = ModelPaths(Path(init))
    if not paths.card.is_file():
        return None
    own = read_card(paths.card).task
    return paths if own == "backbone" or own != task else None


def backbone_name(init: str, task: Task) -> str:
    """Which backbone lies in the folder ``init``; ours where it is none."""
    paths = backbone_folder(init, task)
    if paths is None:
        return DEFAULT_BACKBONE
    network = read_card(paths.card).architecture
    return str(network.options.get("backbone") or network.options.get("encoder_name") or network.name)


def starting_card(init: str, task: Task) -> ModelCard | None:
    """Card of the model that ``init`` names; None where it names a backbone or none."""
    if init == "none" or init.endswith(".safetensors") or backbone_folder(init, task):
        return None
    return read_card(find_model(init, task, model_dirs(), MEND).card)


def shipped_model(task: Task) -> tuple[ModelCard, dict[str, Tensor]] | None:
    """Card and weights of the model that has the task's own name, which `run` takes; None without one."""
    try:
        paths = find_model(task, task, model_dirs())
    except WeightsError:
        return None
    card = read_card(paths.card)
    return card, load_state(paths, card)


def start(network: nn.Module, backbone: nn.Module, init: str, task: Task) -> bool:
    """Starting weights of a training; whether the whole network has them, so that it can already do its task.

    ``init``: a .safetensors file or the folder of a backbone, the name or folder of a model of that task, the folder of
    one of another task, or none. Of a model of another architecture or task the backbone is taken, if it is the same.
    """
    if init == "none":
        return False
    if init.endswith(".safetensors"):
        fill_backbone(backbone, Path(init))
        return False
    paths = backbone_folder(init, task) or find_model(init, task, model_dirs(), MEND)
    card = read_card(paths.card)
    state = load_state(paths, card)
    if card.task == task and shapes(state) == shapes(network.state_dict()):
        fill(network, state, str(paths.folder))
        return True
    prefix = PREFIXES.get(card.task, "")
    part = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    fill_backbone_with(backbone, part, paths.folder)
    return False


def shapes(state: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """Of every weight, by its name."""
    return {name: tuple(tensor.shape) for name, tensor in state.items()}


def fill_backbone(backbone: nn.Module, path: Path) -> None:
    """Fill a backbone from a safetensors file of the same names; a classifier's head in it is left out."""
    if not path.is_file():
        raise WeightsError(f"{path}: no such file; --init takes a model's name, a .safetensors file, or none")
    try:
        state = load_file(path)
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path}: not a readable safetensors file ({error})") from error
    fill_backbone_with(backbone, {k: v for k, v in state.items() if not k.startswith("fc.")}, path)


def fill_backbone_with(backbone: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    """Every key used but those of a last stage that ``backbone`` lacks, and none missing but counters.

    ``path`` stands in the WeightsError.
    """
    own = backbone.state_dict()
    lacking = () if any(k.startswith("layer4.") for k in own) else ("layer4.",)
    state = {k: v.float() for k, v in state.items() if not k.startswith(lacking)}
    counters = {k for k in own if k.endswith("num_batches_tracked")}
    missing = sorted(own.keys() - state.keys() - counters)
    unexpected = sorted(shapes(state).items() - shapes(own).items())
    if missing or unexpected:
        raise WeightsError(
            f"{path}: not weights of this backbone: {len(missing)} missing ({', '.join(missing[:3])}), "
            f"{len(unexpected)} unknown ({', '.join(name for name, _ in unexpected[:3])})"
        )
    backbone.load_state_dict(own | state)
