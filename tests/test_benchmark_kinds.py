"""Sorting sclerosed glomeruli by eye: the sheets, the agreement of two readings, and what is trained on."""

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks.kinds import kappa, program

CIRCLE = [[100 + 30 * float(np.cos(a)), 80 + 30 * float(np.sin(a))] for a in np.linspace(0, 2 * np.pi, 40)]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two sclerosed crops and a normal one, and a region with one sclerosed glomerulus."""
    (tmp_path / "crops").mkdir()
    for name in ("a", "b", "c"):
        cv2.imwrite(str(tmp_path / "crops" / f"{name}.png"), np.full((60, 60, 3), 120, np.uint8))
    (tmp_path / "labels.csv").write_text("name,label\na,sclerosed\nb,normal\nc,sclerosed\n")
    (tmp_path / "regions").mkdir()
    cv2.imwrite(str(tmp_path / "regions" / "r.png"), np.full((150, 200, 3), 90, np.uint8))
    feature = {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [[*CIRCLE[:-1], CIRCLE[0]]]},
        "properties": {"objectType": "annotation", "classification": {"name": "sclerosed"}},
    }
    (tmp_path / "regions" / "r.geojson").write_text(
        json.dumps({"type": "FeatureCollection", "features": [feature]})
    )
    return tmp_path


def run(*arguments: object) -> str:
    result = CliRunner().invoke(program, [str(a) for a in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def sheets(data: Path, seed: int) -> list[dict[str, str]]:
    out = data / f"sheets-{seed}"
    sources = ("--crops", data / "crops", "--labels", data / "labels.csv")
    run("sheets", out, "--seed", seed, *sources, "--slides", data / "regions", "--truth", data / "regions")
    assert cv2.imread(str(out / "sheet-00.png")) is not None
    with (out / "order.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_sclerosed_glomerulus_is_on_a_sheet_in_the_order_of_the_seed(data: Path) -> None:
    orders = [[row["item"] for row in sheets(data, seed)] for seed in (1, 1, 2)]
    assert sorted(orders[0]) == ["crops/a", "crops/c", "slides/r@100,80"]
    assert orders[0] == orders[1] != orders[2]


def test_kappa_of_a_hand_worked_case() -> None:
    # 20 and 15 of 50 agreed; by chance (25 * 30 + 25 * 20) / 50^2 = 0.5
    assert kappa(np.array([[20, 5], [10, 15]])) == pytest.approx((0.7 - 0.5) / 0.5)
    assert np.isnan(kappa(np.array([[7, 0], [0, 0]])))


def test_only_what_agreed_is_trained_on(data: Path) -> None:
    readings = data / "kinds.csv"
    readings.write_text(
        "item,first,second\ncrops/a,solidified,solidified\ncrops/c,solidified,cannot say\n"
        '"slides/r@100,80",disappearing,disappearing\n'
    )
    assert "all: n 3" in run("agreement", readings)
    out = data / "sorted"
    said = run("apply", readings, out, "--labels", data / "labels.csv", "--truth", data / "regions")
    assert "2 of 2 agreed kinds written" in said
    assert (out / "labels.csv").read_text().split() == [
        "name,label",
        "a,solidified",
        "b,normal",
        "c,sclerosed",
    ]
    written = json.loads((out / "r.geojson").read_text())
    assert written["features"][0]["properties"]["classification"]["name"] == "disappearing"
