"""From the values of the shared options to what a training reads."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gloinone.annotations.class_names import ClassNames, read_class_names
from gloinone.annotations.unlabelled import read_unlabelled
from gloinone.cli.names import read_names
from gloinone.cli.training_options import complete_for_each, one_for_each, steps_of, validation_names
from gloinone.errors import UsageError
from gloinone.labels import GLOMERULUS
from gloinone.training.sources import SlideFolder, source_names
from gloinone.weights.card import Task

if TYPE_CHECKING:
    from gloinone.learning.patch_training import PatchSet
    from gloinone.learning.stains import Basis
    from gloinone.training.patch_set import SetConfig

DEFAULT_EDGE_PX = 192


def slide_folders(options: Mapping[str, Any], any_label: bool = False) -> tuple[SlideFolder, ...]:
    """One for each --slides; ``any_label``: a name that is none of ours is a glomerulus."""
    slides: tuple[Path, ...] = options["slides"]
    if len(options["truth"]) != len(slides):
        raise UsageError("give one --truth for every --slides, in the same order")
    tables = one_for_each(slides, options["mpp_csv"], "--mpp-csv", "--slides")
    classes = read_class_names(options["classes"]) if options["classes"] else ClassNames()
    if any_label:
        classes = replace(classes, otherwise=GLOMERULUS)
    complete = complete_for_each(slides, options.get("complete", ()))
    unlabelled = read_unlabelled(options["unlabelled"]) if options.get("unlabelled") else {}
    names = source_names([*slides, *options.get("crops", ())])
    return tuple(
        SlideFolder(
            slides[i],
            options["truth"][i],
            tables[i],
            options["mpp"],
            classes,
            complete[i],
            unlabelled,
            names[i],
        )
        for i in range(len(slides))
    )


def patches_from(options: Mapping[str, Any], background: float, any_label: bool = False) -> "PatchSet":
    """What is learned from crops, by the values of ``patch_options`` or those of them that there are.

    ``any_label``: nobody looks at the labels.
    """
    from gloinone.training.patch_set import patch_set

    parts = patch_set(set_config(options, background, any_label), cache_of(options), click.echo)
    held_out = sorted(set(parts.validation.groups) | set(parts.test.groups))
    click.echo(f"held out: {', '.join(held_out) or 'nobody, so nothing is measured'}")
    return parts


def cache_of(options: Mapping[str, Any]) -> Path:
    """Where what was read is kept."""
    cache: Path = options["cache"] or options["out"] / "cache"
    return cache


def set_config(options: Mapping[str, Any], background: float, any_label: bool = False) -> "SetConfig":
    """What to read and how to part it."""
    from gloinone.training.patch_set import CropFolder, SetConfig

    labels = one_for_each(options["crops"], options.get("labels", ()), "--labels", "--crops")
    masks = one_for_each(options["crops"], options.get("masks", ()), "--masks", "--crops")
    names = source_names([*options["slides"], *options["crops"]])[len(options["slides"]) :]
    runs = one_for_each(options["slides"], options.get("false_circles", ()), "--false-circles", "--slides")
    return SetConfig(
        folders=slide_folders(options, any_label),
        crops=tuple(
            CropFolder(*values, any_label)
            for values in zip(options["crops"], labels, masks, names, strict=True)
        ),
        leave_out=read_names(options["leave_out"]),
        validation=validation_names(options),
        test=read_names(options.get("test", ())),
        background=background,
        circles={slides: out for slides, out in zip(options["slides"], runs, strict=True) if out is not None},
    )


def stains_from(options: Mapping[str, Any]) -> "tuple[Basis, ...]":
    """Those of the pictures of --stains."""
    from gloinone.training.reference_stains import reference_stains

    return reference_stains(options["stains"]) if options["stains"] else ()


def make_options(options: Mapping[str, Any], parts: "PatchSet", task: Task) -> tuple[dict[str, Any], int]:
    """Values of SupervisedOptions, and the edge of the network's input: the model's to start from, unless given."""
    from gloinone.learning.device import use_available_threads
    from gloinone.learning.patch_training import patch_recipe
    from gloinone.weights.starting import starting_card

    use_available_threads(options["threads"])
    model, batch = starting_card(options["init"], task), options["batch_size"]
    recipe = patch_recipe(
        steps=steps_of(options["steps"], options["epochs"], len(parts.train), batch),
        batch=batch,
        peak_rate=options["rate"],
        seed=options["seed"],
        validate_every=options["validate_every"],
    )
    shared = {name: options[name] for name in ("out", "init", "device", "licence")}
    shared |= {"recipe": recipe, "references": stains_from(options)}
    return shared, options["edge"] or (model.edge_px if model else DEFAULT_EDGE_PX)
