"""`gloinone evaluate detection`: a run's circles against outlines drawn by a person."""

from pathlib import Path

import click

from gloinone.cli.evaluate_options import (
    FOLDER,
    groups_option,
    only_option,
    out_option,
    publish,
    several,
    slides_option,
    unlabelled_option,
)
from gloinone.cli.names import read_names


@click.command(
    "detection",
    epilog="Example: gloinone evaluate detection out/ truth/ --groups slides.csv --slides slides/ --out scores/",
)
@click.argument("pred", type=FOLDER)
@click.argument("truth", type=FOLDER)
@several(only_option, groups_option, unlabelled_option, slides_option, out_option)
def command(
    pred: Path,
    truth: Path,
    only: tuple[str, ...],
    groups: Path | None,
    unlabelled: Path | None,
    slides: Path | None,
    report: Path | None,
) -> None:
    """Score the circles of PRED, the OUT of a finished run, against the outlines in TRUTH.

    AP by the WSI protocol (circle IoU .50:.05:.90) and COCO's (.50:.05:.95), by size, of the detector alone and with
    the classifier; FROC; recall, precision and counts at the threshold of the run. Cut glomeruli are ignored.
    """
    from gloinone.annotations.unlabelled import read_unlabelled
    from gloinone.evaluation.detection import evaluate_detection
    from gloinone.evaluation.groups import read_groups
    from gloinone.evaluation.mistakes import with_sheets
    from gloinone.evaluation.run_output import load_run

    listed = read_unlabelled(unlabelled) if unlabelled else None
    run = load_run(pred, truth, read_names(only), read_groups(groups), listed)
    publish(with_sheets(evaluate_detection(run, listed is not None), run, slides), report)
