"""`gloinone train classifier`: names for a lab's own glomeruli, from slides with truth or from crops with labels."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gloinone.cli.training_options import EDGE, NOT_NEGATIVE, background_option, patch_options, with_options

if TYPE_CHECKING:
    from gloinone.learning.patch_training import PatchSet


@click.command(
    "classifier",
    epilog="Example: gloinone train classifier --slides biopsies --truth biopsies "
    "--mpp-csv biopsies/slides.csv --complete yes --val patient-07 --out models/mine",
)
@with_options(patch_options("classifier"))
@click.option(
    "--false-circles",
    type=click.Path(path_type=Path),
    multiple=True,
    help="OUT of a run on these slides: its false circles are shown as non-glomerular; one per --slides, or -.",
)
@background_option
@click.option(
    "--batch-size",
    type=click.IntRange(min=2),
    default=16,
    show_default=True,
    help="Crops a step; they are normalised together, so that one alone is too few.",
)
@click.option("--edge", type=EDGE, help="Edge of the network's input, px; default: as --init, else 192.")
@click.option("--backbone", help="resnet18, resnet34 or resnet50; default: as --init, else resnet34.")
@click.option("--linear", is_flag=True, help="Train the last layer alone: how good the features are.")
@click.option("--binary", is_flag=True, help="Normal against sclerosed alone; whatever else is left out.")
@click.option(
    "--focal",
    type=NOT_NEGATIVE,
    default=0.0,
    show_default=True,
    help="Gamma of the focal loss for rare classes, such as 2.5; 0: none.",
)
def command(**options: Any) -> None:
    """Train a classifier on named glomeruli; goes on where an earlier call was stopped.

    Names of the truth: normal, obsolescent, solidified, disappearing, non-glomerular; sclerosed (kind unknown)
    and glomerulus (state unknown) train what they know. The best by the validation's likelihood is kept.
    """
    from gloinone.classification.answers import class_answers, measures_of
    from gloinone.classification.make import two_classes
    from gloinone.cli.training_folds import PatchTraining, cross_validated_patches
    from gloinone.cli.training_inputs import patches_from

    kept = two_classes if options["binary"] else lambda patches: patches
    if options["folds"]:
        training = PatchTraining(kept, _make, class_answers, measures_of)
        cross_validated_patches(options, options["background"], training)
    else:
        _make(options, patches_from(options, options["background"]).each(kept))


def _make(options: Mapping[str, Any], parts: "PatchSet") -> None:
    from gloinone.classification.make import MakeConfig, make_classifier
    from gloinone.classification.train import LearnConfig
    from gloinone.cli.training_inputs import make_options

    shared, edge_px = make_options(options, parts, "classifier")
    config = MakeConfig(
        **shared,
        learn=LearnConfig(edge_px, focal=options["focal"]),
        backbone=options["backbone"],
        linear=options["linear"],
        binary=options["binary"],
    )
    card = make_classifier(parts, config, click.echo)
    click.echo(f"{config.out}: {card.identity}")
