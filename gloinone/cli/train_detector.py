"""`gloinone train detector`: a detector from a lab's own slides and outlines."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gloinone.cli.names import read_names
from gloinone.cli.training_options import (
    COUNT,
    EDGE,
    POSITIVE,
    folds_option,
    multiple_of_32,
    slide_options,
    stains_option,
    validation_names,
    with_options,
)
from gloinone.errors import UsageError

if TYPE_CHECKING:
    from gloinone.detection.cases import Case
    from gloinone.detection.samples import SampleConfig
    from gloinone.learning.answers import Answers

FROM_DETECTOR = (1200, 3e-4)
"""Steps and rate that a detector takes to learn a lab's thirty slides, under an hour on two cores."""
FROM_BACKBONE = (2400, 6e-4)


@click.command(
    "detector",
    epilog="Example: gloinone train detector --slides biopsies --truth biopsies --mpp-csv biopsies/slides.csv "
    "--complete yes --val patient-07 --out models/detector",
)
@with_options([*slide_options("detector"), folds_option])
@click.option(
    "--arch",
    help="resnet18, resnet34, resnet50 (with -c4: without the last stage), dla34, dla34-dcn, resnet18-dcn or "
    "hourglass; default: as --init, else resnet34. Without --init, another network than the shipped one starts from "
    "random weights.",
)
@click.option(
    "--network-mpp",
    type=float,
    help="Microns per pixel of the network, over 0.583; default: as --init, else 2.",
)
@click.option("--steps", type=COUNT, help="Optimiser steps; default: 1200 from a whole detector, else 2400.")
@click.option(
    "--rate", type=POSITIVE, help="Highest learning rate; default: 3e-4 from a whole detector, else 6e-4."
)
@click.option(
    "--validate-every", type=COUNT, default=600, show_default=True, help="Steps between validations."
)
@click.option(
    "--best-by",
    type=click.Choice(["ap50", "ap"]),
    default="ap50",
    show_default=True,
    help="Whose best is kept.",
)
@click.option("--batch-size", type=COUNT, default=8, show_default=True, help="Tiles a step.")
@click.option(
    "--edge",
    type=EDGE,
    callback=multiple_of_32,
    default=320,
    show_default=True,
    help="Edge of a training tile, px, a multiple of 32.",
)
@stains_option
@click.pass_context
def command(ctx: click.Context, /, **options: Any) -> None:
    """Train a CircleNet detector on outlined slides; goes on where an earlier call was stopped.

    From a whole detector it starts by looking for its own false circles on these slides, and learns from them.
    """
    from gloinone.cli.training_inputs import cache_of, slide_folders
    from gloinone.detection.make import check_network_mpp
    from gloinone.detection.samples import SampleConfig
    from gloinone.learning.device import use_available_threads
    from gloinone.learning.holdout import left_out_patients
    from gloinone.training.cases import collect_cases
    from gloinone.training.sources import listed_slides, slide_origins, truth_slides
    from gloinone.weights.starting import starting_card

    use_available_threads(options["threads"])
    if not options["slides"]:
        raise UsageError("no slides to train on; give --slides and --truth")
    by_default = ctx.get_parameter_source("init") is click.core.ParameterSource.DEFAULT
    if options["arch"] and by_default and not starts_from(options["init"], options["arch"]):
        options["init"] = "none"
        click.echo(f"{options['arch']}: the shipped detector is another network; starts from random weights")
    model = starting_card(options["init"], "detector")
    mpp = options["network_mpp"]
    if mpp is None:
        mpp = (model.mpp if model else None) or SampleConfig().mpp
    check_network_mpp(mpp)
    sample = SampleConfig(mpp=mpp, edge_px=options["edge"])
    steps, rate = FROM_DETECTOR if model else FROM_BACKBONE
    options["steps"], options["rate"] = options["steps"] or steps, options["rate"] or rate
    listed = listed_slides(slide_folders(options), click.echo)
    left_out = left_out_patients(slide_origins(listed), read_names(options["leave_out"]))
    slides = truth_slides(listed, left_out, click.echo)
    if not slides:
        raise UsageError("--leave-out leaves nothing to train on; name fewer patients")
    cases = collect_cases(slides, cache_of(options), mpp / sample.max_scale, click.echo)
    train = _cross_validate if options["folds"] else _make
    train(options, cases, sample, left_out)


def _cross_validate(
    options: Mapping[str, Any], cases: "Sequence[Case]", sample: "SampleConfig", left_out: frozenset[str]
) -> None:
    from gloinone.cli.training_folds import cross_validated
    from gloinone.detection.answers import circle_answers, measures_of
    from gloinone.detection.cases import case_identity, case_origins, part_cases
    from gloinone.learning.holdout import out_of

    origins = case_origins(cases)

    def learn(patients: frozenset[str], folder: Path) -> "Answers":
        rest, test = part_cases(cases, out_of(origins, patients, "--folds"))
        _make({**options, "out": folder}, rest, sample, left_out | patients)
        return circle_answers(folder, test, options["device"])

    identity = " ".join(case_identity(case) for case in cases)
    cross_validated(options, (origins, identity), learn, measures_of)


def _make(
    options: Mapping[str, Any], cases: "Sequence[Case]", sample: "SampleConfig", left_out: frozenset[str]
) -> None:
    """``left_out``: patients of whom ``cases`` has nothing."""
    from gloinone.cli.training_inputs import stains_from
    from gloinone.detection.cases import split_cases
    from gloinone.detection.make import MakeConfig, make_detector
    from gloinone.detection.train import detector_recipe

    learn, judge = split_cases(cases, validation_names(options))
    click.echo(f"held out: {', '.join(c.name for c in judge) or 'nobody, so nothing is measured'}")
    config = MakeConfig(
        out=options["out"],
        recipe=detector_recipe(
            steps=options["steps"],
            batch=options["batch_size"],
            peak_rate=options["rate"],
            validate_every=options["validate_every"],
            seed=options["seed"],
        ),
        init=options["init"],
        device=options["device"],
        licence=options["licence"],
        arch=options["arch"],
        sample=sample,
        best_by=options["best_by"],
        references=stains_from(options),
        left_out=left_out,
    )
    make_detector(learn, judge, config, click.echo)


def starts_from(init: str, arch: str) -> bool:
    """Whether the model that ``init`` names is a network of that kind."""
    from gloinone.detection.build import architecture
    from gloinone.weights.starting import starting_card

    model = starting_card(init, "detector")
    return model is not None and model.architecture == architecture(arch)
