"""The three tables: their columns, their numbers, their bytes, and reading them back."""

import csv
import io
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gloinone.annotations.columns import CIRCLES, GLOMERULI, SUMMARY, TABLES
from gloinone.annotations.columns_page import columns_markdown
from gloinone.annotations.csv_text import csv_bytes, make_row, numbers, parse_table, read_table, rows_of_table
from gloinone.annotations.tables import (
    MadeWith,
    circle_rows,
    glomerulus_rows,
    summary_row,
    summary_row_without_result,
)
from gloinone.errors import AnnotationError

MADE_WITH = MadeWith(
    "detector@0123456789ab", "classifier@0123456789ab", "segmenter@0123456789ab", "0.1.0", 0.25
)


def plain(data: bytes) -> list[dict[str, str]]:
    """As any other program reads it."""
    return list(csv.DictReader(io.StringIO(data.decode(), newline="")))


def names(columns: object) -> str:
    return ", ".join(column.name for column in columns)  # type: ignore[attr-defined]


def test_headers_are_those_that_users_were_promised():
    assert names(SUMMARY) == (
        "slide, status, reason, width_px, height_px, mpp, mpp_source, vendor, tissue_mm2, "
        "tissue_read_fraction, n_circles, n_glomeruli, n_normal, n_obsolescent, n_solidified, n_disappearing, "
        "n_sclerosed, percent_sclerosed, percent_sclerosed_low, percent_sclerosed_high, glomeruli_per_mm2, "
        "diameter_um_median, area_um2_median, detector, classifier, segmenter, version, n_pieces, "
        "percent_sclerosed_piece_mean, n_cores, n_glomeruli_once, volume_um3_weibel_gomez, volume_um3_profile, "
        "patient, stain, blur_um, pen_share, fold_share, stain_distance, nuclei_um, n_flagged, doubt, flags, "
        "feature_distance, score_shift, min_score"
    )
    assert names(GLOMERULI) == (
        "slide, id, x, y, radius, det_score, score, class, p_normal, p_obsolescent, p_solidified, "
        "p_disappearing, p_nonglomerular, p_sclerosed, subtype_validated, diameter_um, area_um2, perimeter_um, "
        "circularity, at_edge, outline, mpp, crop_x, crop_y, crop_width, crop_height, crop_mpp, crop, mask, "
        "outline_flagged, votes, piece, core, level, glomerulus_track, patient, stain, blur_um, pen_share, "
        "fold_share, near_cut, doubt, flags, votes_missing"
    )
    assert names(CIRCLES) == (
        "slide, x, y, radius, det_score, score, class, p_normal, p_obsolescent, p_solidified, p_disappearing, "
        "p_nonglomerular, p_sclerosed, glomerulus, crop_x, crop_y, crop_width, crop_height, crop_mpp, "
        "votes"
    )


def test_the_page_of_columns_is_the_one_made_from_the_code(repository: Path):
    page = (repository / "docs" / "columns.md").read_text("utf-8")
    assert page == columns_markdown()
    for columns, _ in TABLES.values():
        for column in columns:
            assert f"| {column.name} | {column.unit} | {column.meaning} |" in page
            assert column.meaning
            assert "|" not in column.meaning


def test_summary_counts_the_glomerular_and_only_those(make_result):
    labels = ["normal"] * 6 + ["obsolescent", "solidified", "disappearing", "non-glomerular"]
    row = summary_row(make_result(labels), MADE_WITH)
    assert row["status"] == "done"
    assert row["reason"] == ""
    counts = [row[f"n_{n}"] for n in ("circles", "glomeruli", "normal", "obsolescent", "sclerosed")]
    assert counts == ["11", "9", "6", "1", "3"]
    assert row["percent_sclerosed"] == "33.33"
    # the ends of the interval are the shares p that lie z standard errors from 3 / 9: (3/9 - p)^2 = z^2 p (1 - p) / 9
    share, z2 = 3 / 9, 1.959963984540054**2
    low, high = sorted(np.roots([1 + z2 / 9, -2 * share - z2 / 9, share**2]))
    assert float(row["percent_sclerosed_low"]) == pytest.approx(100 * low, abs=0.0051)
    assert float(row["percent_sclerosed_high"]) == pytest.approx(100 * high, abs=0.0051)
    assert row["glomeruli_per_mm2"] == "0.7200"
    areas = [g.area_um2 for g in make_result(labels).glomeruli[1:9]]  # the first is at the edge
    assert float(row["area_um2_median"]) == pytest.approx(np.median(areas), abs=0.051)
    assert (row["mpp"], row["mpp_source"], row["width_px"]) == ("0.252700", "file", "40000")
    assert (row["detector"], row["version"], row["min_score"]) == (
        "detector@0123456789ab",
        "0.1.0",
        "0.250000",
    )


