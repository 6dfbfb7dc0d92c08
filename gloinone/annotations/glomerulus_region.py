"""Our glomeruli as regions, in the three shapes that XML and GeoJSON can show."""

from gloinone.annotations.csv_text import Row
from gloinone.annotations.region import DECIMALS, OutputShape, Region, ellipse_ring
from gloinone.annotations.tables import PROBABILITY_COLUMNS, glomerulus_rows
from gloinone.geometry import circle_ring
from gloinone.labels import CLASSES, COLOURS, p_sclerosed
from gloinone.records import Glomerulus, SlideResult

MEASUREMENTS = (
    "det_score",
    "score",
    *PROBABILITY_COLUMNS,
    "p_sclerosed",
    "diameter_um",
    "area_um2",
    "perimeter_um",
    "circularity",
)
"""Columns of glomeruli.csv that a region carries along as numbers."""
VOTES = "votes"
"""Such a column too, where there were several votes."""
DARKEST = 0.4
"""Of a class's colour, what would be left of it without any vote."""
METADATA = ("subtype_validated", "at_edge", "outline", "outline_flagged")
"""Those that it carries as words; QuPath shows them from 0.5 on."""
OWN_COLUMNS = ("Description", "Probability")
"""Of the region table in ImageScope."""


def glomerulus_regions(result: SlideResult, shape: OutputShape = "outline") -> list[Region]:
    """One region per glomerulus, by number; its measures are the numbers of glomeruli.csv, to the digit."""
    glomeruli = sorted(result.glomeruli, key=lambda glomerulus: glomerulus.number)
    rows = glomerulus_rows(result)
    regions = []
    for g, row in zip(glomeruli, rows, strict=True):
        regions.append(_region(g, row, shape, result.voters))
    return regions


def _region(g: Glomerulus, row: Row, shape: OutputShape, voters: int) -> Region:
    probability = g.candidate.probabilities[CLASSES.index(g.label)]
    sclerosed = p_sclerosed(g.candidate.probabilities)
    detection = g.candidate.detection
    # rounded as in the tables, so that a file made from them later is the same
    cx, cy, radius = (round(v, DECIMALS) for v in (detection.cx, detection.cy, detection.radius))
    box = (cx - radius, cy - radius, cx + radius, cy + radius) if shape == "ellipse" else None
    ring = g.outline.ring
    if box:
        ring = ellipse_ring(box)
    elif shape == "polygon":
        ring = circle_ring(cx, cy, radius)
    description = f"{g.label}; p_sclerosed {sclerosed:.2f}; score {g.candidate.score:.2f}"
    names, colour = MEASUREMENTS, {}
    if voters > 1:
        description += f"; {detection.votes} of {voters} votes, mean score {detection.score:.2f}"
        names = (*MEASUREMENTS, VOTES)
    if detection.votes < voters:
        colour = {"color": list(vote_colour(COLOURS[g.label], detection.votes / voters))}
    return Region(
        ring=ring,
        label=g.label,
        text=f"{g.id} {probability:.2f}",
        id=g.id,
        shape="ellipse" if box else "polygon",
        box=box,
        measures={name: float(row[name]) for name in names if row[name]},
        properties={
            "Description": description,
            "Probability": f"{probability:.4f}",
            "metadata": {name: row[name] for name in METADATA},
            **colour,
        },
    )


def vote_colour(colour: tuple[int, int, int], share: float) -> tuple[int, int, int]:
    """RGB of a class, the darker the smaller the share of the votes, 0..1: the class must remain to be seen.

    QuPath shows it instead of the class's own, which stays where all voted.

    >>> vote_colour((255, 255, 0), 1.0), vote_colour((255, 255, 0), 0.5), vote_colour((255, 255, 0), 0.0)
    ((255, 255, 0), (178, 178, 0), (102, 102, 0))
    """
    red, green, blue = (round(part * (DARKEST + (1 - DARKEST) * share)) for part in colour)
    return red, green, blue
