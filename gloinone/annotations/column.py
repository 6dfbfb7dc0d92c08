"""What a column of our tables is."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Column:
    """One column of a table."""

    name: str
    unit: str
    """As a person writes it; "-" for words and pure numbers."""
    meaning: str
    kind: Literal["text", "int", "float", "bool"] = "text"
    decimals: int = 0
    """Of a float; fixed, so that the same number is the same bytes."""


def float_column(name: str, unit: str, decimals: int, meaning: str) -> Column:
    """Of a number with so many decimals."""
    return Column(name, unit, meaning, "float", decimals)


def count_column(name: str, meaning: str) -> Column:
    """Of a number of glomeruli."""
    return Column(name, "glomeruli", meaning, "int")
