"""What a wrong resolution costs: the table of a folder's slides with each mpp times a factor of its own.

    python -m benchmarks.wrong_mpp fields/slides.csv --seed 0 > wrong.csv
    gloinone run fields/ out/ --mpp-csv wrong.csv
    gloinone evaluate detection out/ fields/

Many a picture comes with a resolution that somebody guessed. Factors are log-uniform, the same for the same seed and
order of rows; the truth is in pixels and stays.
"""

import argparse
import csv
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

LOWEST, HIGHEST = 0.7, 1.4


def wrong(
    rows: Iterable[Mapping[str, str]], seed: int, lowest: float = LOWEST, highest: float = HIGHEST
) -> Iterator[dict[str, str]]:
    """The rows with another mpp, um/px; all else as it is."""
    rng = np.random.default_rng(seed)
    for row in rows:
        factor = np.exp(rng.uniform(np.log(lowest), np.log(highest)))
        yield {**row, "mpp": f"{float(row['mpp']) * factor:.5f}"}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table", type=Path, help="CSV with a column mpp, as for --mpp-csv")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--lowest", type=float, default=LOWEST, help="factor; default: %(default)s")
    parser.add_argument("--highest", type=float, default=HIGHEST, help="factor; default: %(default)s")
    given = parser.parse_args()
    with given.table.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        writer = csv.DictWriter(sys.stdout, reader.fieldnames or (), lineterminator="\n")
        writer.writeheader()
        writer.writerows(wrong(reader, given.seed, given.lowest, given.highest))


if __name__ == "__main__":
    main()
