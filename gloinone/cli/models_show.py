"""``gloinone models show``: all that is known of one model."""

from dataclasses import asdict, replace
from pathlib import Path

import click

from gloinone.cli.errors import verbose_option
from gloinone.cli.models_list import MODELS


@click.command("show", epilog="Example: gloinone models show detector")
@click.argument("name", metavar="NAME|DIR")
@MODELS
@verbose_option
def command(name: str, models: tuple[Path, ...], verbose: bool) -> None:
    """Show a model's card: network, input, threshold, labels, licence, training data, scores, what nobody checked."""
    from gloinone.weights.card import read_card
    from gloinone.weights.store import find_named, model_dirs

    paths = find_named(name, model_dirs(models))
    card = read_card(paths.card)
    rows = [("folder", click.format_filename(paths.folder))]
    for key, value in asdict(replace(card, measured=())).items():
        several = value if isinstance(value, tuple) and all(isinstance(v, str) for v in value) else (value,)
        rows += [(key, str(item)) for item in several if item not in (None, "", ())]
    rows += [("measured", f"{m.what} {m.told}, n {m.n}, {m.on}") for m in card.measured]
    for key, text in rows:
        click.echo(f"{key:<18} {text}")
