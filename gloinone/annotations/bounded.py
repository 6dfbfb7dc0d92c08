"""Annotation files come from anywhere: they are read whole, but never more than a sane amount of them."""

import gzip
import zlib
from pathlib import Path

from gloinone.errors import AnnotationError

MAX_BYTES = 128 * 2**20
"""An outline of 200 vertices takes 10 kB of XML: room for twelve thousand glomeruli."""

_GZIP_MAGIC = b"\x1f\x8b"


def read_bounded(path: Path, max_bytes: int = MAX_BYTES) -> bytes:
    """Bytes of a file, unpacked if it is gzipped; AnnotationError if missing, unreadable or too large."""
    try:
        with path.open("rb") as file:
            start = file.read(len(_GZIP_MAGIC))
            file.seek(0)
            if start == _GZIP_MAGIC:
                with gzip.open(file) as unpacked:
                    data = unpacked.read(max_bytes + 1)
            else:
                data = file.read(max_bytes + 1)
    except FileNotFoundError as error:
        raise AnnotationError(f"{path}: no such file; check the path") from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise AnnotationError(f"{path}: the gzip file is damaged ({error}); export it again") from error
    except OSError as error:
        raise AnnotationError(
            f"{path}: cannot be read ({error.strerror}); check it is a readable file"
        ) from error
    if len(data) > max_bytes:
        limit = max_bytes // 2**20
        raise AnnotationError(f"{path}: over {limit} MB of annotations; export the glomeruli only")
    return data
