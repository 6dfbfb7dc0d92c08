"""Votes of several detectors or views in the tables, the XML and the GeoJSON."""

import json
from dataclasses import replace

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
        assert properties["color"] == list(vote_colour(number / 4))
        assert properties["classification"]["color"] == list(COLOURS[row["class"]])
    texts = [
        region.find("Attributes")[0].get("Value")
        for region in etree.fromstring(imagescope_bytes(result)).iter("Region")
    ]
    assert [text.rpartition("; ")[2] for text in texts] == [f"{n} of 4 votes" for n in (1, 2, 3, 4)]


def test_with_one_vote_nothing_but_the_column_says_so(make_result) -> None:
    result = make_result()
    assert {row["votes"] for row in glomerulus_rows(result)} == {"1"}
    for data in (geojson_bytes(result), imagescope_bytes(result)):
        assert b"votes" not in data
    assert b'"color":[128' not in geojson_bytes(result)
