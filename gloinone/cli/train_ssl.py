"""`gloinone train ssl`: a backbone from crops without labels, for the other trainings to start from."""

from pathlib import Path
from typing import Any

import click

from gloinone.cli.training_options import (
    COUNT,
    EDGE,
    POSITIVE,
    background_option,
    crops_option,
    slide_options,
    steps_of,
    with_options,
)


@click.command(
    "ssl",
    epilog="Example: gloinone train ssl --crops crops/ --out models/my-backbone",
)
@with_options([crops_option, *slide_options("none"), background_option])
@click.option(
    "--labels",
    type=click.Path(path_type=Path),
    multiple=True,
    help="CSV of name, label (not looked at) and slide, patient or centre; one per --crops, or -.",
)
@click.option("--backbone", help="resnet18, resnet34 or resnet50; default: as --init, else resnet34.")
@click.option("--steps", type=COUNT, help="Optimiser steps; default: --epochs.")
@click.option("--epochs", type=POSITIVE, default=100.0, show_default=True, help="Passes over the crops.")
@click.option(
    "--batch-size",
    type=click.IntRange(min=2),
    default=64,
    show_default=True,
    help="Crops a step; each is shown in two views.",
)
@click.option("--edge", type=EDGE, default=224, show_default=True, help="Edge of the network's input, px.")
@click.option("--rate", type=POSITIVE, help="Highest learning rate; default: 0.05 for a batch of 256.")
@click.option("--validate-every", type=COUNT, help="Steps between validations; default: a quarter of all.")
def command(**options: Any) -> None:
    """Train a backbone by SimSiam on crops without labels; goes on where an earlier call was stopped.

    Crops come from folders, or from slides with truth, whose class names do not matter. The best by the share of
    held-out crops that are known again in another view is kept. It stops when all crops become alike (collapse).
    Start from it with --init OUT.
    """
    from gloinone.classification.pretrain import PretrainConfig, make_backbone, pretraining_recipe
    from gloinone.cli.training_inputs import patches_from
    from gloinone.learning.device import use_available_threads

    use_available_threads(options["threads"])
    parts, batch = patches_from(options, options["background"], any_label=True), options["batch_size"]
    config = PretrainConfig(
        **{name: options[name] for name in ("out", "init", "device", "licence", "backbone")},
        recipe=pretraining_recipe(
            steps_of(options["steps"], options["epochs"], len(parts.train), batch),
            batch,
            options["rate"],
            options["seed"],
            options["validate_every"],
        ),
        edge_px=options["edge"],
    )
    make_backbone(parts, config, click.echo)
