"""`gloinone train detector`: a detector from a lab's own slides and outlines."""

from pathlib import Path

import click

from gloinone.cli.names import read_names
from gloinone.errors import UsageError


@click.command(
    "detector",
    epilog="Example: gloinone train detector --slides biopsies --truth biopsies --mpp-csv biopsies/slides.csv "
    "--val patient-07 --out models/detector",
)
@click.option(
    "--slides",
    "slides",
    type=click.Path(path_type=Path, exists=True),
    multiple=True,
    required=True,
    help="Folder of slides; may repeat.",
)
@click.option(
    "--truth",
    "truths",
    type=click.Path(path_type=Path, exists=True),
    multiple=True,
    required=True,
    help="Folder of GeoJSON, ImageScope XML or mask files named as the slides; one per --slides.",
)
@click.option(
    "--mpp-csv",
    "mpp_csvs",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Table with the columns slide, mpp and patient; one per --slides, or - for none.",
)
@click.option("--mpp", type=float, help="Microns per pixel of slides that do not say it themselves.")
@click.option(
    "--val", multiple=True, help="Patient or slide, or a .txt with one a line: scored, never trained on."
)
@click.option("--leave-out", multiple=True, help="Likewise: neither trained on nor looked at.")
@click.option(
    "--unlabelled",
    type=click.Path(path_type=Path, dir_okay=False),
    help="CSV with slide, x, y, radius (level-0 px) of glomeruli without an outline: ignored.",
)
@click.option(
    "--init", default="none", help="Starting weights: a model's name or folder, a .safetensors file, or none."
)
@click.option("--backbone", default="resnet34", show_default=True, help="resnet18, resnet34 or resnet50.")
@click.option("--network-mpp", default=2.0, show_default=True, help="Microns per pixel the network works at.")
@click.option("--steps", default=2400, show_default=True, help="Optimiser steps.")
@click.option("--rate", "peak_rate", default=6e-4, show_default=True, help="Highest learning rate.")
@click.option("--validate-every", default=600, show_default=True, help="Steps between validations.")
@click.option("--batch-size", default=8, show_default=True, help="Tiles a step.")
@click.option("--edge", default=320, show_default=True, help="Edge of a training tile, px.")
@click.option("--seed", default=0, show_default=True, help="Of everything random.")
@click.option("--licence", default="not stated", help="Of the weights: the strictest of the data's.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option(
    "--cache", type=click.Path(path_type=Path), help="Where slides are kept ready; default OUT/cache."
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the new model.")
def command(
    slides: tuple[Path, ...],
    truths: tuple[Path, ...],
    mpp_csvs: tuple[Path, ...],
    mpp: float | None,
    val: tuple[str, ...],
    leave_out: tuple[str, ...],
    unlabelled: Path | None,
    **options: object,
) -> None:
    """Train a CircleNet detector on outlined slides; goes on where an earlier call was stopped."""
    from gloinone.annotations.unlabelled import read_unlabelled
    from gloinone.detection.collect import Source
    from gloinone.detection.make import MakeConfig, make_detector

    if len(truths) != len(slides) or len(mpp_csvs) not in (0, len(slides)):
        raise UsageError(
            "give one --truth (and, if any, one --mpp-csv) for every --slides, in the same order"
        )
    tables = mpp_csvs or (Path("-"),) * len(slides)
    ignored = read_unlabelled(unlabelled) if unlabelled else {}
    sources = [
        Source(s, t, None if str(m) == "-" else m, mpp, ignored)
        for s, t, m in zip(slides, truths, tables, strict=True)
    ]
    config = MakeConfig(validation=read_names(val), left_out=read_names(leave_out), **options)  # type: ignore[arg-type]
    make_detector(sources, config, click.echo)