def test_no_glomeruli_and_no_tissue_leave_empty_what_is_unknown(make_result):
    row = summary_row(make_result([], tissue_mm2=0.0), MADE_WITH)
    empty = [name for name, text in row.items() if text == ""]
    assert empty == [
        "reason",
        "percent_sclerosed",
        "percent_sclerosed_low",
        "percent_sclerosed_high",
        "glomeruli_per_mm2",
        "diameter_um_median",
        "area_um2_median",
        "percent_sclerosed_piece_mean",
        "volume_um3_weibel_gomez",
        "volume_um3_profile",
        "patient",
        "stain",
        "blur_um",
        "pen_share",
        "fold_share",
        "stain_distance",
        "nuclei_um",
        "doubt",
        "flags",
        "feature_distance",
        "score_shift",
    ]
    assert (row["n_glomeruli"], row["tissue_mm2"]) == ("0", "0.0000")


@pytest.mark.parametrize(
    ("fraction", "shown", "reason"),
    [(0.75, "0.7500", "25.0 %"), (0.999999, "0.9999", "0.00010 %"), (0.0, "0.0000", "100.0 %")],
)
def test_partial_never_looks_whole(make_result, fraction, shown, reason):
    row = summary_row(make_result(read_fraction=fraction), MADE_WITH)
    assert (row["status"], row["tissue_read_fraction"]) == ("partial", shown)
    assert row["reason"] == f"{reason} of the tissue could not be read"


def test_failed_and_skipped_slides_have_a_row_with_what_is_known(make_result):
    row = summary_row_without_result("a.svs", "failed", "a.svs: no resolution", MadeWith(version="0.1.0"))
    assert {n: t for n, t in row.items() if t} == {
        "slide": "a.svs",
        "status": "failed",
        "reason": "a.svs: no resolution",
        "version": "0.1.0",
    }
    known = summary_row_without_result("a.svs", "failed", "x", MADE_WITH, make_result().info)
    assert (known["width_px"], known["slide"], known["n_glomeruli"]) == ("40000", "a.svs", "")


def test_glomerulus_rows_hold_what_is_in_the_result(make_result):
    result = make_result(["normal", "solidified"])
    first, second = glomerulus_rows(result)
    g = result.glomeruli[1]
    assert (second["id"], second["class"], second["outline"]) == ("G002", "solidified", "mask")
    assert (first["at_edge"], second["at_edge"], second["outline_flagged"]) == ("true", "false", "true")
    assert second["subtype_validated"] == "false"
    validated = glomerulus_rows(replace(result, subtype_validated=True))
    assert {row["subtype_validated"] for row in validated} == {"true"}
    assert second["x"] == "2000.25"
    assert float(second["p_sclerosed"]) == pytest.approx(0.96)
    assert float(second["crop_mpp"]) == pytest.approx(0.2527 * g.candidate.window.width / 256, abs=1e-6)
    assert second["crop"] == "slides/case 7/a.svs/crops/G002.png"
    bare = glomerulus_rows(result, folder="slides/x", crops=False, masks=True)[0]
    assert (bare["crop"], bare["mask"]) == ("", "slides/x/masks/G001.png")


def test_circle_rows_name_the_glomerulus_they_became(make_result):
    result = make_result(["normal", "solidified"])
    assert [row["glomerulus"] for row in circle_rows(result)] == ["G001", "G002", ""]


def test_equal_circles_are_not_given_the_same_glomerulus(make_result):
    result = make_result(["normal"])
    twice = result.candidates[:1] * 2
    object.__setattr__(result, "candidates", twice)
    assert [row["glomerulus"] for row in circle_rows(result)] == ["G001", ""]


def test_bytes_are_plain_utf8_with_lf_and_no_formula(make_result):
    nasty = '=cmd|"x", größe\n+1.svs'
    data = csv_bytes(GLOMERULI, glomerulus_rows(make_result(name=nasty)))
    assert b"\r" not in data
    assert data.endswith(b"\n")
    assert b'"=cmd|""x"", gr\xc3\xb6\xc3\x9fe\n+1.svs"' in data
    assert [row["slide"] for row in plain(data)] == [nasty] * 4
    assert (
        csv_bytes(SUMMARY, [summary_row(make_result(name="-a.svs"), MADE_WITH)]).split(b"\n")[1][:9]
        == b'"-a.svs",'
    )
    assert b"caf\\udce9.svs" in csv_bytes(CIRCLES, circle_rows(make_result(name="caf\udce9.svs")))


