"""``gloinone demo``: the whole job on a drawn slide, checked against what was drawn."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gloinone.cli.errors import verbose_option

if TYPE_CHECKING:
    from gloinone.evaluation.planted import PlantedCheck

MIN_RECALL = 0.75
MIN_PRECISION = 0.6
MIN_STATE_AGREEMENT = 0.6
"""Below any of these something is wrong with the installation or the weights, not just with a glomerulus."""

SLIDE = "demo.svs"
DRAWN = "drawn"
RESULTS = "results"


@click.command()
@click.argument("out", type=click.Path(path_type=Path, file_okay=False), default=Path("demo-out"))
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Another seed, another slide."
)
@verbose_option
def command(out: Path, device: str, seed: int, verbose: bool) -> None:
    """Draw a slide, run the whole job on it and check the result.

    The slide and its truth go to OUT/drawn, the results to OUT/results (OUT is demo-out unless given).

    Exit status 1 if the slide could not be analysed, or if under 75 % of the planted glomeruli were found,
    over 40 % of what was found was not planted, or over 40 % of the found were mistaken between normal and
    sclerosed.

    Example: gloinone demo demo-out
    """
    from gloinone.cli.log import set_up_log
    from gloinone.cli.run import run
    from gloinone.drawn.config import SceneConfig
    from gloinone.drawn.slide import draw_slide
    from gloinone.pipeline.stages import Networks, StagesConfig
    from gloinone.pipeline.tasks import RunConfig

    slide, results = out / DRAWN / SLIDE, out / RESULTS
    networks = Networks(StagesConfig(device=device))
    click.echo(f"with {', '.join(networks.models.values())}")  # before any work: they may be missing
    _make_folder(slide.parent)
    truth = draw_slide(slide, SceneConfig(seed=seed))
    click.echo(f"drawn: {slide}, {truth.width} x {truth.height} px, {len(truth.glomeruli)} glomeruli")
    config = RunConfig(slide, results, overwrite=True, arguments=tuple(sys.argv[1:]))
    with set_up_log(verbose, None):
        status = run(config, networks)
    if status:
        click.echo(f"the job failed; see {results}/slides/{SLIDE}/log.txt", err=True)
        raise SystemExit(status)
    check = read_check(results, truth.truth_path)
    for line in table_lines(check):
        click.echo(line)
    if wrong := complaints(check):
        click.echo(f"the check failed: {'; '.join(wrong)}", err=True)
        raise SystemExit(1)
    click.echo(f"all is well; look at {results / 'report.html'}")


def _make_folder(folder: Path) -> None:
    """The folder of the drawing."""
    from gloinone.errors import OutputError

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"{folder}: {error.strerror or error}; give a folder that can be written"
        ) from error


def read_check(results: Path, truth_path: Path) -> "PlantedCheck":
    """The table that the job wrote, against the truth that was written with the drawing."""
    from gloinone.annotations.columns import GLOMERULI
    from gloinone.annotations.csv_text import read_table
    from gloinone.annotations.truth import read_truth
    from gloinone.evaluation.planted import check_planted

    rows = read_table(results / "glomeruli.csv", GLOMERULI)
    return check_planted(rows, read_truth(truth_path).glomeruli)


def table_lines(check: "PlantedCheck") -> Iterator[str]:
    """Planted, found, missed, and what they were called."""
    yield f"{'class':<14}{'planted':>8}{'found':>8}{'missed':>8}   called"
    for label, planted in check.planted.items():
        found = check.found_of(label)
        given = ", ".join(f"{n} {name}" for (of, name), n in sorted(check.named.items()) if of == label)
        yield f"{label:<14}{planted:>8}{found:>8}{planted - found:>8}   {given}"
    yield f"found where nothing was planted: {check.false}"
    yield f"rightly called normal or sclerosed: {check.state_agreement:.0%}; with its kind: {check.class_agreement:.0%}"


def complaints(check: "PlantedCheck") -> list[str]:
    """What is worse than a working installation can be; empty if all is well."""
    wrong = []
    if check.recall < MIN_RECALL:
        wrong.append(f"{check.recall:.0%} of the planted glomeruli were found, expected {MIN_RECALL:.0%}")
    if check.precision < MIN_PRECISION:
        wrong.append(f"{check.precision:.0%} of what was found was planted, expected {MIN_PRECISION:.0%}")
    if check.state_agreement < MIN_STATE_AGREEMENT:
        wrong.append(
            f"{check.state_agreement:.0%} were rightly called normal or sclerosed, expected {MIN_STATE_AGREEMENT:.0%}"
        )
    return wrong
