"""Training state on disk: whole or not at all, so that a killed training goes on where it was."""

import pickle
from pathlib import Path
from typing import Any

import torch

from gloinone.errors import WeightsError
from gloinone.learning.whole import written_whole


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """A kill leaves the old or the new state, never half of one."""
    with written_whole(path) as aside:
        torch.save(state, aside)


def load_checkpoint(path: Path) -> dict[str, Any] | None:
    """The state, or None where there is none; tensors and plain values only, nothing is executed."""
    if not path.exists():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise WeightsError(f"{path}: damaged training state ({error}); delete it to start anew") from error
    return state
