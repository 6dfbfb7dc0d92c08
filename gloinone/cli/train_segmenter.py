"""`gloinone train segmenter`: outlines from a lab's own slides, or from crops and masks."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from gloinone.cli.training_options import COUNT, EDGE, multiple_of_32, patch_options, with_options

if TYPE_CHECKING:
    from gloinone.learning.patch_training import PatchSet


@click.command(
    "segmenter",
    epilog="Example: gloinone train segmenter --slides biopsies --truth biopsies --mpp-csv biopsies/slides.csv "
    "--complete yes --val patient-07 --out models/mine",
)
@with_options(patch_options("segmenter"))
@click.option(
    "--batch-size",
    type=COUNT,
    default=16,
    show_default=True,
    help="Crops a step; two at least, but for unet.",
)
@click.option(
    "--edge",
    type=EDGE,
    callback=multiple_of_32,
    help="Edge of the network's input, px, a multiple of 32; default: as --init, else 192.",
)
@click.option(
    "--arch",
    type=click.Choice(["deeplabv3", "deeplabv3plus", "unet"]),
    help="Network; default: as --init, else deeplabv3plus.",
)
@click.option("--encoder", help="Of segmentation-models-pytorch; default: as --init, else resnet34.")
def command(**options: Any) -> None:
    """Train a segmenter on outlined glomeruli; goes on where an earlier call was stopped.

    The best by the validation's mean Dice is kept.
    """
    from gloinone.cli.training_folds import PatchTraining, cross_validated_patches
    from gloinone.cli.training_inputs import patches_from
    from gloinone.segmentation.answers import measures_of, outline_answers
    from gloinone.segmentation.make import outlined

    if options["folds"]:
        training = PatchTraining(outlined, _make, outline_answers, measures_of)
        cross_validated_patches(options, 0.0, training)
    else:
        _make(options, patches_from(options, background=0.0).each(outlined))


def _make(options: Mapping[str, Any], parts: "PatchSet") -> None:
    from gloinone.cli.training_inputs import make_options
    from gloinone.segmentation.make import MakeConfig, make_segmenter

    shared, edge_px = make_options(options, parts, "segmenter")
    config = MakeConfig(**shared, edge_px=edge_px, architecture=options["arch"], encoder=options["encoder"])
    card = make_segmenter(parts, config, click.echo)
    click.echo(f"{config.out}: {card.identity}")
