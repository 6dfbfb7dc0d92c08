"""gloinone watch: how far the runs are that write into one OUT."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gloinone.cli.errors import verbose_option
from gloinone.records import RowStatus

if TYPE_CHECKING:
    from gloinone.pipeline.watching import Standing

STATUSES: tuple[RowStatus, ...] = ("done", "partial", "failed", "skipped", "pending")
MAX_NAMED = 8
EXIT_GIVEN_UP = 1


@click.command()
@click.argument("out", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--every",
    metavar="S",
    type=click.FloatRange(min=0.2),
    default=10.0,
    help="Seconds between two looks; 10.",
)
@click.option("--once", is_flag=True, help="Say it once and end.")
@verbose_option
@click.pass_context
def command(ctx: click.Context, out: Path, every: float, once: bool, verbose: bool) -> None:
    """Show how far the runs are that write into OUT.

    Read from its list, its slides' states and its claims; nothing is written, and it may be called on any machine
    that sees OUT. Ends when every listed slide is settled and nobody is at work; with exit status 1 when no run has
    given a sign of life for ten minutes: it was killed or cancelled, or its tasks wait in the queue.

    Example: gloinone watch out/
    """
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    from gloinone.pipeline.watching import Watch

    watch, console = Watch(out), Console()
    standing = watch.look()
    if once or has_ended(standing) or not console.is_terminal:
        click.echo("\n".join(lines(standing)))
        while not (once or has_ended(standing)):
            time.sleep(every)
            standing = watch.look()
            click.echo("\n" + "\n".join(lines(standing)))
    else:
        with Live(Text("\n".join(lines(standing))), console=console, auto_refresh=False) as live:
            while not has_ended(standing):
                time.sleep(every)
                standing = watch.look()
                live.update(Text("\n".join(lines(standing))), refresh=True)
    if standing.is_given_up and not once:
        ctx.exit(EXIT_GIVEN_UP)


def has_ended(standing: "Standing") -> bool:
    """There is nothing to wait for."""
    return standing.is_over or standing.is_given_up


def lines(standing: "Standing") -> Iterator[str]:
    """What is said of it; names are written so that they cannot steer a terminal."""
    from gloinone.slide.discover import readable

    settled = sum(n for status, n in standing.counts.items() if status != "pending")
    of_all = "" if standing.total is None else f" of {standing.total}"
    counts = ", ".join(f"{n} {status}" for status in STATUSES if (n := standing.counts.get(status)))
    yield f"{settled}{of_all} slides settled: {counts or 'none yet'}; {standing.n_glomeruli} glomeruli"
    if standing.per_hour is not None:
        left = "" if standing.left_s is None else f", about {duration(standing.left_s)} left"
        yield f"{standing.per_hour:.3g} slides per hour{left}"
    yield f"{len(standing.at_work)} at work"
    for one in standing.at_work[:MAX_NAMED]:
        silent = f" (no sign of life for {duration(one.silent_s)})" if one.is_silent else ""
        yield f"  {readable(one.slide)}{silent}"
    if len(standing.at_work) > MAX_NAMED:
        yield f"  and {len(standing.at_work) - MAX_NAMED} more"
    if standing.is_given_up:
        yield (
            f"no run has given a sign of life for {duration(standing.quiet_s)}: it was killed or cancelled, or waits "
            "in a queue; the same command as before goes on with what is not done"
        )
    if standing.failed:
        yield "failed, the latest first:"
    for failed in standing.failed[:MAX_NAMED]:
        yield f"  {readable(failed.slide)}: {readable(failed.reason)}"
    if len(standing.failed) > MAX_NAMED:
        yield f"  and {len(standing.failed) - MAX_NAMED} more"


def duration(seconds: float) -> str:
    """In words.

    >>> duration(59), duration(3700), duration(200_000)
    ('1 min', '1 h 2 min', '2 d 8 h')
    """
    minutes = max(1, round(seconds / 60))
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 24 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes // 1440} d {minutes % 1440 // 60} h"
