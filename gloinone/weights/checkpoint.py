"""State dicts from files that torch wrote, zip or legacy, of which nothing is ever executed.

Such a file is a pickle: it may name any function of Python and call it. Here torch's own restricted reader takes
tensors and plain containers, and beside them numbers of numpy, which the published classifier's file carries.
"""

import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gloinone.errors import WeightsError

STATE = "state_dict"
"""Under which programs keep the weights beside the optimiser and the scores."""
WRAPPER = "module."
"""Before every name, where the network was trained on several GPUs."""


def _allowed() -> list[Any]:
    """numpy's scalar, also under its name in numpy 1, dtype, and the one kind of dtype that scores have."""
    scalar = np.float64(0).__reduce__()[0]
    return [
        (scalar, "numpy.core.multiarray.scalar"),
        (scalar, "numpy._core.multiarray.scalar"),
        np.dtype,
        type(np.dtype(np.float64)),
    ]


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """The weights in a file, by their names without a leading ``module.``, on the CPU.

    Raises WeightsError for a file that is damaged, holds no weights, or names anything but tensors and numbers.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: no such file; give a file of weights, e.g. detection_model.pth")
    _refuse_packed(path)
    try:
        with torch.serialization.safe_globals(_allowed()):
            data = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        named = re.search(r"GLOBAL (\S+)", str(error))
        what = f"it names {named[1]}" if named else "it is damaged, or no file of torch.save"
        raise WeightsError(
            f"{path}: refused, and nothing of it was executed: {what}; save the state_dict alone, with torch.save, "
            "where it was trained"
        ) from error
    except Exception as error:  # whatever a damaged file makes torch's readers stumble over
        raise WeightsError(
            f"{path}: not a whole file of torch.save ({type(error).__name__}); if it is one, copy it again"
        ) from error
    return _state(data, path)


def _refuse_packed(path: Path) -> None:
    """torch stores its zip entries as they are: packed or overlapping ones are made to fill the memory."""
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise WeightsError(f"{path}: not a whole file of torch.save ({error}); copy it again") from error
    packed = any(entry.compress_type != zipfile.ZIP_STORED for entry in entries)
    if packed or sum(entry.file_size for entry in entries) > path.stat().st_size:
        raise WeightsError(f"{path}: packed as torch.save never does it; refused")


def _state(data: object, path: Path) -> dict[str, Tensor]:
    """The names and tensors in what was read."""
    found = data.get(STATE, data) if isinstance(data, Mapping) else None
    if not isinstance(found, Mapping) or not found:
        raise WeightsError(f"{path}: holds no weights; a state_dict is needed")
    state: dict[str, Tensor] = {}
    for name, tensor in found.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor) or tensor.layout != torch.strided:
            raise WeightsError(
                f"{path}: {name!r} is not a plain tensor under a name; a state_dict alone is needed"
            )
        if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise WeightsError(
                f"{path}: {name!r} is larger than what the file holds of it; save the state_dict again, "
                "with torch.save, where it was trained"
            )
        state[name.removeprefix(WRAPPER)] = tensor.detach()
    if len(state) != len(found):
        raise WeightsError(f"{path}: the same weight stands in it with and without {WRAPPER!r}")
    return state
