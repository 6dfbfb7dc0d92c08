"""Models on disk: where they are looked for, how they are saved, and that they load whole or not at all.

A model is a folder with ``card.json`` and ``weights.safetensors``. Order of the search: the folders of
``--models``, those of $GLOINONE_MODELS (separated as in PATH), then what ships: ``models`` beside the
package, $GLOINONE_HOME/models, and ``share/gloinone/models`` of the Python installation.
"""

import hashlib
import os
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from gloinone.errors import OutputError, WeightsError
from gloinone.weights.card import ModelCard, Task, card_to_json, read_card

if TYPE_CHECKING:
    from torch import Tensor

CARD = "card.json"
WEIGHTS = "weights.safetensors"


@dataclass(frozen=True)
class ModelPaths:
    """Where one model lies."""

    folder: Path

    @property
    def card(self) -> Path:
        """Its card.json."""
        return self.folder / CARD

    @property
    def weights(self) -> Path:
        """Its weights.safetensors."""
        return self.folder / WEIGHTS


def model_dirs(asked: Iterable[Path] = (), environment: Mapping[str, str] | None = None) -> tuple[Path, ...]:
    """Folders of models in the order of the search; ``asked`` are those of --models and must exist."""
    env = os.environ if environment is None else environment
    dirs = list(asked)
    for folder in dirs:
        if not folder.is_dir():
            raise WeightsError(f"{folder}: no such folder of models; pass one that exists with --models")
    dirs += [Path(part) for part in env.get("GLOINONE_MODELS", "").split(os.pathsep) if part]
    dirs.append(Path(__file__).resolve().parents[2] / "models")
    if env.get("GLOINONE_HOME"):
        dirs.append(Path(env["GLOINONE_HOME"]) / "models")
    dirs.append(Path(sys.prefix) / "share" / "gloinone" / "models")
    return tuple(dict.fromkeys(dirs))


def list_models(dirs: Sequence[Path]) -> list[ModelPaths]:
    """Every model in the folders, in the order of the search, then by name."""
    found = [
        ModelPaths(path.parent)
        for folder in dirs
        if folder.is_dir()
        for path in sorted(folder.glob(f"*/{CARD}"))
    ]
    return list(dict.fromkeys(found))


def find_named(name_or_dir: str, dirs: Sequence[Path]) -> ModelPaths:
    """The first model of that name, whatever its task, or the folder itself; raises WeightsError."""
    given = ModelPaths(Path(name_or_dir))
    found = [given] if given.card.is_file() else list_models(dirs)
    for paths in found:
        if paths == given or paths.folder.name == name_or_dir:
            return paths
    have = ", ".join(dict.fromkeys(paths.folder.name for paths in found)) or "none"
    raise WeightsError(f"no model named {name_or_dir!r}; there are: {have}; pass --models DIR or its folder")


def find_model(
    name_or_dir: str, task: Task, dirs: Sequence[Path], mend: str = "pass --models DIR or its folder"
) -> ModelPaths:
    """The first model of that name for that task, or the folder itself if one is named.

    Raises WeightsError when there is none, with the names that there are and what to do.
    """
    given = Path(name_or_dir)
    if (given / CARD).is_file():
        found = ModelPaths(given)
        if (actual := read_card(found.card).task) != task:
            use = (
                "start a training from it with --init" if actual == "backbone" else f"pass it with --{actual}"
            )
            raise WeightsError(f"{given}: holds a {actual}, not a {task}; {use}")
        return found
    models = list_models(dirs)
    for paths in models:
        if paths.folder.name == name_or_dir and read_card(paths.card).task == task:
            return paths
    others = [paths.folder.name for paths in models if _task_of(paths) == task]
    have = f"there are: {', '.join(dict.fromkeys(others))}" if others else f"there is no {task} at all"
    searched = ", ".join(str(folder) for folder in dirs) or "nowhere"
    raise WeightsError(f"no {task} named {name_or_dir!r} ({have}; searched {searched}); {mend}")


def _task_of(paths: ModelPaths) -> Task | None:
    """None for a broken card: nobody asked for that model."""
    try:
        return read_card(paths.card).task
    except WeightsError:
        return None


def file_sha256(path: Path) -> str:
    """Hex digest of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def check_hash(paths: ModelPaths, card: ModelCard) -> None:
    """Raises WeightsError unless the weights are the very ones the card describes."""
    if not paths.weights.is_file():
        raise WeightsError(f"{paths.weights}: missing beside its card; copy the model's folder again")
    if (actual := file_sha256(paths.weights)) != card.sha256:
        raise WeightsError(
            f"{paths.weights}: damaged or not the card's (sha256 {actual[:12]}, card {card.sha256[:12]}); "
            "copy the model's folder again"
        )


def load_state(paths: ModelPaths, card: ModelCard) -> "dict[str, Tensor]":
    """Weights as float32 on the CPU, by hash; for ``network.load_state_dict(state, strict=True)``."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    check_hash(paths, card)
    try:
        state = load_file(paths.weights)
    except (SafetensorError, OSError) as error:
        raise WeightsError(
            f"{paths.weights}: cannot be read, {error}; copy the model's folder again"
        ) from error
    return {name: t.float() if t.is_floating_point() else t for name, t in state.items()}


def save_model(
    folder: Path, network_state: "Mapping[str, Tensor]", card: ModelCard, exact: bool = False
) -> ModelCard:
    """Writes weights, then card, each at once and whole; returns the card with their hash.

    Matrices are stored as float16, unless ``exact``; vectors (norms, biases, running statistics) stay float32,
    since they cost nothing and may lie outside float16's range. A network that is not finite is refused.
    """
    from safetensors.torch import save

    stored = {}
    for name, tensor in network_state.items():
        t = tensor.detach().cpu().contiguous()
        if t.is_floating_point():
            t = t.half() if t.dim() > 1 and not exact else t.float()
            if not t.isfinite().all():
                raise WeightsError(
                    f"{card.name}: {name} is not finite; such weights cannot be used, nothing was saved"
                )
        stored[name] = t.clone()
    data = save(stored)
    done = replace(card, sha256=hashlib.sha256(data).hexdigest())
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / WEIGHTS, data)
        write_whole(folder / CARD, card_to_json(done).encode())
    except OSError as error:
        raise OutputError(f"{folder}: the model cannot be written, {error}") from error
    return done


def write_whole(path: Path, data: bytes) -> None:
    """Beside, then renamed, so that a reader never meets half a file."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
