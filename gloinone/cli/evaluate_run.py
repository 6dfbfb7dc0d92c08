"""`gloinone evaluate run`: the whole job against what a person drew."""

from pathlib import Path
from typing import Any

import click

from gloinone.cli.evaluate_options import FOLDER, publish_run, run_options


@click.command(
    "run",
    epilog="Example: gloinone evaluate run out/ truth/ --groups slides.csv --slides slides/ --out scores/",
)
@click.argument("out", type=FOLDER)
@click.argument("truth", type=FOLDER)
@run_options
def command(out: Path, truth: Path, **options: Any) -> None:
    """Score OUT, a finished run, against the outlines in TRUTH: the whole job.

    Error of the count and of the percentage sclerosed, by slide; all that evaluate detection, classification and
    segmentation say, as far as the truth knows it; and whether flagged glomeruli are wrong more often.
    """
    from gloinone.evaluation.whole_job import evaluate_run

    publish_run(evaluate_run, out, truth, options)
