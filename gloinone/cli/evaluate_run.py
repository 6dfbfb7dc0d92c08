"""`gloinone evaluate run`: the whole job against what a person drew."""

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
    "run",
    epilog="Example: gloinone evaluate run out/ truth/ --groups slides.csv --slides slides/ --out scores/",
)
@click.argument("out", type=FOLDER)
@click.argument("truth", type=FOLDER)
@several(only_option, groups_option, unlabelled_option, slides_option, out_option)
def command(
    out: Path,
    truth: Path,
    only: tuple[str, ...],
    groups: Path | None,
    unlabelled: Path | None,
    slides: Path | None,
    report: Path | None,
) -> None:
    """Score OUT, a finished run, against the outlines in TRUTH: the whole job.

    Error of the count and of the percentage sclerosed, by slide; and all that evaluate detection, classification and
    segmentation say, as far as the truth knows it.
    """
    from gloinone.annotations.unlabelled import read_unlabelled
    from gloinone.evaluation.groups import read_groups
    from gloinone.evaluation.mistakes import with_sheets
    from gloinone.evaluation.run_output import load_run
    from gloinone.evaluation.whole_job import evaluate_run

    listed = read_unlabelled(unlabelled) if unlabelled else None
    run = load_run(out, truth, read_names(only), read_groups(groups), listed)
    publish(with_sheets(evaluate_run(run, listed is not None), run, slides), report)
