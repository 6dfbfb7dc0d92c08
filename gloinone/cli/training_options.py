"""Options that the trainings of classifier and segmenter share."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from gloinone.errors import UsageError

_AnyCallable = TypeVar("_AnyCallable", bound=Callable[..., Any])
_HERE = click.Path(path_type=Path, exists=True)
_PATH = click.Path(path_type=Path)

_OPTIONS = [
    click.option("--slides", type=_HERE, multiple=True, help="Folder of slides; may repeat."),
    click.option(
        "--truth",
        type=_HERE,
        multiple=True,
        help="Folder of GeoJSON, ImageScope XML or mask files named as the slides; one per --slides.",
    ),
    click.option(
        "--mpp-csv",
        type=_PATH,
        multiple=True,
        help="Table with the columns slide, mpp and patient; one per --slides, or - for none.",
    ),
    click.option("--crops", type=_HERE, multiple=True, help="Folder of tightly cut crops; may repeat."),
    click.option("--labels", type=_PATH, multiple=True, help="CSV of name, label; one per --crops, or -."),
    click.option("--masks", type=_PATH, multiple=True, help="Folder of PNG masks; one per --crops, or -."),
    click.option("--val", multiple=True, help="Patient, or a file of them: scored, never trained on."),
    click.option("--test", multiple=True, help="Likewise, and not used for calibration either."),
    click.option("--leave-out", multiple=True, help="Slide or patient that is not even read."),
    click.option(
        "--init",
        default="none",
        help="Starting weights: a model's name or folder, a .safetensors file, or none.",
    ),
    click.option("--steps", type=int, help="Optimiser steps; default: --epochs."),
    click.option("--epochs", type=float, default=8.0, show_default=True, help="Passes over the crops."),
    click.option("--batch-size", default=16, show_default=True, help="Crops a step."),
    click.option("--edge", default=192, show_default=True, help="Edge of the network's input, px."),
    click.option("--rate", default=3e-4, show_default=True, help="Highest learning rate."),
    click.option("--seed", default=0, show_default=True, help="Of everything random."),
    click.option("--threads", type=int, help="Cores to use; default: those this process may use."),
    click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N."),
    click.option("--licence", default="not stated", help="Of the weights: the strictest of the data's."),
    click.option("--cache", type=_PATH, help="Where patches are kept; default OUT/cache."),
    click.option("--out", type=_PATH, required=True, help="Folder of the new model."),
]


def training_options(function: _AnyCallable) -> _AnyCallable:
    """Adds them all, in the order of the list."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def one_for_each(folders: Sequence[Path], given: Sequence[Path], name: str, to: str) -> list[Path | None]:
    """The option's values beside the folders'; none at all, or - in a place, is none."""
    if given and len(given) != len(folders):
        raise UsageError(f"give one {name} for every {to}, in the same order, or - for none")
    padded = given or [Path("-")] * len(folders)
    return [None if str(path) == "-" else path for path in padded]


def steps_of(steps: int | None, epochs: float, crops: int, batch: int) -> int:
    """--steps, or as many as --epochs take.

    >>> steps_of(None, 2.0, 100, 16)
    13
    """
    if steps is not None:
        return steps
    return max(1, -(-int(epochs * crops) // batch))
