"""gloinone merge: tables and report of an OUT, from the folders of its slides."""

import os
import shlex
from collections import Counter
from pathlib import Path

import click

from gloinone.cli.errors import verbose_option


@click.command()
@click.argument("out", type=click.Path(path_type=Path, exists=True, file_okay=False))
@verbose_option
def command(out: Path, verbose: bool) -> None:
    """Write the tables and the report of OUT again.

    From the folders of its slides: after runs by --shard, or after one that was interrupted. May be repeated. Slides
    that are listed in OUT/slides.txt and that no run has come to are pending; the command that runs just these is
    printed. Exit status 1 if slides are pending, failed or were read in part.

    Example: gloinone merge out/
    """
    from gloinone.cli.log import set_up_log
    from gloinone.pipeline.merge import merge
    from gloinone.pipeline.run_record import arguments_for_pending

    with set_up_log(verbose, None):
        counts = Counter(merge(out))
    said = ", ".join(f"{n} {status}" for status, n in sorted(counts.items()))
    click.echo(f"{click.format_filename(out)}: {counts.total()} slides in the tables: {said}")
    if counts["pending"]:
        # as bytes: a shell must get a name back as it is, whatever it holds
        click.echo(
            os.fsencode("to run those that are pending:\ngloinone " + shlex.join(arguments_for_pending(out)))
        )
    if any(counts[status] for status in ("pending", "failed", "partial")):
        raise SystemExit(1)