def test_minus_zero_and_not_a_number_have_one_spelling():
    row = make_row(
        CIRCLES, {"x": -0.001, "y": float("nan"), "radius": np.float64(1.005), "score": np.float32(0.5)}
    )
    assert (row["x"], row["y"], row["score"], row["slide"]) == ("0.00", "", "0.500000", "")
    with pytest.raises(KeyError, match="no such column: z"):
        make_row(CIRCLES, {"z": 1})


def test_tables_are_read_back_typed(make_result, tmp_path):
    result = make_result()
    path = tmp_path / "glomeruli.csv"
    path.write_bytes(csv_bytes(GLOMERULI, glomerulus_rows(result, crops=False)))
    rows = read_table(path, GLOMERULI)
    assert (rows[0]["at_edge"], rows[1]["at_edge"], rows[0]["crop"]) == (True, False, None)
    np.testing.assert_allclose(
        numbers(rows, "x"), [g.candidate.detection.cx for g in result.glomeruli], atol=0.0051
    )
    summary = csv_bytes(SUMMARY, [summary_row_without_result("a", "failed", "x", MadeWith())])
    assert np.isnan(numbers(parse_table(summary, SUMMARY, "s"), "n_glomeruli")).all()
    assert parse_table(csv_bytes(CIRCLES, []), CIRCLES, "c") == []


@settings(deadline=None, max_examples=100)
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "slide": st.text("aZ,;\"'\n\r\t =+-@#é中😀\u2028\x1c", min_size=1),
                "x": st.none() | st.floats(-1e6, 1e6).map(lambda v: round(v, 2) + 0.0),
            }
        ),
        max_size=4,
    )
)
def test_any_text_and_number_survive(values):
    data = csv_bytes(CIRCLES, [make_row(CIRCLES, v) for v in values])
    rows = parse_table(data, CIRCLES, "c")
    assert [(r["slide"], r["x"]) for r in rows] == [(v["slide"], v["x"]) for v in values]
    assert [r["slide"] for r in plain(data)] == [v["slide"] for v in values]


def test_tables_are_joined_byte_for_byte(make_result):
    a, b = (csv_bytes(GLOMERULI, glomerulus_rows(make_result(name=n))) for n in ("a,\n.svs", "b.svs"))
    both = glomerulus_rows(make_result(name="a,\n.svs")) + glomerulus_rows(make_result(name="b.svs"))
    header = csv_bytes(GLOMERULI, [])
    assert b"".join([header, *(rows_of_table(GLOMERULI, t) for t in (a, header, b))]) == csv_bytes(
        GLOMERULI, both
    )
    with pytest.raises(AnnotationError, match="another version"):
        rows_of_table(GLOMERULI, csv_bytes(CIRCLES, []))


HEADER = csv_bytes(CIRCLES, [])


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "no column slide"),
        (HEADER.replace(b",", b";"), "parted by commas"),
        (HEADER.replace(b"radius,", b""), "no column radius; restore"),
        (HEADER + b"a,1\n", "line 2: 2 fields under 20 columns"),
        (HEADER + b"a,x" + b"," * 18 + b"\n", "line 2, column x: 'x' is not a number"),
        (HEADER + b"a,inf" + b"," * 18 + b"\n", "line 2, column x: 'inf' is not a number"),
        (HEADER + b'"a' + b"," * 19 + b"\n", "line"),
        (HEADER + b"\xff" + b"," * 19 + b"\n", "not UTF-8"),
    ],
)
def test_what_is_no_table_of_ours_names_the_place(data, words):
    with pytest.raises(AnnotationError, match=words) as caught:
        parse_table(data, CIRCLES, "bad.csv")
    assert str(caught.value).startswith("bad.csv: ")


def test_bool_and_int_are_checked_and_a_spreadsheets_mark_is_not_minded():
    assert parse_table(b"\xef\xbb\xbf" + HEADER + b"\n", CIRCLES, "c") == []
    one = csv_bytes(SUMMARY, [make_row(SUMMARY, {"slide": "a", "n_circles": 7})])
    with pytest.raises(AnnotationError, match=r"column n_circles: '7\.5' is not a whole number"):
        parse_table(re.sub(b",7,", b",7.5,", one), SUMMARY, "c")
    with pytest.raises(AnnotationError, match="at_edge: 'yes' is not true or false"):
        parse_table(csv_bytes(GLOMERULI, [make_row(GLOMERULI, {}) | {"at_edge": "yes"}]), GLOMERULI, "c")
