"""``gloinone run``: the main job, on a slide or a folder of slides."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gloinone.cli.errors import verbose_option
from gloinone.cli.version import print_version

if TYPE_CHECKING:
    from gloinone.pipeline.run_folder import Outcome
    from gloinone.pipeline.tasks import Method, RunConfig, Shard

_PATH = click.Path(path_type=Path)


def parse_shard(ctx: click.Context, param: click.Parameter, value: str | None) -> "Shard | None":
    """``I/N`` of --shard."""
    if value is None:
        return None
    from gloinone.pipeline.tasks import Shard

    index, _, count = value.partition("/")
    if not (index.isdecimal() and count.isdecimal()):
        raise click.BadParameter(f"{value!r} is not like 0/4", ctx, param)
    return Shard(int(index), int(count))


@click.command()
@click.argument("source", metavar="IN", type=_PATH)
@click.argument("out", metavar="OUT", type=_PATH)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option("--mpp", type=float, help="Microns per pixel of slides that do not say it themselves.")
@click.option("--mpp-csv", type=_PATH, help="Table: slide, mpp (before what files say), patient, stain.")
@click.option("--only-listed", is_flag=True, help="Only the slides of --mpp-csv.")
@click.option("--min-score", type=float, help="Keep circles from this score on; default: the model's.")
@click.option(
    "--shape",
    type=click.Choice(["outline", "ellipse", "polygon"]),
    default="outline",
    show_default=True,
    help="In XML and GeoJSON: the outline, or the circle as an ellipse or a polygon.",
)
@click.option(
    "--keep-nonglomerular", is_flag=True, help="Keep what is found to be no glomerulus, as a class."
)
@click.option("--no-crops", is_flag=True, help="Write no picture per glomerulus.")
@click.option("--no-masks", is_flag=True, help="Write no masks.")
@click.option("--overwrite", is_flag=True, help="Redo what is done, too; the default is to resume.")
@click.option("--xml-beside-slide", is_flag=True, help="Also put the XML beside each slide, for ImageScope.")
@click.option(
    "--shard",
    metavar="I/N",
    callback=parse_shard,
    help="Every Nth slide of OUT/slides.txt from the I-th on, from 0; then: merge.",
)
@click.option("--pending", is_flag=True, help="Only slides that no run has come to the end of yet.")
@click.option(
    "--pseudonyms",
    metavar="KEY.csv",
    type=_PATH,
    help="Call slides S0001 ... in all that is written; KEY.csv, outside IN and OUT, holds which is which.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be done, and why; write nothing.")
@click.option("--log-json", type=_PATH, help="Append an object per event to this file.")
@click.option("--models", type=_PATH, multiple=True, help="Folder of models, searched first; may repeat.")
@click.option(
    "--detector",
    metavar="NAME|DIR",
    multiple=True,
    help="Another detector; of several, circles that enough of them find are kept.",
)
@click.option("--classifier", metavar="NAME|DIR", help="Another classifier.")
@click.option("--segmenter", metavar="NAME|DIR", help="Another segmenter.")
@click.option(
    "--tta", is_flag=True, help="Look at each tile turned and mirrored, too: four views, four votes."
)
@click.option(
    "--min-votes",
    type=int,
    help="With several detectors or --tta: how many must find a circle of less than 0.9; default: 2.",
)
@verbose_option
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=print_version,
    help="Print version, commit and weights, and exit.",
)
@click.pass_context
def command(ctx: click.Context, /, source: Path, out: Path, **options: Any) -> None:
    """Find, name, outline and count every glomerulus in slides.

    IN is a slide, or a folder that is walked. OUT gets tables, a report and a folder per slide. What is done is
    not done again; several runs may share one OUT. Exit status: 0 all done, 1 some slides failed or were read in
    part, 2 the run could not start, 128 + signal when interrupted.

    Example: gloinone run slides/ out/ --mpp-csv resolutions.csv
    """
    from gloinone.cli.log import set_up_log

    options["arguments"] = arguments_for_record(ctx)
    config, method = run_config(source, out, options), networks(options)
    if options["dry_run"]:
        dry_run(config, method)
        return
    with set_up_log(options["verbose"], options["log_json"]):
        ctx.exit(run(config, method))


def run_config(source: Path, out: Path, options: dict[str, Any]) -> "RunConfig":
    """What is to be done with the slides."""
    from gloinone.pipeline.save import SaveOptions
    from gloinone.pipeline.tasks import RunConfig

    return RunConfig(
        source=source,
        out=out,
        save=SaveOptions(options["shape"], crops=not options["no_crops"], masks=not options["no_masks"]),
        mpp=options["mpp"],
        mpp_csv=options["mpp_csv"],
        only_listed=options["only_listed"],
        overwrite=options["overwrite"],
        xml_beside_slide=options["xml_beside_slide"],
        shard=options["shard"],
        pending=options["pending"],
        pseudonyms=options["pseudonyms"],
        arguments=options["arguments"],
    )


def arguments_for_record(ctx: click.Context) -> tuple[str, ...]:
    """As typed; with --pseudonyms only what cannot be a name: which options were given, numbers and choices."""
    if ctx.params["pseudonyms"] is None:
        return tuple(sys.argv[1:])
    words = ["run"]
    for param in ctx.command.params:
        if ctx.get_parameter_source(param.name or "") != click.core.ParameterSource.COMMANDLINE:
            continue
        words.append(param.opts[0] if isinstance(param, click.Option) else param.make_metavar(ctx))
        if isinstance(param, click.Option) and not param.is_flag:
            telling = not isinstance(param.type, (click.Choice, click.types.FloatParamType))
            words.append("..." if telling else str(ctx.params[param.name]))
    return tuple(words)


def networks(options: dict[str, Any]) -> "Method":
    """The models; nothing is loaded yet."""
    from gloinone.pipeline.stages import SECOND_STAGE, Networks, StagesConfig

    chosen: dict[str, Any] = {task: options[task] for task in SECOND_STAGE if options[task] is not None}
    if options["detector"]:
        chosen["detectors"] = options["detector"]
    return Networks(
        StagesConfig(
            **chosen,
            models=options["models"],
            device=options["device"],
            min_score=options["min_score"],
            keep_nonglomerular=options["keep_nonglomerular"],
            tta=options["tta"],
            min_votes=options["min_votes"],
        )
    )


def dry_run(config: "RunConfig", method: "Method") -> None:
    """Print the slides, and what a run would do with each."""
    from gloinone.pipeline.run_record import check_naming
    from gloinone.pipeline.tasks import judge, list_work

    check_naming(config.out, config.hides_names)
    work = list_work(config, method, keep_names=False)
    verdicts = [(task, judge(task, config.overwrite)) for task in work.tasks]
    for task, verdict in verdicts:
        click.echo(f"{'to do' if verdict.todo else 'done ':<6} {task.name} ({verdict.why})")
    for sentence in work.ignored:
        click.echo(f"ignored {sentence}")
    for sentence in work.unmatched:
        click.echo(sentence)
    todo = sum(verdict.todo for _, verdict in verdicts)
    click.echo(f"{len(verdicts)} slides, {todo} to do; models: {', '.join(method.models.values())}")


def run(config: "RunConfig", method: "Method") -> int:
    """Run, show how it goes, say what came of it; the exit status."""
    from gloinone.cli.progress import show_progress
    from gloinone.pipeline.interrupts import Interrupted, Interrupts
    from gloinone.pipeline.run_folder import run_folder

    try:
        with Interrupts() as interrupts, show_progress() as progress:
            outcome = run_folder(config, method, progress, interrupts)
    except Interrupted as interrupted:
        click.echo(f"interrupted by {interrupted}; run the same command again to go on", err=True)
        return 128 + interrupted.number
    report_outcome(outcome, config)
    return outcome.exit_status


def report_outcome(outcome: "Outcome", config: "RunConfig") -> None:
    """Last lines: how many slides of each status, and where the results are."""
    if outcome.stopped:
        click.echo(f"error: stopped: {outcome.stopped}", err=True)
    statuses = list(outcome.statuses.values())
    counts = [f"{statuses.count(s)} {s}" for s in ("done", "partial", "failed", "skipped") if s in statuses]
    click.echo(f"{len(statuses)} slides: {', '.join(counts) or 'none settled'}")
    if config.shard is None:
        click.echo(f"report: {click.format_filename(config.out / 'report.html')}")
    else:
        click.echo(f"when all shards are through: gloinone merge {click.format_filename(config.out)}")
