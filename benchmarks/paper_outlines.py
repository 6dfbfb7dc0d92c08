"""The segmentation table: networks and sizes of input against each other, on the same patient-grouped folds.

    python -m benchmarks.paper_outlines --arch deeplabv3 unet --edge 256 512 --out table/ -- \\
        --crops crops/images --masks crops/masks --labels crops/labels.csv --folds 5 --init none

What stands after -- goes to `gloinone train segmenter` as it is; it must hold --folds. Each network has its own folder
under --out, and a fold that is finished is not done again.
"""

import argparse
import csv
import time
from collections.abc import Sequence
from pathlib import Path

from gloinone.cli.main import program
from gloinone.evaluation.folds import MEAN, POOLED
from gloinone.evaluation.tables import Cell, Table
from gloinone.pipeline.atomic import write_atomic

DICE = "mean Dice per glomerulus"


def outline_row(arch: str, edge_px: int, out: Path, more: Sequence[str]) -> tuple[Cell, ...]:
    """Train the folds of one network, and read their table."""
    folder, before = out / f"{arch}-{edge_px}", time.process_time()
    options = ["--arch", arch, "--edge", str(edge_px), "--out", str(folder), "--cache", str(out / "cache")]
    program.main(["train", "segmenter", *options, *more], prog_name="gloinone", standalone_mode=False)
    seconds = time.process_time() - before
    with (folder / "folds.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["fold"]: row for row in csv.DictReader(file)}
    pooled = rows[POOLED]
    values = [float(pooled[column] or "nan") for column in (DICE, "low", "high")]
    return arch, edge_px, int(pooled["items"]), *values, float(rows[MEAN][DICE]), seconds


def main() -> None:
    """Print the table, and write it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--arch", nargs="+", default=["deeplabv3", "unet"])
    parser.add_argument("--edge", nargs="+", type=int, default=[256, 512], help="of the network's input, px")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("more", nargs="*", help="for gloinone train segmenter, after --")
    given = parser.parse_args()
    rows = tuple(outline_row(a, e, given.out, given.more) for a in given.arch for e in given.edge)
    columns = ("network", "input px", "outlines", "mean Dice", "low", "high", "mean of the folds", "CPU s")
    table = Table(
        "outlines", "Segmentation, each outline by weights that never saw its patient", columns, rows
    )
    write_atomic(given.out / "outlines.csv", table.csv_bytes())
    print(table.markdown())


if __name__ == "__main__":
    main()
