"""result.json: what the tables round or leave out, so that every file of a slide can be written again without it.

Numbers stand in it to the last bit. Pixels are not in it: they lie beside it, in thumbnail.jpg, tissue.png and crops/.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from gloinone.annotations.bounded import read_bounded
from gloinone.doubts import Doubts
from gloinone.errors import AnnotationError
from gloinone.geometry import ring_mask
from gloinone.labels import ClassRule
from gloinone.records import Candidate, Detection, Glomerulus, Origin, Outline, SlideInfo, SlideResult, Window

RESULT = "result.json"
FORMAT = 3


@dataclass(frozen=True)
class SavedOutline:
    """What the segmenter made of a circle, whether the circle is now kept or not."""

    outline: Outline
    at_edge: bool
    doubts: Doubts
    """But for what follows from the candidate and the threshold: near_cut, votes_missing."""


@dataclass(frozen=True)
class SavedResult:
    """What stands in result.json: a SlideResult but for its pixels; fields of the same names mean the same."""

    info: SlideInfo
    overview: Window
    """Of the overview and of tissue.png."""
    origin: Origin
    tissue_mm2: float
    tissue_read_fraction: float
    notes: tuple[str, ...]
    unread: tuple[tuple[float, float, float, float], ...]
    subtype_validated: bool
    voters: int
    doubts: Doubts
    rule: ClassRule
    candidates: tuple[Candidate, ...]
    outlines: Mapping[int, SavedOutline]
    """By the place of the circle among the candidates, from 0."""


def result_bytes(result: SlideResult, outlined: Mapping[int, Glomerulus]) -> bytes:
    """Text of result.json; ``outlined``: by place among the candidates, whatever the segmenter has seen."""
    plain = ("tissue_mm2", "tissue_read_fraction", "notes", "unread", "subtype_validated", "voters")
    said = {
        "format": FORMAT,
        "info": asdict(result.info),
        "origin": asdict(result.origin),
        "overview": asdict(result.overview.window),
        "doubts": asdict(result.doubts),
        "rule": asdict(result.rule),
        **{name: getattr(result, name) for name in plain},
        "candidates": [asdict(candidate) for candidate in result.candidates],
        "outlines": [
            {
                "candidate": place,
                "at_edge": g.at_edge,
                "doubts": asdict(replace(g.doubts, near_cut=None, votes_missing=None)),
                "source": g.outline.source,
                "flagged": g.outline.flagged,
                "ring": g.outline.ring.tolist(),
                "window": asdict(g.outline.window),
            }
            for place, g in sorted(outlined.items())
        ],
    }
    return _text(said)


def with_origin(data: bytes, origin: Origin) -> bytes:
    """The same result.json of another patient and stain."""
    return _text({**json.loads(data), "origin": asdict(origin)})


def _text(said: Mapping[str, Any]) -> bytes:
    return (json.dumps(said, separators=(",", ":"), default=_plain) + "\n").encode("ascii")


def _plain(value: object) -> object:
    """A number of numpy as one of Python."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} has no place in {RESULT}")


def read_saved_result(folder: Path) -> SavedResult:
    """Of a slide's folder. Raises AnnotationError where there is none, or one that cannot be understood."""
    path = folder / RESULT
    try:
        said = json.loads(read_bounded(path))
        if said["format"] != FORMAT:
            raise ValueError(f"format {said['format']}")
        return _saved(said)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise AnnotationError(f"{path}: cannot be understood ({error}); run that slide again") from error


def _saved(said: Mapping[str, Any]) -> SavedResult:
    candidates = tuple(_candidate(one) for one in said["candidates"])
    return SavedResult(
        info=_info(said["info"]),
        origin=Origin(**said["origin"]),
        overview=Window(**said["overview"]),
        tissue_mm2=float(said["tissue_mm2"]),
        tissue_read_fraction=float(said["tissue_read_fraction"]),
        notes=tuple(said["notes"]),
        unread=tuple((x0, y0, x1, y1) for x0, y0, x1, y1 in said["unread"]),
        subtype_validated=bool(said["subtype_validated"]),
        voters=int(said["voters"]),
        doubts=Doubts(**said["doubts"]),
        rule=ClassRule(**said["rule"]),
        candidates=candidates,
        outlines={int(one["candidate"]): _outline(one) for one in said["outlines"]},
    )


def _info(said: Mapping[str, Any]) -> SlideInfo:
    """JSON knows lists only."""
    lists = {name: tuple(value) for name, value in said.items() if isinstance(value, list)}
    return SlideInfo(**{**said, **lists})


def _candidate(said: Mapping[str, Any]) -> Candidate:
    p1, p2, p3, p4, p5 = said["probabilities"]
    window, detection = Window(**said["window"]), Detection(**said["detection"])
    return Candidate(detection, (p1, p2, p3, p4, p5), said["score"], said["label"], window)


def _outline(said: Mapping[str, Any]) -> SavedOutline:
    ring, window = np.array(said["ring"], np.float64), Window(**said["window"])
    mask = ring_mask(window.image_from_l0(ring), window.width_px, window.height_px)
    outline = Outline(ring, said["source"], said["flagged"], mask, window)
    return SavedOutline(outline, said["at_edge"], Doubts(**said["doubts"]))
