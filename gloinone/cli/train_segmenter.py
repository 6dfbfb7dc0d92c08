"""`gloinone train segmenter`: outlines from a lab's own slides, or from crops and masks."""

from typing import Any

import click

from gloinone.cli.training_options import steps_of, training_options


@click.command(
    "segmenter",
    epilog="Example: gloinone train segmenter --slides biopsies --truth biopsies --mpp-csv biopsies/slides.csv "
    "--val patient-07 --init resnet34.safetensors --out models/mine",
)
@training_options
@click.option(
    "--arch",
    type=click.Choice(["deeplabv3", "deeplabv3plus"]),
    default="deeplabv3plus",
    show_default=True,
    help="Network.",
)
@click.option("--encoder", default="resnet34", show_default=True, help="Of segmentation-models-pytorch.")
def command(**options: Any) -> None:
    """Train a segmenter on outlined glomeruli; goes on where an earlier call was stopped."""
    from gloinone.cli.training_set import set_config, training_set
    from gloinone.learning.device import use_available_threads
    from gloinone.segmentation.make import MakeConfig, make_segmenter
    from gloinone.segmentation.train import TrainConfig

    use_available_threads(options["threads"])
    out = options["out"]
    parts = training_set(set_config(options, background=0.0), options["cache"] or out / "cache", click.echo)
    steps = steps_of(options["steps"], options["epochs"], len(parts.train), options["batch_size"])
    train = TrainConfig(
        edge_px=options["edge"],
        steps=steps,
        batch=options["batch_size"],
        learning_rate=options["rate"],
        seed=options["seed"],
    )
    config = MakeConfig(
        out=out,
        train=train,
        init=options["init"],
        architecture=options["arch"],
        encoder=options["encoder"],
        device=options["device"],
        licence=options["licence"],
    )
    card = make_segmenter(parts.train, parts.validation, parts.test, config, click.echo)
    click.echo(f"{out}: {card.identity}")
