"""`gloinone evaluate detection`: a run's circles against outlines drawn by a person."""

from pathlib import Path

import click

from gloinone.cli.names import read_names


@click.command(
    "detection",
    epilog="Example: gloinone evaluate detection out/ truth/ --only left-out.txt --report scores.md",
)
@click.argument("out", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("truth", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--only", multiple=True, help="Slide to score, or a file with one a line; may repeat.")
@click.option("--report", type=click.Path(path_type=Path), help="Also write the tables there, as Markdown.")
def command(out: Path, truth: Path, only: tuple[str, ...], report: Path | None) -> None:
    """Score the circles of OUT, a finished run, against the outlines in TRUTH.

    AP by the WSI protocol (circle IoU .50:.05:.90) of the detector alone and with the classifier, and recall and
    precision at the threshold of the run, with bootstrap intervals over slides. Cut glomeruli are ignored.
    """
    from gloinone.evaluation.detection import load_slides, scores, scores_markdown
    from gloinone.pipeline.atomic import write_atomic

    slides, without = load_slides(out, truth, read_names(only))
    text = scores_markdown(slides, scores(slides))
    click.echo(text, nl=False)
    for name in without:
        click.echo(f"no truth for {name}: not scored", err=True)
    if report is not None:
        write_atomic(report, text.encode())
