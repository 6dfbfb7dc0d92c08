"""`gloinone train check`: whether slides and truth fit together, before a training."""

from typing import TYPE_CHECKING, Any

import click

from gloinone.cli.training_options import TRUTH_OPTIONS, with_options
from gloinone.errors import UsageError

if TYPE_CHECKING:
    from gloinone.training.check import Checked

COLUMNS = ("slide", "truth", "inside", "on tissue", "median um", "areas by class")


@click.command(
    "check",
    epilog="Example: gloinone train check --slides biopsies --truth biopsies --mpp-csv biopsies/slides.csv",
)
@with_options(TRUTH_OPTIONS)
@click.pass_context
def command(context: click.Context, /, **options: Any) -> None:
    """Check that every slide has its truth, in the right frame and of a likely size.

    A line per slide: truth file, share of its outlines inside the slide and on tissue, median diameter, areas by
    class. What is wrong is named with its mend, and the exit status is 1.
    """
    from gloinone.cli.training_inputs import slide_folders
    from gloinone.training.check import check_folder, unused_truth

    if not options["slides"]:
        raise UsageError("nothing to check; give --slides and --truth")
    mends = []
    for folder in slide_folders(options):
        rows = check_folder(folder, click.echo)
        for line in table(rows):
            click.echo(line)
        mends += [mend for row in rows for mend in row.mends]
        for name in unused_truth(folder, rows):
            click.echo(f"no slide for {name}")
    click.echo(f"{len(mends)} to mend" if mends else "all fits")
    for mend in mends:
        click.echo(f"- {mend}", err=True)
    context.exit(1 if mends else 0)


def table(rows: "list[Checked]") -> list[str]:
    """Columns of even width; - stands for what cannot be told."""
    cells: list[tuple[str, ...]] = [COLUMNS]
    for row in rows:
        numbers = (f"{row.inside:.0%}", f"{row.on_tissue:.0%}", f"{row.median_um:.0f}")
        counts = ", ".join(f"{name} {count}" for name, count in row.counts.items())
        told = ("-" if "nan" in number else number for number in numbers)
        cells.append((row.slide, row.truth or "-", *told, counts or "-"))
    widths = [max(len(line[i]) for line in cells) for i in range(len(COLUMNS))]
    return ["  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in cells]
