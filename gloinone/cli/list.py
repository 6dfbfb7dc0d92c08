"""gloinone list: the slides that shards divide among them, written down once."""

from pathlib import Path

import click

from gloinone.cli.errors import verbose_option

_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("source", metavar="IN", type=_PATH)
@click.argument("out", metavar="OUT", type=_PATH)
@click.option("--again", is_flag=True, help="Write another list in place of the one that is there.")
@click.option(
    "--pseudonyms", metavar="KEY.csv", type=_PATH, help="Call slides S0001 ..., as in `gloinone run`."
)
@click.option(
    "--mpp-csv", type=_PATH, help="The table of `gloinone run`: for --only-listed, and for patient and stain."
)
@click.option("--only-listed", is_flag=True, help="Only the slides of --mpp-csv.")
@verbose_option
def command(
    source: Path,
    out: Path,
    again: bool,
    pseudonyms: Path | None,
    mpp_csv: Path | None,
    only_listed: bool,
    verbose: bool,
) -> None:
    """Write OUT/slides.txt, a line per slide of IN.

    Runs by --shard divide that list among them and do not walk IN again, so that slides may be added meanwhile. A
    list that is there stays as it is. Without this command the first shard writes the list.

    Example: gloinone list slides/ out/
    """
    from gloinone.pipeline.atomic import check_writable
    from gloinone.pipeline.layout import SLIDE_LIST
    from gloinone.pipeline.pseudonyms import disguise, give_pseudonyms, rename
    from gloinone.pipeline.run_record import check_naming
    from gloinone.pipeline.slide_list import read_list, write_list
    from gloinone.pipeline.tasks import IGNORED, counted, listed_only, walk
    from gloinone.slide.resolution import read_mpp_csv

    check_naming(out, pseudonyms is not None)
    slides, ignored = walk(source, out)
    table = read_mpp_csv(mpp_csv) if mpp_csv else None
    if only_listed:
        slides = listed_only(slides, table)
    names = [slide.name for slide in slides]
    fitted = table.for_slides(names) if table else None
    origins = {name: fitted.origin(name) for name in names} if fitted else {}
    if pseudonyms is not None:
        called = give_pseudonyms(pseudonyms, source, out, names)
        if fitted:  # of all slides that the key knows, as in a run
            origins = disguise({called[name]: fitted.origin(name) for name in called})
        slides = rename(slides, called)
        ignored = counted(ignored, IGNORED)
    check_writable(out)
    written = write_list(source, out, slides, again, pseudonyms is not None, origins)
    listed = {slide.name for slide in read_list(out) or ()}
    shown = click.format_filename(out / SLIDE_LIST)
    click.echo(f"{shown}: {len(listed)} slides{'' if written else ', from before'}")
    for sentence in ignored:
        click.echo(f"ignored {sentence}", err=True)
    if added := len({slide.name for slide in slides} - listed):
        click.echo(
            f"{added} slides of {click.format_filename(source)} are not in it; --again lists them too",
            err=True,
        )
