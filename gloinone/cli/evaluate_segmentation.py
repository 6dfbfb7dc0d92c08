"""`gloinone evaluate segmentation`: outlines against those a person drew."""

from pathlib import Path
from typing import Any

import click

from gloinone.cli.evaluate_options import (
    FOLDER,
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
    "segmentation",
    epilog="Example: gloinone evaluate segmentation out/ truth/ --groups slides.csv --out scores/",
)
@click.argument("pred", type=FOLDER)
@click.argument("masks", type=FOLDER)
@click.option("--mpp", type=float, help="Of two folders of masks: microns per px; else distances are px.")
@several(only_option, groups_option, classes_option, out_option)
def command(pred: Path, masks: Path, mpp: float | None, **options: Any) -> None:
    """Score the outlines in PRED against MASKS.

    PRED is the OUT of a finished run and MASKS a folder of truth: every glomerulus that was found is scored. Or both
    are folders of PNG masks of the same names. Dice (mean, SD, per slide), IoU, distance of the borders, area error.
    """
    from gloinone.evaluation.groups import read_groups
    from gloinone.evaluation.run_output import is_run
    from gloinone.evaluation.segmentation import evaluate_segmentation, outlines_of_masks, outlines_of_run
    from gloinone.slide.resolution import check_mpp_option

    if is_run(pred):
        if mpp is not None:
            raise UsageError("--mpp is for folders of masks; a run knows its own")
        outlines = outlines_of_run(loaded_run(pred, masks, options))
    elif options["only"]:
        raise UsageError("--only chooses slides of a run; leave masks out of the folder instead")
    elif options["classes"]:
        raise UsageError("--classes is for the truth of a run; masks have no names")
    else:
        table = read_groups(options["groups"])
        outlines = outlines_of_masks(pred, masks, table, None if mpp is None else check_mpp_option(mpp))
    publish(evaluate_segmentation(outlines), options["report"])
