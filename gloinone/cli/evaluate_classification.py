"""`gloinone evaluate classification`: names of crops against those a person gave."""

from pathlib import Path
from typing import Any

import click

from gloinone.cli.evaluate_options import (
    PLACE,
    classes_option,
    groups_option,
    loaded_run,
    only_option,
    out_option,
    publish,
    several,
)
from gloinone.errors import UsageError


@click.command(
    "classification",
    epilog="Example: gloinone evaluate classification out/ truth/ --groups slides.csv --out scores/",
)
@click.argument("pred", type=PLACE)
@click.argument("labels", type=PLACE)
@several(only_option, groups_option, classes_option, out_option)
def command(pred: Path, labels: Path, **options: Any) -> None:
    """Score the classes in PRED against LABELS.

    PRED is the OUT of a finished run and LABELS a folder of truth: every circle that is a glomerulus of the truth,
    or clearly none, is scored. Or both are CSV files: name, p_normal, p_obsolescent, p_solidified, p_disappearing,
    p_nonglomerular (or p_sclerosed alone) and perhaps class; name, label and perhaps patient and source. Balanced
    accuracy, macro F1, confusion, AUC and calibration at each level that the labels know, per class and per group.
    """
    from gloinone.evaluation.classification import evaluate_classification
    from gloinone.evaluation.groups import read_groups
    from gloinone.evaluation.named import named_of_run, named_of_tables

    if pred.is_dir() != labels.is_dir():
        raise UsageError("give the OUT of a run and a folder of truth, or two CSV files")
    if pred.is_dir():
        named = named_of_run(loaded_run(pred, labels, options))
    elif options["only"]:
        raise UsageError("--only chooses slides of a run; leave rows out of the CSV instead")
    elif options["classes"]:
        raise UsageError("--classes is for the truth of slides; write our names into the CSV instead")
    else:
        known = read_groups(labels, required=False)
        named = named_of_tables(pred, labels, read_groups(options["groups"]), known)
    publish(evaluate_classification(named), options["report"])
