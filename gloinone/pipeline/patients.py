"""patients.csv: the slides of each patient added up, and those of each of the patient's stains."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from gloinone.annotations.columns import PATIENTS
from gloinone.annotations.csv_text import Row, make_row
from gloinone.labels import GLOMERULAR
from gloinone.learning.bootstrap import share_interval

SUMS = ("n_pieces", "n_glomeruli", *(f"n_{name}" for name in GLOMERULAR), "n_sclerosed")
SlideRow = Mapping[str, str]
"""Of summary.csv."""


def patient_rows(slides: Sequence[SlideRow]) -> list[Row]:
    """Rows of patients.csv, by patient; slides whose patient nobody named stand in none."""
    by_patient: dict[str, list[SlideRow]] = {}
    for slide in slides:
        if patient := slide.get("patient"):
            by_patient.setdefault(patient, []).append(slide)
    return [row for patient in sorted(by_patient) for row in _rows_of(patient, by_patient[patient])]


def _rows_of(patient: str, slides: Sequence[SlideRow]) -> Iterator[Row]:
    yield _sum({"sum_over": "patient", "patient": patient}, slides)
    for stain in sorted({slide["stain"] for slide in slides} - {""}):
        own = [slide for slide in slides if slide["stain"] == stain]
        yield _sum({"sum_over": "stain", "patient": patient, "stain": stain}, own)


def _sum(of: Mapping[str, str], slides: Sequence[SlideRow]) -> Row:
    done = [slide for slide in slides if slide["status"] in ("done", "partial")]
    sums = {name: sum(int(slide.get(name) or 0) for slide in done) for name in SUMS}
    values: dict[str, object] = {
        **of,
        **sums,
        "n_slides": len(done),
        "n_slides_missing": len(slides) - len(done),
        "tissue_mm2": sum(float(slide.get("tissue_mm2") or 0) for slide in done),
    }
    if sums["n_glomeruli"]:
        values["percent_sclerosed"] = 100 * sums["n_sclerosed"] / sums["n_glomeruli"]
    counted = [slide for slide in done if int(slide.get("n_glomeruli") or 0)]
    if len(counted) > 1:
        hits, totals = (
            np.array([float(slide[name]) for slide in counted]) for name in ("n_sclerosed", "n_glomeruli")
        )
        low, high = share_interval(hits, totals)
        values |= {"percent_sclerosed_low": 100 * low, "percent_sclerosed_high": 100 * high}
    return make_row(PATIENTS, values)
