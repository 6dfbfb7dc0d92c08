"""Options that the trainings share, and what their values mean."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from gloinone.cli.names import read_names
from gloinone.errors import UsageError

_AnyCallable = TypeVar("_AnyCallable", bound=Callable[..., Any])
Option = Callable[[Any], Any]
_HERE = click.Path(path_type=Path, exists=True)
_FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)
_PATH = click.Path(path_type=Path)
COUNT = click.IntRange(min=1)


class FiniteRange(click.FloatRange):
    """A range without nan and infinity, which compare as if they lay in it."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """As click's, and refuses what is not finite."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


POSITIVE = FiniteRange(min=0, min_open=True)
NOT_NEGATIVE = FiniteRange(min=0)
EDGE_STEP = 32
"""Px by which the input of a detector or segmenter may grow: their maps are halved five times and joined again."""
EDGE = click.IntRange(min=EDGE_STEP)

TRUTH_OPTIONS: list[Option] = [
    click.option("--slides", type=_HERE, multiple=True, help="Folder of slides; may repeat."),
    click.option(
        "--truth",
        type=_HERE,
        multiple=True,
        help="Folder of GeoJSON, ImageScope XML or mask files named as the slides, or of COCO; one per --slides.",
    ),
    click.option(
        "--mpp-csv",
        type=_PATH,
        multiple=True,
        help="Table with the columns slide, mpp and patient; one per --slides, or - for none.",
    ),
    click.option("--mpp", type=float, help="Microns per pixel of slides that do not say it themselves."),
    click.option(
        "--classes",
        type=_PATH,
        help="CSV with the columns name,class: names or layers of the truth, and ours: normal, obsolescent, "
        "solidified, disappearing, non-glomerular, sclerosed, glomerulus, ignore or region.",
    ),
]
"""What `train check` takes too."""

_KNOWLEDGE: list[Option] = [
    click.option(
        "--complete",
        type=click.Choice(["yes", "no"]),
        multiple=True,
        help="Whether every glomerulus is outlined on slides without a region that says so; once, or one per --slides.",
    ),
    click.option(
        "--unlabelled",
        type=click.Path(path_type=Path, dir_okay=False),
        help="CSV with slide, x, y, radius (level-0 px) of glomeruli without an outline: ignored.",
    ),
    click.option(
        "--val",
        multiple=True,
        help="Slide or patient, or a .txt with one a line: scored, never trained on, all slides of the patient. "
        "Default: a fifth of the patients; none: nobody.",
    ),
    click.option(
        "--leave-out",
        multiple=True,
        help="Likewise a slide or patient, all slides and crops of the patient: not even read.",
    ),
]
_RUN: list[Option] = [
    click.option(
        "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of everything random."
    ),
    click.option("--threads", type=COUNT, help="Cores to use; default: those this process may use."),
    click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N."),
    click.option(
        "--licence",
        default="not stated",
        show_default=True,
        help="Of the weights: the strictest of the data's.",
    ),
    click.option("--cache", type=_PATH, help="Where what was read is kept; default OUT/cache."),
    click.option("--out", type=_PATH, required=True, help="Folder of the new model."),
]
crops_option: Option = click.option(
    "--crops", type=_FOLDER, multiple=True, help="Folder of tightly cut crops; may repeat."
)
background_option: Option = click.option(
    "--background",
    type=NOT_NEGATIVE,
    default=1.5,
    show_default=True,
    help="Places without a glomerulus for each glomerulus.",
)
stains_option: Option = click.option(
    "--stains",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of pictures of tissue: of what is shown in the stains of other slides (a quarter) some is shown in "
    "theirs.",
)
_PATCHES: list[Option] = [
    crops_option,
    click.option(
        "--labels",
        type=_PATH,
        multiple=True,
        help="CSV of name, label and, if known, slide, patient and centre; one per --crops, or -. Each crop stands "
        "there once, with a class as in --classes.",
    ),
    click.option("--masks", type=_PATH, multiple=True, help="Folder of PNG masks; one per --crops, or -."),
    click.option("--test", multiple=True, help="As --val, and not used for calibration or choice either."),
    click.option("--steps", type=COUNT, help="Optimiser steps; default: --epochs."),
    click.option("--epochs", type=POSITIVE, default=8.0, show_default=True, help="Passes over the crops."),
    click.option("--rate", type=POSITIVE, default=3e-4, show_default=True, help="Highest learning rate."),
    click.option(
        "--validate-every", type=COUNT, help="Steps between validations; default: a quarter of all."
    ),
    stains_option,
]


folds_option: Option = click.option(
    "--folds",
    metavar="N|source",
    help="Cross-validate instead: as many folds, each patient left out once, or each source (folder of slides, centre "
    "of crops) left out once. Every fold is trained in its own folder of OUT; a table of their scores is written.",
)


def multiple_of_32(context: click.Context, parameter: click.Parameter, value: int | None) -> int | None:
    """Callback of an option: the value, or UsageError with the next one that will do."""
    if value is not None and value % EDGE_STEP:
        following = (value // EDGE_STEP + 1) * EDGE_STEP
        raise UsageError(f"{parameter.opts[0]} {value}: give a multiple of {EDGE_STEP}, such as {following}")
    return value


def init_option(model: str) -> Option:
    """Where a training starts: the shipped weights unless told otherwise."""
    return click.option(
        "--init",
        default=model,
        show_default=True,
        help="Starting weights: a model's name or folder, the folder of a backbone (as `train ssl` leaves it) or of a "
        "model of another task (its backbone is taken), a .safetensors file, or none.",
    )


def with_options(options: Sequence[Option]) -> Callable[[_AnyCallable], _AnyCallable]:
    """Adds them all, in the order of the list."""

    def add(function: _AnyCallable) -> _AnyCallable:
        for option in reversed(options):
            function = option(function)
        return function

    return add


def slide_options(model: str) -> list[Option]:
    """Of every training: slides and what is known of them, the start, and the run."""
    return [*TRUTH_OPTIONS, *_KNOWLEDGE, init_option(model), *_RUN]


def patch_options(model: str) -> list[Option]:
    """Of the trainings of the second stage, which learn from crops too."""
    return [*TRUTH_OPTIONS, *_KNOWLEDGE, *_PATCHES, folds_option, init_option(model), *_RUN]


def one_for_each(folders: Sequence[Path], given: Sequence[Path], name: str, to: str) -> list[Path | None]:
    """The option's values beside the folders'; none at all, or - in a place, is none."""
    if given and len(given) != len(folders):
        raise UsageError(f"give one {name} for every {to}, in the same order, or - for none")
    padded = given or [Path("-")] * len(folders)
    return [None if str(path) == "-" else path for path in padded]


def complete_for_each(folders: Sequence[Path], given: Sequence[str]) -> list[bool | None]:
    """--complete of each folder: the one answer for all, or one each; None where nothing was said."""
    if len(given) not in (0, 1, len(folders)):
        raise UsageError("give one --complete for all, or one for every --slides, in the same order")
    answers = [answer == "yes" for answer in given]
    if len(answers) == len(folders):
        return list(answers)
    return [answers[0] if answers else None] * len(folders)


def validation_names(options: Mapping[str, Any]) -> frozenset[str] | None:
    """What --val names; None where it is not given: a fifth."""
    return read_names(options["val"]) if options["val"] else None


def steps_of(steps: int | None, epochs: float, crops: int, batch: int) -> int:
    """--steps, or as many as --epochs take.

    >>> steps_of(None, 2.0, 100, 16)
    13
    """
    if steps is not None:
        return steps
    return max(1, -(-int(epochs * crops) // batch))
