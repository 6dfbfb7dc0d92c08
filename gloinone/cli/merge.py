"""gloinone merge: tables and report of an OUT, from the folders of its slides."""

from pathlib import Path

import click

from gloinone.cli.errors import verbose_option


@click.command()
@click.argument("out", type=click.Path(path_type=Path, exists=True, file_okay=False))
@verbose_option
def command(out: Path, verbose: bool) -> None:
    """Write the tables and the report of OUT again.

    From the folders of its slides: after a run by --shard, or after one that was interrupted. May be repeated.

    Example: gloinone merge out/
    """
    from gloinone.pipeline.merge import merge

    states = merge(out)
    click.echo(f"{click.format_filename(out)}: {len(states)} slides in the tables")
    if any(state.status in ("failed", "partial") for state in states):
        raise SystemExit(1)
