"""``gloinone models list``: which models a run could use."""

from pathlib import Path
from textwrap import fill

import click

from gloinone.cli.errors import verbose_option

COLUMNS = 100
MODELS = click.option(
    "--models",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Folder of models, searched before those that ship; may repeat.",
)


@click.command("list", epilog="Example: gloinone models list --models models/")
@MODELS
@verbose_option
def command(models: tuple[Path, ...], verbose: bool) -> None:
    """List the models that ship and those of --models and $GLOINONE_MODELS.

    For each: task, name with the first digits of its hash, network, threshold and first score; its licence; and
    where it lies. `gloinone models show NAME` has the whole card.
    """
    from gloinone.errors import WeightsError
    from gloinone.weights.card import read_card
    from gloinone.weights.store import list_models, model_dirs

    for paths in list_models(model_dirs(models)):
        where = click.format_filename(paths.folder)
        try:
            card = read_card(paths.card)
        except WeightsError as error:
            click.echo(f"{'?':<10} {where}: {error}")
            continue
        threshold = "" if card.threshold is None else f"threshold {card.threshold:g}"
        score = f"{card.measured[0].what} {card.measured[0].value:.3f}" if card.measured else "not measured"
        facts = ", ".join(part for part in (card.architecture.name, threshold, score) if part)
        click.echo(_wrapped(f"{card.task:<10} {card.identity:<24} {facts}"))
        click.echo(_wrapped(f"{'':<10} licence: {card.licence or 'not stated'}"))
        click.echo(f"{'':<10} {where}")


def _wrapped(line: str) -> str:
    """What goes on in further lines stands further in."""
    return fill(line, COLUMNS, subsequent_indent=" " * 15)
