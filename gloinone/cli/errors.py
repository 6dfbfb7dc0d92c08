"""How an error reaches the terminal: one line and an exit status; the traceback only with ``-v``."""

import os
import signal
import traceback
from collections.abc import Callable
from typing import IO, Any, TypeVar

import click

from gloinone.errors import GloInOneError

EXIT_REFUSED = 2
"""The command could not start, or the user has something to mend."""

_VERBOSE = "gloinone.verbose"
_AnyCallable = TypeVar("_AnyCallable", bound=Callable[..., Any])


class Refused(click.ClickException):
    """A GloInOneError on its way out."""

    exit_code = EXIT_REFUSED

    def show(self, file: IO[Any] | None = None) -> None:
        """Prints ``error: what, where, what to do`` in one line."""
        line = " ".join(self.format_message().split())
        click.echo(f"error: {line}", file=file, err=file is None)


def verbose_option(function: _AnyCallable) -> _AnyCallable:
    """Adds ``-v``: parameter ``verbose``, and tracebacks for errors that are otherwise one line."""

    def remember(ctx: click.Context, _: click.Parameter, value: bool) -> bool:
        if value:
            ctx.meta[_VERBOSE] = True
        return value

    return click.option(
        "-v", "--verbose", is_flag=True, callback=remember, help="Say more; show tracebacks of errors."
    )(function)


class ErrorGroup(click.Group):
    """A group that turns our errors into one line, and an interrupt into 128 + its signal."""

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command; nothing but what is a bug leaves with a traceback."""
        try:
            return super().invoke(ctx)
        except GloInOneError as error:
            if ctx.meta.get(_VERBOSE):
                traceback.print_exc()
            raise Refused(str(error)) from error
        except OSError as error:
            if error.filename is None:  # such as a pipe that was closed, which click knows about
                raise
            if ctx.meta.get(_VERBOSE):
                traceback.print_exc()
            where = os.fsdecode(error.filename) if isinstance(error.filename, bytes) else error.filename
            raise Refused(f"{where}: {error.strerror}; may you read and write there?") from error
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            ctx.exit(128 + signal.SIGINT)
