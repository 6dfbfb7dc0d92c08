"""`gloinone train classifier`: names for a lab's own glomeruli, from slides with truth or from crops with labels."""

from pathlib import Path
from typing import Any

import click

from gloinone.cli.training_options import steps_of, training_options


@click.command(
    "classifier",
    epilog="Example: gloinone train classifier --slides biopsies --truth biopsies "
    "--mpp-csv biopsies/slides.csv --val patient-07 --init resnet34.safetensors --out models/mine",
)
@training_options
@click.option(
    "--false-circles",
    type=click.Path(path_type=Path),
    multiple=True,
    help="OUT of a run on these slides: its false circles are shown as non-glomerular; one per --slides, or -.",
)
@click.option(
    "--incomplete",
    multiple=True,
    help="Name of a --slides folder where some glomeruli are not outlined: its best false circles are left out.",
)
@click.option(
    "--background", default=1.5, show_default=True, help="Places without a glomerulus for each glomerulus."
)
@click.option("--backbone", default="resnet34", show_default=True, help="resnet18, resnet34 or resnet50.")
def command(**options: Any) -> None:
    """Train a classifier on named glomeruli; goes on where an earlier call was stopped.

    Names of the truth: normal, obsolescent, solidified, disappearing, non-glomerular; sclerosed (kind unknown)
    and glomerulus (state unknown) train what they know.
    """
    from gloinone.classification.make import MakeConfig, make_classifier
    from gloinone.classification.train import TrainConfig
    from gloinone.cli.training_set import set_config, training_set
    from gloinone.learning.device import use_available_threads

    use_available_threads(options["threads"])
    out = options["out"]
    chosen = set_config(options, background=options["background"])
    parts = training_set(chosen, options["cache"] or out / "cache", click.echo)
    train = TrainConfig(
        edge_px=options["edge"],
        steps=steps_of(options["steps"], options["epochs"], len(parts.train), options["batch_size"]),
        batch=options["batch_size"],
        learning_rate=options["rate"],
        seed=options["seed"],
    )
    config = MakeConfig(
        out=out,
        train=train,
        init=options["init"],
        backbone=options["backbone"],
        device=options["device"],
        licence=options["licence"],
    )
    card = make_classifier(parts.train, parts.validation, parts.test, config, click.echo)
    click.echo(f"{out}: {card.identity}")
