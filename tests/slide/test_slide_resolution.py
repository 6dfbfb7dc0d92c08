"""Microns per pixel: table before file before option, and a message that says what to pass."""

from pathlib import Path

import pytest

from gloinone.errors import ResolutionError, UsageError
from gloinone.slide.resolution import (
    MppTable,
    Resolution,
    check_mpp_option,
    read_mpp_csv,
    resolution_for,
    settle_mpp,
)


def table(folder: Path, content: str | bytes) -> MppTable:
    path = folder / "mpp.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_mpp_csv(path)


def test_order_is_csv_file_option() -> None:
    csv, option, nothing = Resolution(0.3, "csv"), Resolution(0.4, "option"), Resolution()
    assert settle_mpp("a", csv, (0.5, 0.5)) == (0.3, "csv")
    assert settle_mpp("a", csv, None) == (0.3, "csv")
    assert settle_mpp("a", option, (0.5, 0.5)) == (0.5, "file")
    assert settle_mpp("a", option, None) == (0.4, "option")
    assert settle_mpp("a", nothing, (0.5, 0.5)) == (0.5, "file")


def test_the_mean_of_x_and_y_keeps_areas() -> None:
    mpp, _ = settle_mpp("a", Resolution(), (0.50, 0.52))
    assert mpp**2 == pytest.approx(0.50 * 0.52)


@pytest.mark.parametrize(
    ("file_mpp", "problem"),
    [
        (None, "no resolution in the file"),
        ((896.0, 896.0), "claims 896 um/px, outside 0.05 to 20"),
        ((0.01, 0.01), "outside"),
        ((float("nan"), 0.5), "outside"),
        ((0.0, 0.0), "outside"),
        ((0.50, 0.53), "0.5 um/px across but 0.53 down"),
    ],
)
def test_an_unusable_file_fails_and_the_option_mends_it(
    file_mpp: tuple[float, float] | None, problem: str
) -> None:
    with pytest.raises(ResolutionError, match=rf"^a\.svs: .*{problem}.*pass --mpp, e\.g\. --mpp 0\.25"):
        settle_mpp("a.svs", Resolution(), file_mpp)
    assert settle_mpp("a.svs", Resolution(0.25, "option"), file_mpp) == (0.25, "option")


def test_five_percent_between_x_and_y_is_still_right() -> None:
    assert settle_mpp("a", Resolution(), (0.500, 0.525))[1] == "file"


def test_a_table_out_of_range_fails_that_slide() -> None:
    with pytest.raises(ResolutionError, match="correct it in --mpp-csv"):
        settle_mpp("a", Resolution(250.0, "csv"), (0.25, 0.25))


@pytest.mark.parametrize("mpp", [0.01, 0, -1, 21, float("nan")])
def test_an_absurd_option_is_a_usage_error(mpp: float) -> None:
    with pytest.raises(UsageError, match="--mpp"):
        check_mpp_option(mpp)


def test_table_takes_what_spreadsheets_save(tmp_path: Path) -> None:
    for content in (
        "slide,mpp\na.svs,0.25\nx/b.svs,0.5\n",
        "\ufeffSlide , MPP\r\n a.svs , 0.25 \r\n\r\nx/b.svs,0.5",
        "slide;mpp\na.svs;0,25\nx\\b.svs;0,5\n",
        'patient,mpp,slide\n"P, 1",0.25,"a.svs"\nP2,0.5,./x/b.svs\n,,\n',
    ):
        found = table(tmp_path, content).for_slides(["a.svs", "x/b.svs", "c.svs"])
        assert (found.lookup("a.svs"), found.lookup("x/b.svs"), found.lookup("c.svs")) == (0.25, 0.5, None)


def test_other_columns_stay_with_the_row(tmp_path: Path) -> None:
    found = table(tmp_path, "slide,mpp,Patient\na.svs,,P7\n")
    row = found.row("sub/a.svs")
    assert row is not None
    assert row.columns["patient"] == "P7"
    assert row.mpp is None
    assert found.lookup("sub/a.svs") is None


