"""`gloinone evaluate classification`: names of crops against those a person gave."""

from pathlib import Path

import click

from gloinone.cli.evaluate_options import PLACE, groups_option, only_option, out_option, publish, several
from gloinone.cli.names import read_names
from gloinone.errors import UsageError


@click.command(
    "classification",
    epilog="Example: gloinone evaluate classification out/ truth/ --groups slides.csv --out scores/",
)
@click.argument("pred", type=PLACE)
@click.argument("labels", type=PLACE)
@several(only_option, groups_option, out_option)
def command(
    pred: Path, labels: Path, only: tuple[str, ...], groups: Path | None, report: Path | None
) -> None:
    """Score the classes in PRED against LABELS.

    PRED is the OUT of a finished run and LABELS a folder of truth: every circle that is a glomerulus of the truth,
    or clearly none, is scored. Or both are CSV files: name, p_normal, p_obsolescent, p_solidified, p_disappearing,
    p_nonglomerular (or p_sclerosed alone) and perhaps class; name, label and perhaps patient and source. Balanced
    accuracy, macro F1, confusion, AUC and calibration at each level that the labels know, per class and per group.
    """
    from gloinone.evaluation.classification import evaluate_classification
    from gloinone.evaluation.groups import read_groups
    from gloinone.evaluation.named import named_of_run, named_of_tables
    from gloinone.evaluation.run_output import load_run

    if pred.is_dir() != labels.is_dir():
        raise UsageError("give the OUT of a run and a folder of truth, or two CSV files")
    if pred.is_dir():
        named = named_of_run(load_run(pred, labels, read_names(only), read_groups(groups)))
    elif only:
        raise UsageError("--only chooses slides of a run; leave rows out of the CSV instead")
    else:
        named = named_of_tables(pred, labels, read_groups(groups), read_groups(labels, required=False))
    publish(evaluate_classification(named), report)
