"""gloinone export: tables, XML, GeoJSON and report of an OUT with another threshold or in further formats."""

from pathlib import Path
from typing import Any, get_args

import click

from gloinone.annotations.region import OutputShape
from gloinone.cli.errors import verbose_option

FORMATS = ("imagescope", "geojson", "dsa", "coco", "dicom-ann")


@click.command(epilog="Example: gloinone export out/ --min-score 0.5 --format dsa --format coco")
@click.argument("out", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--min-score", type=float, metavar="X", help="Circles below are left out; 0 to 1.")
@click.option(
    "--shape",
    type=click.Choice(get_args(OutputShape)),
    help="What stands in XML, GeoJSON and further formats: the outline, or the circle in one of two ways.",
)
@click.option(
    "--keep-nonglomerular/--drop-nonglomerular",
    default=None,
    help="Keep or leave out what the classifier calls no glomerulus.",
)
@click.option(
    "--format",
    "formats",
    type=click.Choice(FORMATS),
    multiple=True,
    help="Also write this beside XML and GeoJSON, which are always written: HistomicsUI, COCO (circles: the dialect "
    "of CircleNet), DICOM bulk annotations; may repeat.",
)
@click.option(
    "--slides",
    type=click.Path(path_type=Path, exists=True),
    help="IN of the run, for dicom-ann alone: headers of DICOM slides say whose they are.",
)
@verbose_option
def command(out: Path, verbose: bool, **options: Any) -> None:
    """Write the results in OUT once more, otherwise, without a run.

    OUT is rewritten in place, from what lies in it; no slide is opened. What is not named stays as it is. The files are
    those of a run with the same options, for any threshold at or over that of the run; below it, and for what the
    classifier calls no glomerulus, a circle that was never outlined is its own outline and has no picture. Nothing is
    given up: a later export may go back. Files that somebody edited stay; the new one is then a.new.xml.
    After a run with --no-crops the contact sheet loses its pictures once other glomeruli are kept.

    A later run with the same options finds these slides done; with others, or where circles stand in for outlines, it
    does them again. Exit status 1 if a slide could not be written.
    """
    from gloinone.cli.log import set_up_log
    from gloinone.cli.progress import show_progress
    from gloinone.pipeline.export import ExportConfig, export
    from gloinone.pipeline.interrupts import Interrupted, Interrupts

    config = ExportConfig(out, **options)
    try:
        with set_up_log(verbose, None), Interrupts() as interrupts, show_progress() as progress:
            exported = export(config, progress, interrupts)
    except Interrupted as interrupted:
        click.echo(f"interrupted by {interrupted}; run the same command again to go on", err=True)
        raise SystemExit(128 + interrupted.number) from None
    for problem in exported.problems:
        click.echo(f"error: left as it was: {problem}", err=True)
    if exported.stand_ins:
        click.echo(f"{exported.stand_ins} glomeruli were never outlined: their circles stand in", err=True)
    click.echo(f"{len(exported.slides)} slides written again: {click.format_filename(out / 'report.html')}")
    if exported.problems:
        raise SystemExit(1)