def test_a_file_name_serves_where_it_is_unique(tmp_path: Path) -> None:
    names = ["x/a.svs", "y/a.svs", "y/b.svs"]
    found = table(tmp_path, "slide,mpp\na.svs,0.25\nb.svs,0.5\ngone.svs,1\n").for_slides(names)
    assert [found.lookup(name) for name in names] == [None, None, 0.5]
    first, second = found.unmatched(names)
    assert "line 2: a.svs is the name of several slides; write its path" in first
    assert "line 4: gone.svs matches no slide" in second


def test_a_path_wins_over_a_file_name_of_another_slide(tmp_path: Path) -> None:
    names = ["a.svs", "x/a.svs"]
    found = table(tmp_path, "slide,mpp\na.svs,0.25\nx/a.svs,0.5\n").for_slides(names)
    assert [found.lookup(name) for name in names] == [0.25, 0.5]
    assert found.unmatched(names) == []


def test_a_row_of_the_root_is_not_the_file_name_of_another(tmp_path: Path) -> None:
    found = table(tmp_path, "slide,mpp\na.svs,0.25\n").for_slides(["a.svs", "x/a.svs"])
    assert [found.lookup("a.svs"), found.lookup("x/a.svs")] == [0.25, None]


def test_accents_match_however_they_are_composed(tmp_path: Path) -> None:
    assert table(tmp_path, "slide,mpp\ncafe\u0301 1.svs,0.25\n").lookup("caf\u00e9 1.svs") == 0.25


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("slide,mpp\na.svs,0.25\nb.svs,fast\n", "line 3: 'fast' is no number"),
        ("slide,mpp\na.svs,-1\n", "line 2"),
        ("slide,mpp\na.svs,nan\n", "line 2"),
        ("slide,mpp\na.svs,inf\n", "line 2"),
        ("slide,mpp\na.svs,0.25\n\nb.svs,1\na.svs,0.25\n", "line 5: a.svs is listed twice, first in line 2"),
        ("slide,mpp\n,0.25\n", "line 2: the slide's name is missing"),
        ("slide,microns\na.svs,0.25\n", "line 1: no column mpp"),
        ("mpp\n0.25\n", "line 1: no column slide"),
        ("slide,mpp,mpp\na.svs,1,2\n", "line 1: two columns mpp"),
        ("", "line 1: no column slide"),
        (
            "slide,mpp\na.svs,0,25\n",
            "line 2: more cells than columns; quote what holds a comma, as 0,25 does",
        ),
        ("slide,mpp\na.svs,0_25\n", "line 2: '0_25' is no number"),
        ("slide,mpp,stain\na.svs,1,5\n", r"line 2: 1,5 may be one number or two; write 1\.5, or 1\.0,5"),
        ('slide,mpp\na.svs,0.5\n"b.svs,0.25\nc.svs,0.25\n', "line 3: .* is a quote not closed there"),
        ('slide,mpp\n"' + 9000 * "b.svs,0.25,long enough\n", "line 2: .* is a quote not closed there"),
        ("slide,mpp\n".encode("utf-16"), "UTF-8"),
        ("slide,mpp,patient\na.svs,0.25,M\xfcller\n".encode("latin-1"), "save it as CSV UTF-8"),
    ],
)
def test_a_table_that_cannot_be_understood(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        table(tmp_path, content)
    assert str(tmp_path / "mpp.csv") in str(caught.value)


def test_one_slide_by_name_and_by_path_is_listed_twice(tmp_path: Path) -> None:
    found = table(tmp_path, "slide,mpp\nx/a.svs,0.25\na.svs,0.5\n")
    with pytest.raises(UsageError, match=r"line 3: x/a\.svs is listed twice, first in line 2"):
        found.for_slides(["x/a.svs"])


def test_a_missing_table_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_mpp_csv(tmp_path / "none.csv")


def test_what_the_user_said(tmp_path: Path) -> None:
    found = table(tmp_path, "slide,mpp\na.svs,0.25\n")
    assert resolution_for("a.svs", found, 0.5) == Resolution(0.25, "csv")
    assert resolution_for("b.svs", found, 0.5) == Resolution(0.5, "option")
    assert resolution_for("b.svs", None, None) == Resolution()
    with pytest.raises(ValueError):
        Resolution(0.5, None)
