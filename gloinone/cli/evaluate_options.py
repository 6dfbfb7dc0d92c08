"""What the evaluations share: options, and where their tables go."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gloinone.cli.names import read_names

if TYPE_CHECKING:
    from gloinone.evaluation.run_output import ScoredRun
    from gloinone.evaluation.tables import Evaluation

_AnyCallable = TypeVar("_AnyCallable", bound=Callable[..., Any])
FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)
PLACE = click.Path(path_type=Path, exists=True)
FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
SCORES = "scores.md"

groups_option = click.option(
    "--groups",
    type=FILE,
    help="CSV with slide (or name) and patient, and perhaps source: intervals draw patients (without it those "
    "that the run knows), tables go by source.",
)
only_option = click.option(
    "--only", multiple=True, help="Slide to score, or a .txt with one a line; may repeat."
)
out_option = click.option(
    "--out",
    "report",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write tables (Markdown, CSV) and plots (PNG) there.",
)
classes_option = click.option(
    "--classes",
    type=FILE,
    help="CSV with the columns name,class: names or layers of the truth, and ours, as in the trainings.",
)
slides_option = click.option(
    "--slides",
    type=PLACE,
    help="The slides of the run: with --out, also draws the worst misses and false circles.",
)
unlabelled_option = click.option(
    "--unlabelled",
    type=FILE,
    help="CSV with slide, x, y, radius (level-0 px) of glomeruli without an outline: "
    "all once more with these ignored, beside the plain numbers.",
)

complete_option = click.option(
    "--complete",
    type=click.Choice(["yes", "no"]),
    default="yes",
    show_default=True,
    help="Whether slides without an area called region have every glomerulus outlined; no: recall alone is told.",
)


def several(*options: Callable[[_AnyCallable], _AnyCallable]) -> Callable[[_AnyCallable], _AnyCallable]:
    """One decorator of several options, in their order."""

    def add(function: _AnyCallable) -> _AnyCallable:
        for option in reversed(options):
            function = option(function)
        return function

    return add


run_options = several(
    only_option,
    groups_option,
    classes_option,
    complete_option,
    unlabelled_option,
    slides_option,
    out_option,
)
"""Of the evaluations of a whole run."""


def loaded_run(out: Path, truth: Path, options: Mapping[str, Any]) -> "ScoredRun":
    """A finished run beside its truth, by the values of the options that there are."""
    from gloinone.annotations.class_names import read_class_names
    from gloinone.annotations.unlabelled import read_unlabelled
    from gloinone.evaluation.groups import read_groups
    from gloinone.evaluation.run_output import load_run

    keep_patients_out(out, options["groups"], options["report"])
    listed, classes = options.get("unlabelled"), options["classes"]
    return load_run(
        out,
        truth,
        read_names(options["only"]),
        read_groups(options["groups"]),
        read_unlabelled(listed) if listed else None,
        read_class_names(classes) if classes else None,
    )


def keep_patients_out(out: Path, groups: Path | None, report: Path | None) -> None:
    """Raises UsageError where patients of --groups would be written into an OUT whose slides bear pseudonyms."""
    from gloinone.errors import UsageError
    from gloinone.pipeline.run_record import has_pseudonyms

    if groups is None or report is None or not report.resolve().is_relative_to(out.resolve()):
        return
    if has_pseudonyms(out):
        raise UsageError(
            f"--groups: would write its patients into {out}, whose slides bear pseudonyms; pass --out with a folder "
            "outside of it, or leave --groups away: the patients of the run's own tables bear pseudonyms, too"
        )


def publish_run(
    evaluate: "Callable[[ScoredRun, bool], Evaluation]", out: Path, truth: Path, options: Mapping[str, Any]
) -> None:
    """Score a finished run by the values of ``run_options``, and publish the tables with the sheets of mistakes."""
    from gloinone.evaluation.mistakes import with_sheets

    run = loaded_run(out, truth, options)
    if options["complete"] == "no":
        run = run.recall_only()
    found = evaluate(run, options["unlabelled"] is not None)
    publish(with_sheets(found, run, options["slides"]), options["report"])


def publish(evaluation: "Evaluation", folder: Path | None) -> None:
    """Print the tables but the long ones; with a folder, write all of them and the plots; remarks go to stderr.

    What an earlier evaluation of that kind left there and this one has not is removed, nothing else.
    """
    from gloinone.pipeline.atomic import check_writable, write_atomic

    for table in evaluation.tables:
        if not table.long:
            click.echo(table.markdown())
    for note in evaluation.notes:
        click.echo(note, err=True)
    if folder is None:
        return
    check_writable(folder)
    tables = [f"{table.name}.csv" for table in evaluation.tables]
    pictures = [f"{name}.png" for name in evaluation.plots]
    for name in files_of_earlier(folder / SCORES, evaluation.title) - {*tables, *pictures}:
        (folder / name).unlink(missing_ok=True)
    for name, draw in evaluation.plots.items():
        write_atomic(folder / f"{name}.png", draw())
    for table in evaluation.tables:
        write_atomic(folder / f"{table.name}.csv", table.csv_bytes())
    text = evaluation.markdown(pictures, [*tables, *pictures])
    write_atomic(folder / SCORES, text.encode("utf-8", "backslashreplace"))
    click.echo(f"tables and plots: {folder / SCORES}", err=True)


def files_of_earlier(scores: Path, title: str) -> set[str]:
    """Names of the tables and plots that lie beside that scores.md, if it is of an evaluation of that title."""
    from gloinone.evaluation.tables import FILES

    try:
        lines = scores.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return set()
    if lines[:1] != [f"# {title}"]:
        return set()
    names = [
        name for line in lines if line.startswith(FILES) for name in line.removeprefix(FILES).split(", ")
    ]
    return {name for name in names if Path(name).name == name and Path(name).suffix in (".csv", ".png")}
