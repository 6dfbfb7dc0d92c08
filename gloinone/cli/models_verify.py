"""``gloinone models verify``: whether every model's weights are the very ones of its card, and fill its network."""

from pathlib import Path

import click

from gloinone.cli.errors import verbose_option
from gloinone.cli.models_list import MODELS


@click.command("verify", epilog="Example: gloinone models verify --models models/")
@MODELS
@verbose_option
def command(models: tuple[Path, ...], verbose: bool) -> None:
    """Check that every model is whole and could be used.

    Its weights must have the hash on its card, and fill the network that the card describes: every key, none beside.
    Exit status 1 if one is not, with what is wrong.
    """
    from gloinone.errors import GloInOneError
    from gloinone.pipeline.check_model import check_model
    from gloinone.weights.store import list_models, model_dirs

    failed = False
    for paths in list_models(model_dirs(models)):
        try:
            card = check_model(paths)
        except GloInOneError as error:
            failed = True
            click.echo(f"FAIL  {click.format_filename(paths.folder)}: {error}")
        else:
            click.echo(f"ok    {card.task}: {card.identity}, sha256 {card.sha256}")
    if failed:
        raise SystemExit(1)
