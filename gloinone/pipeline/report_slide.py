"""A slide as the reports show it, and what every page of theirs shares: words, numbers, addresses."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2

from gloinone.annotations.columns import SUMMARY
from gloinone.labels import COLOURS, GLOMERULAR, SCLEROSED_KINDS
from gloinone.pipeline.state import Basis, has_our_columns
from gloinone.records import RowStatus


@dataclass(frozen=True)
class ReportSlide:
    """What a report shows of a slide."""

    name: str
    """Path relative to IN."""
    status: RowStatus
    reason: str
    row: Mapping[str, str]
    """Of summary.csv."""
    folder: Path
    """Of its results; need not exist for a slide that failed or is pending."""
    notes: tuple[str, ...] = ()
    """What a reader should know: unread parts, an edited file that was kept."""
    basis: Basis | None = None
    """What its results follow from; None where that is not asked, and for a slide that is pending."""

    def number(self, column: str) -> float | None:
        """A number of the row, None where it is empty or was damaged."""
        try:
            return float(self.row.get(column, ""))
        except ValueError:
            return None

    @property
    def numbers(self) -> dict[str, float | None]:
        """Every number of the row."""
        return {c.name: self.number(c.name) for c in SUMMARY if c.kind in ("int", "float")}

    @property
    def is_of_this_version(self) -> bool:
        """Whether this version made it: older results lack tables, too."""
        return has_our_columns(self.row)

    @property
    def sum_of(self) -> str:
        """What the numbers add up; empty for a slide of one piece of tissue."""
        n_pieces = self.number("n_pieces")
        return "" if n_pieces is None or n_pieces < 2 else f"sum over {n_pieces:.0f} pieces"

    @property
    def why(self) -> str:
        """The reason without the slide's name, as text that a page can hold."""
        return shown(self.reason.removeprefix(f"{self.name}: "))


@cache
def pages() -> jinja2.Environment:
    """The templates; whatever they are given is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("gloinone.pipeline"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(fixed=fixed, moment=moment)
    environment.globals.update(
        kinds=SCLEROSED_KINDS, colours={name: f"rgb{COLOURS[name]}" for name in GLOMERULAR}
    )
    return environment


def model_views(models: object) -> list[dict[str, Any]]:
    """Task, identity, scores and gaps of each model, of what run.json says of them.

    The scores on data that were left out of training lead; the others were measured on what the training was
    steered by.
    """
    views = []
    for task, model in models.items() if isinstance(models, Mapping) else ():
        card = model if isinstance(model, Mapping) else {"name": str(model)}
        name, sha256 = str(card.get("name", "")), str(card.get("sha256", ""))
        measured = [m for m in card.get("measured", ()) if isinstance(m, Mapping)]
        views.append(
            {
                "task": str(task),
                "identity": f"{name}@{sha256[:12]}" if sha256 else name,
                "licence": str(card.get("licence", "")),
                "left_out": [m for m in measured if not _steered(m)],
                "validation": [m for m in measured if _steered(m)],
                "not_validated": [str(text) for text in card.get("not_validated", ())],
            }
        )
    return views


def _steered(measured: Mapping[str, Any]) -> bool:
    """Was it measured on data by which the training was steered?"""
    return "validation" in str(measured.get("on", ""))


def relative_address(out: Path, path: Path) -> str:
    """URL of a file in OUT, relative to the report: every odd character is escaped, `#` and `?` among them."""
    return "/".join(quote(os.fsencode(part), safe="") for part in path.relative_to(out).parts)


def shown(text: str) -> str:
    """Text that UTF-8 can hold: what of a name is no Unicode becomes a replacement character."""
    return re.sub("[\ud800-\udfff]", "\ufffd", text)


def fixed(value: object, decimals: int = 0) -> str:
    """A number for people; a dash for none.

    >>> fixed(12.345, 1), fixed(None)
    ('12.3', '–')
    """
    return f"{value:.{decimals}f}" if isinstance(value, int | float) else "–"


def moment(time: object) -> str:
    """An ISO time for people.

    >>> moment("2025-01-31T10:20:30+00:00")
    '2025-01-31 10:20 UTC'
    """
    return re.sub(r"T(\d\d:\d\d)(:\d\d)?\+00:00$", r" \1 UTC", str(time))
