"""``gloinone run`` with several detectors, and with ``--tta``: votes and mean scores in every file it writes."""

import json
import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from lxml import etree

from gloinone.annotations.columns import CIRCLES, GLOMERULI
from gloinone.annotations.csv_text import read_table
from gloinone.cli.main import program
from gloinone.drawn.config import SceneConfig
from gloinone.drawn.slide import draw_slide
from gloinone.labels import COLOURS
from gloinone.weights.card import read_card
from gloinone.weights.store import ModelPaths, find_model, load_state, model_dirs, save_model

TOGETHER = ("--detector", "detector", "--detector", "low")
SAID = re.compile(r"; (\d) of (\d) votes, mean score (\d\.\d\d)$")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small drawn slide, and beside it a model: the shipped detector with a bias that makes it score low."""
    folder = tmp_path_factory.mktemp("votes")
    scene = SceneConfig(
        1500, 1000, normal=2, obsolescent=1, solidified=0, disappearing=0, decoys=0, seed=1, mpp=1.5
    )
    draw_slide(folder / "a.tif", scene)
    paths: ModelPaths = find_model("detector", "detector", model_dirs())
    card = read_card(paths.card)
    state = load_state(paths, card)
    state["heat.2.bias"] -= 1.5
    assert card.threshold is not None
    low = with_odds(card.threshold, math.exp(-1.5))
    save_model(
        folder / "models" / "low",
        state,
        replace(card, name="low", threshold=low, floor=low / 3, deepest_floor=None),
    )
    return folder


def with_odds(score: float, factor: float) -> float:
    """A score whose odds are so many times those of ``score``."""
    odds = factor * score / (1 - score)
    return odds / (1 + odds)


def voted(folder: Path, words: tuple[str, ...]) -> Path:
    """OUT of a run with these words; one that is there already is done, so it costs next to nothing."""
    out = folder / "-".join(words)
    common = ["--models", str(folder / "models"), "--device", "cpu", "--min-votes", "1"]
    result = CliRunner().invoke(program, ["run", str(folder / "a.tif"), str(out), *common, *words])
    assert result.exit_code == 0, result.output
    return out


@pytest.fixture(scope="module")
def alone(folder: Path) -> Path:
    """What the shipped detector gives by itself."""
    out = folder / "alone"
    result = CliRunner().invoke(program, ["run", str(folder / "a.tif"), str(out), "--device", "cpu"])
    assert result.exit_code == 0, result.output
    return out


@pytest.mark.slow
def test_scores_are_on_the_common_scale(folder: Path, alone: Path) -> None:
    """The other detector says the same lower: brought to one threshold, both say what one says at its own."""
    best = max(float(str(row["det_score"])) for row in read_table(alone / "glomeruli.csv", GLOMERULI))
    own, low = (
        read_card(find_model(name, "detector", model_dirs([folder / "models"])).card).threshold
        for name in ("detector", "low")
    )
    assert own
    assert low
    common = (own + low) / 2
    rows = read_table(voted(folder, TOGETHER) / "glomeruli.csv", GLOMERULI)
    found = max(float(str(row["det_score"])) for row in rows)
    assert found == pytest.approx(with_odds(best, common / (1 - common) * (1 - own) / own), abs=0.02)


@pytest.mark.slow
@pytest.mark.parametrize(("words", "voters"), [(TOGETHER, 2), (("--tta",), 4)])
def test_votes_and_mean_score_are_in_every_file(folder: Path, words: tuple[str, ...], voters: int) -> None:
    out = voted(folder, words)
    rows = {str(row["id"]): row for row in read_table(out / "glomeruli.csv", GLOMERULI)}
    assert len(rows) >= 2
    assert {row["votes"] for row in rows.values()} <= set(range(1, voters + 1))
    assert max(int(str(row["votes"])) for row in rows.values()) == voters
    circles = {str(row["glomerulus"]): row for row in read_table(next(out.rglob("circles.csv")), CIRCLES)}
    features = json.loads(next(out.rglob("a.geojson")).read_text())["features"]
    assert {feature["properties"]["name"] for feature in features} == rows.keys()
    for feature in features:
        properties = feature["properties"]
        row = rows[properties["name"]]
        assert circles[properties["name"]]["votes"] == row["votes"]
        assert properties["measurements"]["votes"] == row["votes"]
        assert properties["measurements"]["det_score"] == row["det_score"]
        assert properties["classification"]["color"] == list(COLOURS[str(row["class"])])
        assert ("color" in properties) == (row["votes"] != voters)
    told = {}
    for region in etree.parse(next(out.rglob("a.xml"))).iter("Region"):
        said = SAID.search(region.find("Attributes")[0].get("Value"))
        assert said
        told[region.get("Text").split()[0]] = (int(said[1]), int(said[2]), said[3])
    assert told == {
        name: (row["votes"], voters, f"{float(str(row['det_score'])):.2f}") for name, row in rows.items()
    }


@pytest.mark.slow
def test_one_detector_says_nothing_of_votes(alone: Path) -> None:
    rows = read_table(alone / "glomeruli.csv", GLOMERULI)
    assert {row["votes"] for row in rows} == {1}
    assert "votes" not in next(alone.rglob("a.xml")).read_text()
    geojson = next(alone.rglob("a.geojson")).read_text()
    assert "votes" not in geojson
    assert all("color" not in feature["properties"] for feature in json.loads(geojson)["features"])
