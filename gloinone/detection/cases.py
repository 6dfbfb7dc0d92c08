"""Slides with truth, read once into a cache that training maps into memory."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gloinone.geometry import area_contains
from gloinone.learning.holdout import Origins, held_out, picture_hash
from gloinone.learning.whole import written_whole
from gloinone.records import Pixels, Points

FORMAT = 4
TISSUE_POINTS = 4000
"""Places on tissue kept per slide, from which backgrounds are drawn."""


@dataclass(frozen=True)
class Case:
    """One slide of the training set in the frame of its cached picture."""

    name: str
    source: str
    """The hospital or data set: batches are balanced over these."""
    patient: str
    mpp: float
    """Of the cached picture, um/px."""
    pixels: Pixels
    circles: NDArray[np.float64]
    """(N, 3) cx, cy, radius, px of the picture."""
    ignored: NDArray[np.float64]
    """(M, 3) likewise."""
    tissue: NDArray[np.float64]
    """(T, 2) places on tissue where the truth is complete, px of the picture."""
    tissue_mm2: float
    """All of the slide's."""
    slide_tissue: NDArray[np.float64] | None = None
    """(S, 2) places on any of its tissue, px of the picture; None: ``tissue`` is all there is."""
    false_circles: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 4)))
    """(F, 4) cx, cy, radius, score of a detector's errors, px of the picture; drawn by score."""
    found: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    """(N,) a detector's best score on each of ``circles``, 0 where it misses one; empty: no detector was asked."""
    complete: tuple[Points, ...] | None = None
    """Rings, px of the picture, within which every glomerulus is known; None: everywhere."""
    holes: tuple[Points, ...] = ()
    """Of these."""

    def __post_init__(self) -> None:
        if self.pixels.ndim != 3 or self.pixels.dtype != np.uint8:
            raise ValueError(f"{self.name}: a picture is (H, W, 3) uint8")

    @property
    def is_partial(self) -> bool:
        """Nowhere is every glomerulus known, so that nothing found can be called false."""
        return self.complete == ()

    @property
    def places(self) -> NDArray[np.float64]:
        """(P, 2) where a prediction is worth making, px of the picture."""
        if self.complete is None:
            return self.tissue
        return np.concatenate([self.tissue, self.circles[:, :2]])

    def is_scored(self, points: NDArray[np.float64]) -> NDArray[np.bool_]:
        """(N,) whether what is found at (N, 2+) x, y can be called right or wrong.

        Where the truth is complete; in a partial case within a known glomerulus, where it is right.
        """
        if self.complete is None:
            return np.ones(len(points), np.bool_)
        if not self.complete:
            gap = np.hypot(*(points[:, None, :2] - self.circles[None, :, :2]).transpose(2, 0, 1))
            return np.asarray((gap <= self.circles[:, 2]).any(axis=1), np.bool_)
        return area_contains(self.complete, self.holes, points)


def split_cases(cases: Sequence[Case], named: frozenset[str] | None) -> tuple[list[Case], list[Case]]:
    """Training and held-out cases; ``named``: slides or patients, None for a fifth. Refuses what leaks."""
    return part_cases(cases, held_out(case_origins(cases), named))


def part_cases(cases: Sequence[Case], is_out: NDArray[np.bool_]) -> tuple[list[Case], list[Case]]:
    """Those that are not and those that are; ``is_out``: (N,)."""
    parts = [[c for c, out in zip(cases, is_out, strict=True) if out == wanted] for wanted in (False, True)]
    return parts[0], parts[1]


def case_origins(cases: Sequence[Case]) -> Origins:
    """Where each comes from, and what it shows."""
    pictures = [picture_hash(c.pixels, 17) for c in cases]
    return Origins([c.patient for c in cases], [c.name for c in cases], [c.source for c in cases], pictures)


def case_identity(case: Case) -> str:
    """Same for the same picture and truth, and what a detector made of them."""
    digest = hashlib.sha256(f"{case.source}/{case.name} {case.pixels.shape} {case.mpp}".encode())
    rings = (*(case.complete or ()), *case.holes)
    for shapes in (case.circles, case.ignored, case.false_circles, case.found, *rings):
        digest.update(shapes.tobytes())
    return digest.hexdigest()


def cache_key(parts: Sequence[object]) -> str:
    """Name of a cache entry: it changes with whatever the entry was made from."""
    return hashlib.sha256(json.dumps([FORMAT, *map(str, parts)]).encode()).hexdigest()[:20]


def load_case(folder: Path, key: str) -> Case | None:
    """A cached case, its picture mapped and not read; None where there is none or another format's."""
    facts_path = folder / f"{key}.json"
    if not facts_path.is_file():
        return None
    facts: dict[str, Any] = json.loads(facts_path.read_text(encoding="utf-8"))
    return Case(
        name=facts["name"],
        source=facts["source"],
        patient=facts["patient"],
        mpp=facts["mpp"],
        pixels=np.load(folder / f"{key}.npy", mmap_mode="r"),
        circles=np.array(facts["circles"], np.float64).reshape(-1, 3),
        ignored=np.array(facts["ignored"], np.float64).reshape(-1, 3),
        tissue=np.array(facts["tissue"], np.float64).reshape(-1, 2),
        tissue_mm2=facts["tissue_mm2"],
        slide_tissue=None
        if facts["slide_tissue"] is None
        else np.array(facts["slide_tissue"], np.float64).reshape(-1, 2),
        complete=None if facts["complete"] is None else _loaded_rings(facts["complete"]),
        holes=_loaded_rings(facts["holes"]),
    )


def _loaded_rings(rings: Sequence[Sequence[Sequence[float]]]) -> tuple[Points, ...]:
    return tuple(np.array(ring, np.float64).reshape(-1, 2) for ring in rings)


def save_case(folder: Path, key: str, case: Case) -> None:
    """The picture first, the facts last: an entry without facts is no entry.

    Both appear whole, since two trainings may share a cache, and one may have mapped what the other writes again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with written_whole(folder / f"{key}.npy") as aside, aside.open("wb") as picture:
        np.save(picture, case.pixels)
    facts = {
        "name": case.name,
        "source": case.source,
        "patient": case.patient,
        "mpp": case.mpp,
        "circles": case.circles.tolist(),
        "ignored": case.ignored.tolist(),
        "tissue": case.tissue.round(1).tolist(),
        "tissue_mm2": case.tissue_mm2,
        "slide_tissue": None if case.slide_tissue is None else case.slide_tissue.round(1).tolist(),
        "complete": None if case.complete is None else [ring.tolist() for ring in case.complete],
        "holes": [ring.tolist() for ring in case.holes],
    }
    with written_whole(folder / f"{key}.json") as aside:
        aside.write_text(json.dumps(facts), encoding="utf-8")


def sample_tissue(tissue: NDArray[np.bool_], scale: float, seed: int) -> NDArray[np.float64]:
    """(T, 2) x, y of up to TISSUE_POINTS places on a mask, times ``scale``; the same for the same seed."""
    rows, columns = np.nonzero(tissue)
    if not len(rows):
        return np.zeros((0, 2))
    chosen = np.random.default_rng(seed).permutation(len(rows))[:TISSUE_POINTS]
    return np.asarray((np.column_stack([columns[chosen], rows[chosen]]) + 0.5) * scale, np.float64)
