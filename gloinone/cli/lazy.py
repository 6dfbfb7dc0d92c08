"""A click group whose commands are imported when they are called, so that ``--help`` starts at once."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import click


@dataclass(frozen=True)
class Lazy:
    """Where a command lives and what the list of commands says about it."""

    module: str
    """Full name; the module exports ``command``."""
    summary: str
    """One line for the list of commands, known without importing the module."""


class LazyGroup(click.Group):
    """A group made from a table of ``Lazy`` rows, listed in the order of the table."""

    def __init__(self, *args: Any, lazy: Mapping[str, Lazy], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lazy = dict(lazy)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the table, then those added directly."""
        return [*self.lazy, *(name for name in self.commands if name not in self.lazy)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported now if it is in the table."""
        if cmd_name not in self.lazy:
            return super().get_command(ctx, cmd_name)
        command = import_module(self.lazy[cmd_name].module).command
        if not isinstance(command, click.Command):
            raise TypeError(f"{self.lazy[cmd_name].module}.command is no click command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, from the table alone."""
        rows = [(name, lazy.summary) for name, lazy in self.lazy.items()]
        rows += [(name, cmd.get_short_help_str()) for name, cmd in self.commands.items()]
        with formatter.section("Commands"):
            formatter.write_dl(rows)
