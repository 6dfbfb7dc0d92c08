"""gloinone compare: machine against reader, from XML and GeoJSON that came back corrected."""

from pathlib import Path

import click

from gloinone.cli.errors import verbose_option
from gloinone.cli.evaluate_options import FILE, FOLDER, PLACE, publish


@click.command(epilog="Example: gloinone compare out/ corrected/ --out agreement/")
@click.argument("out", type=FOLDER)
@click.argument("corrected", type=PLACE, nargs=-1)
@click.option(
    "--classes",
    type=FILE,
    help="CSV with the columns name,class for names that are not ours, e.g. GGS,sclerosed.",
)
@click.option(
    "--groups",
    type=FILE,
    help="CSV with the columns slide and patient, where OUT's tables name no patients: intervals draw patients.",
)
@click.option(
    "--out",
    "report",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write tables (Markdown, CSV) and plots (PNG) there; default: OUT/compare.",
)
@verbose_option
def command(
    out: Path,
    corrected: tuple[Path, ...],
    classes: Path | None,
    groups: Path | None,
    report: Path | None,
    verbose: bool,
) -> None:
    """Compare OUT, a finished run, with CORRECTED: files of its slides as a pathologist left them.

    CORRECTED are ImageScope XML or QuPath GeoJSON, or folders of them, named as the slides; without any, those that
    were edited in OUT. What the reader deleted or moved to non-glomerular is added by the machine; what the reader
    drew is missed by it. Kappa, balanced accuracy, missed and added, differences of count and of percent sclerosed by
    slide, piece and patient, Bland-Altman plots.
    """
    from gloinone.annotations.class_names import read_class_names
    from gloinone.errors import UsageError
    from gloinone.evaluation.compare import compare
    from gloinone.evaluation.corrected import corrected_files, load_corrected
    from gloinone.evaluation.groups import read_groups
    from gloinone.pipeline.edited import untouched_files

    own = untouched_files(out)
    files = [file for file in corrected_files(corrected or (out / "slides",)) if file.resolve() not in own]
    if not files:
        raise UsageError(
            f"{', '.join(map(str, corrected)) or out}: no file in it that was corrected; give those that were"
        )
    read = load_corrected(out, files, read_class_names(classes) if classes else None, read_groups(groups))
    publish(compare(read), report or out / "compare")
