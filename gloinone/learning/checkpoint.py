"""Training state on disk: whole or not at all, so that a killed training goes on where it was."""

import os
import pickle
from pathlib import Path
from typing import Any

import torch

from gloinone.errors import OutputError, WeightsError


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write aside, then rename: a kill leaves the old or the new state, never half of one."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(state, aside)
        os.replace(aside, path)
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be written ({error.strerror}); free space or choose another --out"
        ) from error
    finally:
        aside.unlink(missing_ok=True)


def load_checkpoint(path: Path) -> dict[str, Any] | None:
    """The state, or None where there is none; tensors and plain values only, nothing is executed."""
    if not path.exists():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise WeightsError(f"{path}: damaged training state ({error}); delete it to start anew") from error
    return state
