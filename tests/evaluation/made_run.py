"""The OUT of a run and its truth, made by hand: slides of 1 um/px with round glomeruli of 50 px."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from gloinone.annotations.columns import CIRCLES, GLOMERULI, SUMMARY
from gloinone.annotations.csv_text import csv_bytes, make_row
from gloinone.annotations.tables import PROBABILITY_COLUMNS
from gloinone.geometry import circle_ring
from gloinone.labels import CLASSES

Y = 200.0
RADIUS = 50.0
SIZE = (6000, 400)


@dataclass(frozen=True)
class Found:
    """One circle of the run at y 200."""

    x: float
    det_score: float
    score: float
    label: str = "normal"
    id: str = ""
    radius: float = RADIUS
    doubt: float | None = None
    flags: str = ""


def write_truth(
    folder: Path,
    stem: str,
    xs: Sequence[float],
    cut: Sequence[float] = (),
    label: str | Sequence[str] = "glomerulus",
    radius: float = RADIUS,
) -> None:
    """Circles of 64 vertices at y 200."""
    labels = [label] * len(xs) if isinstance(label, str) else label

    def feature(x: float, name: str, is_cut: bool) -> dict[str, object]:
        ring = circle_ring(x, Y, radius).tolist()
        properties = {"classification": {"name": name}, "cut": is_cut}
        return {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [[*ring, ring[0]]]},
            "properties": properties,
        }

    features = [feature(x, name, False) for x, name in zip(xs, labels, strict=True)]
    features += [feature(x, "glomerulus", True) for x in cut]
    path = folder / f"{stem}.geojson"
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))


def write_run(
    out: Path,
    slides: dict[str, Sequence[Found]],
    tissue_mm2: float = 1.0,
    unsettled: Mapping[str, str] | None = None,
) -> None:
    """Tables and masks; the mask of each glomerulus is its circle, and everything is tissue."""
    summary = []
    for name, circles in slides.items():
        folder = out / "slides" / name
        (folder / "masks").mkdir(parents=True)
        rows, glomeruli = [], []
        for found in circles:
            values = _values(name, found)
            rows.append(make_row(CIRCLES, values | {"glomerulus": found.id}))
            if found.id:
                mask = f"slides/{name}/masks/{found.id}.png"
                own = {"id": found.id, "mpp": 1.0, "mask": mask, "doubt": found.doubt, "flags": found.flags}
                glomeruli.append(make_row(GLOMERULI, values | own))
                _write_mask(out / mask, found)
        (folder / "circles.csv").write_bytes(csv_bytes(CIRCLES, rows))
        (folder / "glomeruli.csv").write_bytes(csv_bytes(GLOMERULI, glomeruli))
        facts = {"slide": name, "status": "done", "mpp": 1.0, "tissue_mm2": tissue_mm2}
        assert cv2.imwrite(str(folder / "tissue.png"), np.full((SIZE[1] // 10, SIZE[0] // 10), 255, np.uint8))
        summary.append(make_row(SUMMARY, facts | {"width_px": SIZE[0], "height_px": SIZE[1]}))
    for name, status in (unsettled or {}).items():
        summary.append(make_row(SUMMARY, {"slide": name, "status": status}))
    (out / "summary.csv").write_bytes(csv_bytes(SUMMARY, summary))


def _values(name: str, found: Found) -> dict[str, object]:
    half = found.radius + 12.5
    sure = [0.8 if label == found.label else 0.05 for label in CLASSES]
    return {
        "slide": name,
        "x": found.x,
        "y": Y,
        "radius": found.radius,
        "det_score": found.det_score,
        "score": found.score,
        "class": found.label,
        **dict(zip(PROBABILITY_COLUMNS, sure, strict=True)),
        "crop_x": found.x - half,
        "crop_y": Y - half,
        "crop_width": 2 * half,
        "crop_height": 2 * half,
        "crop_mpp": 2 * half / 250,
    }


def _write_mask(path: Path, found: Found) -> None:
    """250 px for the crop's edge."""
    half = found.radius + 12.5
    at = (np.arange(250) + 0.5) * (2 * half / 250) - half
    inside = at[:, None] ** 2 + at[None, :] ** 2 < found.radius**2
    assert cv2.imwrite(str(path), inside.astype(np.uint8) * 255)
