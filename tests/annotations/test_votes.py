"""Votes of several detectors or views in the tables, the XML and the GeoJSON."""

import colorsys
import json
from dataclasses import replace

import numpy as np
import pytest
from lxml import etree

from gloinone.annotations.geojson_write import geojson_bytes
from gloinone.annotations.glomerulus_region import vote_colour
from gloinone.annotations.imagescope_write import imagescope_bytes
from gloinone.annotations.tables import circle_rows, glomerulus_rows
from gloinone.labels import COLOURS
from gloinone.records import SlideResult


def voted(result: SlideResult, voters: int) -> SlideResult:
    """As many voters; glomerulus 1 had one vote, 2 two and so on."""
    glomeruli = tuple(
        replace(g, candidate=replace(g.candidate, detection=replace(g.candidate.detection, votes=g.number)))
        for g in result.glomeruli
    )
    spare = result.candidates[len(glomeruli) :]
    return replace(
        result, glomeruli=glomeruli, candidates=(*(g.candidate for g in glomeruli), *spare), voters=voters
    )


def test_votes_and_mean_score_stand_in_every_file(make_result) -> None:
    result = voted(make_result(), 4)
    rows = glomerulus_rows(result)
    assert [row["votes"] for row in rows] == ["1", "2", "3", "4"]
    assert [row["votes"] for row in circle_rows(result)] == ["1", "2", "3", "4", "1"]
    features = json.loads(geojson_bytes(result))["features"]
    for number, (feature, row) in enumerate(zip(features, rows, strict=True), start=1):
        properties = feature["properties"]
        assert properties["measurements"]["votes"] == number
        assert properties["measurements"]["det_score"] == float(row["det_score"])
        own = COLOURS[row["class"]]
        assert properties["classification"]["color"] == list(own)
        shown = properties.get("color", list(own))
        assert shown == list(vote_colour(own, number / 4))
        assert ("color" in properties) == (number < 4)  # all voted: the class's own, which follows the class
    texts = [
        region.find("Attributes")[0].get("Value")
        for region in etree.fromstring(imagescope_bytes(result)).iter("Region")
    ]
    assert [text.rpartition("; ")[2] for text in texts] == [
        f"{n} of 4 votes, mean score {float(row['det_score']):.2f}" for n, row in enumerate(rows, start=1)
    ]


def test_the_class_can_be_seen_whatever_the_votes() -> None:
    """Hue and purity stay; no two classes meet, nor do more votes get darker."""
    seen = set()
    for name, colour in COLOURS.items():
        hue, saturation, value = colorsys.rgb_to_hsv(*colour)
        values = []
        for share in np.linspace(1 / 8, 1, 8):
            shown = vote_colour(colour, float(share))
            seen.add(shown)
            now = colorsys.rgb_to_hsv(*shown)
            assert now[:2] == pytest.approx((hue, saturation), abs=0.01), name
            values.append(now[2])
        assert values == sorted(values)
        assert values[-1] == value
        assert values[0] > 0.4 * value
    assert len(seen) == 8 * len(COLOURS)


def test_with_one_vote_nothing_but_the_column_says_so(make_result) -> None:
    result = make_result()
    assert {row["votes"] for row in glomerulus_rows(result)} == {"1"}
    for data in (geojson_bytes(result), imagescope_bytes(result)):
        assert b"votes" not in data
    for feature in json.loads(geojson_bytes(result))["features"]:
        assert "color" not in feature["properties"]
