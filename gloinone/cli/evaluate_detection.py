"""`gloinone evaluate detection`: a run's circles against outlines drawn by a person."""

from pathlib import Path
from typing import Any

import click

from gloinone.cli.evaluate_options import FOLDER, publish_run, run_options


@click.command(
    "detection",
    epilog="Example: gloinone evaluate detection out/ truth/ --groups slides.csv --slides slides/ --out scores/",
)
@click.argument("pred", type=FOLDER)
@click.argument("truth", type=FOLDER)
@run_options
def command(pred: Path, truth: Path, **options: Any) -> None:
    """Score the circles of PRED, the OUT of a finished run, against the outlines in TRUTH.

    AP by the WSI protocol (circle IoU .50:.05:.90) and COCO's (.50:.05:.95), by size, of the detector alone and with
    the classifier; FROC; recall, precision and counts at the threshold of the run. Cut glomeruli are ignored.
    """
    from gloinone.evaluation.detection import evaluate_detection

    publish_run(evaluate_detection, pred, truth, options)
