"""log.txt: what was said while a slide was at work, whatever else the log goes to."""

import logging
from types import TracebackType
from typing import Self

FORMAT = "%(asctime)s %(levelname)-7s %(message)s"


class SlideLog(logging.Handler):
    """Collects every record of the package while entered."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.setFormatter(logging.Formatter(FORMAT))
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one record."""
        self.lines.append(self.format(record))

    def data(self) -> bytes:
        """The text so far; names that are no UTF-8 come out escaped."""
        return ("\n".join(self.lines) + "\n").encode("utf-8", "backslashreplace")

    def __enter__(self) -> Self:
        logging.getLogger("gloinone").addHandler(self)
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        logging.getLogger("gloinone").removeHandler(self)
