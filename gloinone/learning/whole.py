"""Files of a training that are there whole or not at all."""

import contextlib
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

from gloinone.errors import OutputError

PREFIX = ".unfinished-"
"""Begins the name of every file that is not yet whole."""
ABANDONED_S = 86_400
"""Nobody writes to one for a day: a training that was killed has left it."""


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A hidden file beside the path, of the same suffix, to write to; it takes the path's place at the end.

    The folder is made. After an error the old file stands; what the system refuses is an OutputError.
    """
    # Process numbers are the same in every container
    aside = path.with_name(f"{PREFIX}{secrets.token_hex(4)}-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(path.parent)
        yield aside
        aside.replace(path)
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be written ({error.strerror}); free space or choose another --out"
        ) from error
    finally:
        aside.unlink(missing_ok=True)


def _remove_abandoned(folder: Path) -> None:
    for left in folder.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > ABANDONED_S:
                left.unlink()
