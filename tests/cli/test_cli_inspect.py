"""gloinone inspect: what a slide is, from its overview alone."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner, Result

from gloinone.cli.inspect import duration, expected_seconds
from gloinone.cli.main import program
from gloinone.cores import available_cores
from gloinone.labels import NORMAL
from gloinone.weights.card import Architecture, ModelCard, card_to_json
from gloinone.weights.store import CARD

A_CARD = ModelCard(
    "detector",
    "detector",
    Architecture("circlenet-resnet"),
    512,
    (0, 0, 0),
    (1, 1, 1),
    (NORMAL,),
    "CC0-1.0",
    ("none",),
    "none",
    "a test",
    mpp=1.0,
    margin_um=100.0,
    sha256="ab" * 32,
)


@pytest.fixture(autouse=True)
def _no_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gloinone.weights.store.model_dirs", lambda asked=(): (tmp_path / "models",))


def inspect(*arguments: str | Path) -> Result:
    return CliRunner().invoke(program, ["inspect", *map(str, arguments)])


def lines_of(result: Result) -> dict[str, str]:
    assert result.exit_code == 0, result.output
    return {line[:11].strip(): line[12:] for line in result.output.splitlines()}


def write_slide(path: Path, tissue: bool = True, mpp: float | None = 1.0) -> Path:
    """4096 x 3072 px, of which 1600 x 1200 px are tissue; two levels."""
    rng = np.random.default_rng(0)
    picture = np.full((3072, 4096, 3), 240, np.uint8)
    if tissue:
        grain = np.repeat(np.repeat(rng.integers(80, 220, (150, 200, 1)), 8, 0), 8, 1)
        picture[800:2000, 1000:2600] = grain.astype(np.uint8)
    options: dict[str, object] = {"tile": (256, 256), "photometric": "rgb", "compression": "zlib"}
    if mpp is not None:
        options |= {"resolution": (1e4 / mpp, 1e4 / mpp), "resolutionunit": "CENTIMETER"}
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(picture, **options)
        tiff.write(np.ascontiguousarray(picture[::4, ::4]), subfiletype=1, **options)
    return path


def test_it_says_format_size_levels_resolution_tissue_tiles_and_time(tmp_path: Path) -> None:
    lines = lines_of(inspect(write_slide(tmp_path / "a b.tif")))
    assert lines["slide"] == "a b.tif"
    assert lines["format"] == "generic-tiff"
    assert lines["size"] == "4096 x 3072 px, 4.10 x 3.07 mm"
    assert lines["mpp"] == "1 um/px, from the file"
    assert lines["level 0"] == "4096 x 3072 px, 1 um/px"
    assert lines["level 1"] == "1024 x 768 px, 4 um/px"
    assert float(lines["tissue"].split()[0]) == pytest.approx(1.6 * 1.2, rel=0.1)
    assert re.match(r"[1-9]\d* at 2 um/px; .* times the tissue's area, \d+% of", lines["tiles"])
    assert lines["detector"].startswith("none found")
    assert lines["time"].startswith("about ")


def test_a_detector_that_looks_more_often_takes_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gloinone.cli.inspect.CPU_SECONDS_PER_MEGAPIXEL", 600.0)
    monkeypatch.setattr("gloinone.cli.inspect.available_cores", lambda: 1)
    slide, card = write_slide(tmp_path / "a.tif"), tmp_path / "models" / "detector" / CARD
    card.parent.mkdir(parents=True)
    minutes = []
    for scales in (None, (1.0, 0.5)):
        card.write_text(card_to_json(replace(A_CARD, scales=scales)))
        minutes.append(int(lines_of(inspect(slide))["time"].split()[1]))
    assert minutes[1] == pytest.approx(1.25 * minutes[0], abs=1)


def test_a_slide_without_tissue_has_no_tiles(tmp_path: Path) -> None:
    lines = lines_of(inspect(write_slide(tmp_path / "a.tif", tissue=False)))
    assert lines["tissue"] == "0.00 mm2"
    assert lines["tiles"] == "0 at 2 um/px"


def test_where_the_resolution_came_from(tmp_path: Path) -> None:
    slide = write_slide(tmp_path / "a.tif", mpp=None)
    table = tmp_path / "mpp.csv"
    table.write_text("slide,mpp\na.tif,0.25\n")
    assert lines_of(inspect(slide, "--mpp", "0.5"))["mpp"] == "0.5 um/px, from --mpp"
    both = inspect(slide, "--mpp", "0.5", "--mpp-csv", table)
    assert lines_of(both)["mpp"] == "0.25 um/px, from --mpp-csv"


@pytest.mark.parametrize(
    ("named", "rows", "mpp"),
    [
        ("in/a/x.tif", "a/x.tif,0.25", "0.25 um/px, from --mpp-csv"),
        ("in/a/x.tif", "x.tif,0.5\na\\x.tif,0.25\nin/b/x.tif,2", "0.25 um/px, from --mpp-csv"),
        ("in/a/../a/x.tif", "in/a/x.tif,0.25", "0.25 um/px, from --mpp-csv"),
        ("in", "a/x.tif,0.25", "0.25 um/px, from --mpp-csv"),
        ("in/a/x.tif", "b/x.tif,0.25\nax.tif,0.5", "1 um/px, from the file"),
        ("in/a/x.tif", "a/x.tif,", "1 um/px, from the file"),
    ],
)
def test_a_row_says_any_end_of_the_path(
    named: str, rows: str, mpp: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in/a").mkdir(parents=True)
    write_slide(tmp_path / "in/a/x.tif")
    (tmp_path / "mpp.csv").write_text(f"slide,mpp\n{rows}\n")
    assert lines_of(inspect(tmp_path / named, "--mpp-csv", tmp_path / "mpp.csv"))["mpp"] == mpp
    monkeypatch.chdir(tmp_path / "in/a")
    if named.endswith("x.tif"):
        assert lines_of(inspect("x.tif", "--mpp-csv", tmp_path / "mpp.csv"))["mpp"] == mpp


@pytest.mark.parametrize("rows", ["", "x.tif,80"])
def test_without_resolution_it_says_the_rest(rows: str, tmp_path: Path) -> None:
    (tmp_path / "mpp.csv").write_text(f"slide,mpp\n{rows}\n")
    result = inspect(write_slide(tmp_path / "x.tif", mpp=None), "--mpp-csv", tmp_path / "mpp.csv")
    assert result.exit_code == 2
    assert result.stdout.splitlines() == [
        "slide       x.tif",
        "format      generic-tiff",
        "size        4096 x 3072 px",
        "mpp         not known",
        "level 0     4096 x 3072 px, downsample 1",
        "level 1     1024 x 768 px, downsample 4",
    ]
    assert result.stderr.startswith("error: x.tif: ")
    assert "--mpp" in result.stderr
    assert result.stderr.count("\n") == 1


def test_the_detectors_card_decides_what_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "detector"
    folder.mkdir(parents=True)
    (folder / CARD).write_text(card_to_json(A_CARD))
    lines = lines_of(inspect(write_slide(tmp_path / "a.tif")))
    assert lines["detector"] == "detector@" + "ab" * 6
    assert " at 1 um/px" in lines["tiles"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.svs"], "does not exist"),
        (["empty"], "a folder of 0 slides; name one of them"),
        (["two"], "a folder of 2 slides; name one of them"),
        (["text.svs"], "text.svs: "),
        (["nompp.tif", "--mpp", "80"], "outside 0.05 to 20"),
    ],
)
def test_what_cannot_be_inspected_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("two").mkdir()
    for name in ("two/a.tif", "two/b.tif"):
        Path(name).write_bytes(b"II*\0")
    Path("text.svs").write_text("no slide")
    write_slide(Path("nompp.tif"), mpp=None)
    result = inspect(*arguments)
    assert result.exit_code == 2
    assert message in result.output
    assert result.output.count("\n") == 1


def test_time_grows_with_tiles_and_tissue() -> None:
    assert expected_seconds(0, 0.0) == 0
    assert expected_seconds(2_000_000, 4.0) == pytest.approx(2 * expected_seconds(1_000_000, 2.0))
    assert expected_seconds(1_000_000, 0.0) == pytest.approx(1.0 / available_cores())
    assert [duration(s) for s in (0.2, 40, 200, 9000)] == ["1 s", "40 s", "3 min", "2.5 h"]
