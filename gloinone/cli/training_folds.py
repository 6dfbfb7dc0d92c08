"""`--folds` of the trainings: the same training again and again, each time without some of the patients."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gloinone.cli.evaluate_options import publish
from gloinone.cli.training_inputs import cache_of, set_config
from gloinone.cli.training_options import validation_names
from gloinone.errors import UsageError

if TYPE_CHECKING:
    from gloinone.learning.answers import Answers, Measure
    from gloinone.learning.holdout import Origins
    from gloinone.learning.patch_training import PatchSet
    from gloinone.learning.patches import Patches

WHERE_NOT_WHAT = ("out", "cache", "device", "threads")
"""Options that change no result."""


def cross_validated(
    options: Mapping[str, Any],
    data: tuple["Origins", str],
    learn: "Callable[[frozenset[str], Path], Answers]",
    measures: "Callable[[Answers], list[Measure]]",
) -> None:
    """Train every fold, then print and write the table; ``data``: where the items come from, and their identity."""
    from gloinone.evaluation.folds import CrossValidation, cross_validate
    from gloinone.learning.folds import folds_of

    if (validation_names(options) or {"none"}) != {"none"} or options.get("test"):
        raise UsageError("--folds says itself who is held out; leave --val (but for none) and --test away")
    origins, identity = data
    asked = {name: str(value) for name, value in options.items() if name not in WHERE_NOT_WHAT}
    settings = hashlib.sha256(json.dumps([identity, asked], sort_keys=True).encode()).hexdigest()
    work = CrossValidation(folds_of(origins, options["folds"]), learn, measures, settings)
    publish(cross_validate(work, options["out"], click.echo), options["out"])


@dataclass(frozen=True)
class PatchTraining:
    """A training that learns from patches."""

    kept: "Callable[[Patches], Patches]"
    """Those that it learns from."""
    make: "Callable[[Mapping[str, Any], PatchSet], object]"
    """The training itself, by the values of the options."""
    answers: "Callable[[Path, Patches, str], Answers]"
    """Of the model in a folder."""
    measures: "Callable[[Answers], list[Measure]]"


def cross_validated_patches(options: Mapping[str, Any], background: float, training: PatchTraining) -> None:
    """`cross_validated` of a training that learns from patches."""
    import numpy as np

    from gloinone.learning.holdout import out_of
    from gloinone.learning.patch_training import PatchSet, patches_identity
    from gloinone.learning.patches import part_patches, patch_origins, split_patches
    from gloinone.training.patch_set import all_patches

    cache = cache_of(options)
    read = all_patches(set_config(options, background), cache, click.echo)
    patches = training.kept(read.patches)
    origins, nothing = patch_origins(patches), patches.take(np.arange(0))

    def learn(patients: frozenset[str], folder: Path) -> "Answers":
        rest, test = part_patches(patches, out_of(origins, patients, "--folds"))
        parts = PatchSet(*split_patches(rest, validation_names(options)), test, read.left_out)
        training.make({**options, "out": folder}, parts)
        return training.answers(folder, test, options["device"])

    identity = patches_identity(PatchSet(patches, nothing, nothing), "folds")
    cross_validated(options, (origins, identity), learn, training.measures)
