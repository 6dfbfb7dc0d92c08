"""``gloinone models import``: published weights become a model that ``run`` takes."""

import os
from pathlib import Path

import click

from gloinone.cli.errors import verbose_option
from gloinone.errors import UsageError


@click.command(
    "import", epilog="Example: gloinone models import detection_model.pth --as glo-detector --models models/"
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--as", "name", required=True, metavar="NAME", help="What the model is called from now on.")
@click.option(
    "--models",
    type=click.Path(path_type=Path),
    help="Folder of models that gets it; default: the first of $GLOINONE_MODELS.",
)
@click.option("--mpp", type=float, help="Of a detector: microns per pixel it was trained at; default: 4.")
@click.option(
    "--labels",
    metavar="A,B,...",
    help="Of a classifier: the class of each output, in order; default: the published five.",
)
@click.option("--licence", help="Of the weights; stands on the card.")
@verbose_option
def command(
    file: Path,
    name: str,
    models: Path | None,
    mpp: float | None,
    labels: str | None,
    licence: str | None,
    verbose: bool,
) -> None:
    """Make a model of weights that the Glo-In-One or CircleNet programs wrote.

    Which network it is, is recognised from the file; nothing in the file is executed. Known are CircleNets (dla_34,
    dlav0_34, resdcn_18, hourglass), BiT-M-R101x1 classifiers and DeepLabv3-ResNet101 segmenters.
    """
    from gloinone.pipeline.import_model import NO_LICENCE, import_model

    words = None if labels is None else tuple(word.strip() for word in labels.split(","))
    card = import_model(file, name, destination(models), licence or NO_LICENCE, mpp, words)
    click.echo(f"{destination(models) / name}: {card.task}, {card.architecture.name}, {card.identity}")
    click.echo(f"use it: gloinone run IN OUT --models {destination(models)} --{card.task} {name}")


def destination(models: Path | None) -> Path:
    """The folder that gets the model. Raises UsageError where none is named: what ships is never added to."""
    if models is not None:
        return models
    named = [part for part in os.environ.get("GLOINONE_MODELS", "").split(os.pathsep) if part]
    if not named:
        raise UsageError("no folder for the model; pass --models DIR, or set GLOINONE_MODELS")
    return Path(named[0])
