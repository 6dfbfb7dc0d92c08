"""Which program this is: version, commit, and the weights that ship."""

import os
import subprocess
from pathlib import Path

import click

import gloinone

ROOT = Path(gloinone.__file__).resolve().parents[1]
"""The checkout, where there is one."""


def commit() -> str:
    """First 12 digits of the commit, with ``+`` for a changed checkout; ``unknown`` where nothing tells.

    From $GLOINONE_COMMIT, which the image sets, else from git in a checkout.
    """
    given = os.environ.get("GLOINONE_COMMIT", "")
    if given:
        return given[:12]
    if not (ROOT / ".git").exists():
        return "unknown"
    try:
        found = subprocess.run(
            ["git", "-C", str(ROOT), "describe", "--always", "--abbrev=12", "--exclude=*", "--dirty=+"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return found.stdout.strip()


def version_text() -> str:
    """What ``--version`` prints: a line for the program, a line per model that a run finds by itself."""
    from gloinone.errors import WeightsError
    from gloinone.weights.card import read_card
    from gloinone.weights.store import list_models, model_dirs

    lines = [f"gloinone {gloinone.__version__} (commit {commit()})"]
    for paths in list_models(model_dirs()):
        try:
            card = read_card(paths.card)
        except WeightsError:
            lines.append(f"{paths.folder.name}: cannot be used; gloinone doctor says why")
        else:
            lines.append(f"{card.task}: {card.identity}")
    return "\n".join(lines)


def print_version(ctx: click.Context, _: click.Parameter, asked: bool) -> None:
    """Callback of ``--version``."""
    if asked and not ctx.resilient_parsing:
        click.echo(version_text())
        ctx.exit()
