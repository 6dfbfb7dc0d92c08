"""`gloinone train check` on a drawn slide whose truth is right, missing, elsewhere, or of another size."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from gloinone.cli.main import program
from gloinone.drawn.config import SceneConfig
from gloinone.drawn.slide import draw_slide


@pytest.fixture(scope="module")
def slides(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A drawn slide of 1400 x 1100 px with its truth."""
    folder = tmp_path_factory.mktemp("slides")
    config = SceneConfig(
        1400, 1100, normal=3, obsolescent=1, solidified=0, disappearing=0, decoys=1, seed=1, mpp=1.0
    )
    draw_slide(folder / "a.tif", config)
    return folder


def check(slides: Path, truth: Path, *more: str) -> Result:
    return CliRunner().invoke(
        program, ["train", "check", "--slides", str(slides), "--truth", str(truth), *more]
    )


def moved(slides: Path, folder: Path, move: Callable[[np.ndarray], np.ndarray]) -> Path:
    """The slide's truth with every point moved."""
    document = json.loads((slides / "a.truth.geojson").read_text("utf-8"))
    for feature in document["features"]:
        rings = feature["geometry"]["coordinates"]
        feature["geometry"]["coordinates"] = [move(np.array(ring)).tolist() for ring in rings]
    folder.mkdir(exist_ok=True)
    (folder / "a.geojson").write_text(json.dumps(document), "utf-8")
    return folder


def test_what_fits_is_told_and_accepted(slides: Path) -> None:
    result = check(slides, slides)
    assert result.exit_code == 0, result.output
    row = next(line for line in result.output.splitlines() if line.startswith("a.tif"))
    assert row.split()[1:4] == ["a.truth.geojson", "100%", "100%"]
    assert 100 < float(row.split()[4]) < 300
    assert "normal 3" in row
    assert "obsolescent 1" in row
    assert "all fits" in result.output


def test_a_mask_of_another_size_is_named(slides: Path, tmp_path: Path) -> None:
    Image.new("L", (700, 550)).save(tmp_path / "a.png")
    result = check(slides, tmp_path)
    assert result.exit_code == 1
    assert "a.png: the mask is 700 x 550 px, but the slide 1400 x 1100" in result.output


def test_no_match_is_named(slides: Path, tmp_path: Path) -> None:
    (tmp_path / "A 1.geojson").write_text((slides / "a.truth.geojson").read_text("utf-8"), "utf-8")
    result = check(slides, tmp_path)
    assert result.exit_code == 1
    assert "a.tif: no truth in" in result.output
    assert "no slide for A 1.geojson" in result.output


@pytest.mark.parametrize(
    ("move", "mend"),
    [
        (lambda ring: ring * 4, "beyond the slide: is the slide a smaller copy?"),
        (lambda ring: ring / 8, "of the slide: drawn on a smaller copy or another level?"),
        (lambda ring: ring - [5000, 0], "lies in another frame (0% of its outlines on the slide"),
    ],
)
def test_another_frame_is_found(
    slides: Path, tmp_path: Path, move: Callable[[np.ndarray], np.ndarray], mend: str
) -> None:
    result = check(slides, moved(slides, tmp_path / "t", move))
    assert result.exit_code == 1
    assert "lies in another frame" in result.output
    assert mend in result.output


@pytest.mark.parametrize("mpp", ["0.2", "5"])
def test_an_unlikely_size_is_found(slides: Path, tmp_path: Path, mpp: str) -> None:
    table = tmp_path / "mpp.csv"
    table.write_text(f"slide,mpp\na.tif,{mpp}\n", "utf-8")
    result = check(slides, slides, "--mpp-csv", str(table))
    assert result.exit_code == 1
    assert f"outside 60 to 400, at {mpp} um/px (from csv)" in result.output


def test_names_that_are_not_ours_are_counted_and_mapped(slides: Path, tmp_path: Path) -> None:
    text = (slides / "a.truth.geojson").read_text("utf-8").replace('"normal"', '"Glom"')
    (tmp_path / "a.geojson").write_text(text, "utf-8")
    result = check(slides, tmp_path)
    assert result.exit_code == 1
    assert "'Glom' 3" in result.output
    table = tmp_path / "classes.csv"
    table.write_text("name,class\nGlom,normal\nobsolescent,obsolescent\nnon-glomerular,ignore\n", "utf-8")
    mapped = check(slides, tmp_path, "--classes", str(table))
    assert mapped.exit_code == 0, mapped.output
    assert "normal 3" in mapped.output
