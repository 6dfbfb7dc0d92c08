"""Files of a training that are there whole or not at all."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from gloinone.errors import OutputError


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A hidden file beside the path, of the same suffix, to write to; it takes the path's place at the end.

    The folder is made. After an error the old file stands; what the system refuses is an OutputError.
    """
    aside = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield aside
        aside.replace(path)
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be written ({error.strerror}); free space or choose another --out"
        ) from error
    finally:
        aside.unlink(missing_ok=True)
