"""``gloinone models verify``: whether every model's weights are the very ones of its card."""

from pathlib import Path

import click

from gloinone.cli.errors import verbose_option
from gloinone.cli.models_list import MODELS


@click.command("verify", epilog="Example: gloinone models verify --models models/")
@MODELS
@verbose_option
def command(models: tuple[Path, ...], verbose: bool) -> None:
    """Compare every model's weights with the hash on its card. Exit status 1 if one is damaged."""
    from gloinone.errors import WeightsError
    from gloinone.weights.card import read_card
    from gloinone.weights.store import check_hash, list_models, model_dirs

    failed = False
    for paths in list_models(model_dirs(models)):
        try:
            card = read_card(paths.card)
            check_hash(paths, card)
        except WeightsError as error:
            failed = True
            click.echo(f"FAIL  {error}")
        else:
            click.echo(f"ok    {card.task}: {card.identity}, sha256 {card.sha256}")
    if failed:
        raise SystemExit(1)
