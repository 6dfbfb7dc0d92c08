"""gloinone compare: machine against reader, from XML and GeoJSON that came back corrected."""

from pathlib import Path

import click

from gloinone.cli.errors import verbose_option
from gloinone.cli.evaluate_options import FILE, FOLDER, PLACE, keep_patients_out, publish


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
    "--untouched",
    is_flag=True,
    help="Count files that are as the machine wrote them as read and agreed with; without it they are left out.",
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
    untouched: bool,
    report: Path | None,
    verbose: bool,
) -> None:
    """Compare OUT, a finished run, with CORRECTED: files of its slides as a pathologist left them.

    CORRECTED are ImageScope XML or QuPath GeoJSON, or folders of them, named as the slides; without any, those that
    were edited in OUT. A file that is byte for byte as the machine wrote it is no reader's answer (--untouched).
    What the reader deleted or moved to non-glomerular is added by the machine; what the reader drew is missed by it.
    Kappa, balanced accuracy, missed and added, differences of count and of percent sclerosed by slide, piece and
    patient, Bland-Altman plots.
    """
    from gloinone.annotations.class_names import read_class_names
    from gloinone.evaluation.compare import compare
    from gloinone.evaluation.corrected import load_corrected
    from gloinone.evaluation.corrected_files import corrected_files
    from gloinone.evaluation.groups import read_groups
    from gloinone.pipeline.edited import written_files

    report = report or out / "compare"
    keep_patients_out(out, groups, report)
    files = corrected_files(corrected or (out / "slides",))
    names = read_class_names(classes) if classes else None
    read = load_corrected(out, files, names, read_groups(groups), written_files(out), untouched)
    if read.strangers:
        click.echo(f"of no slide of {out}: {read.strangers}", err=True)
    publish(compare(read), report)
