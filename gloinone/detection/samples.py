"""Training tiles: drawn by step and place in the batch alone, so that a resumed training sees the same ones."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from gloinone.detection.cases import Case
from gloinone.detection.losses import TargetBatch
from gloinone.detection.targets import Targets, make_targets
from gloinone.errors import UsageError
from gloinone.geometry import area_mask
from gloinone.learning.augment import ColourConfig, augment_colour
from gloinone.learning.restaining import RESTAINED_SHARE, stain_pool
from gloinone.learning.stains import Basis, stain_basis
from gloinone.records import Pixels


@dataclass(frozen=True)
class SampleConfig:
    """What training tiles look like."""

    mpp: float = 2.0
    """The network's resolution, um/px."""
    edge_px: int = 320
    min_scale: float = 0.6
    """Tissue appears between this and ``max_scale`` times its size."""
    max_scale: float = 1.6
    max_stretch: float = 1.5
    """It is drawn out along one edge of the tile by between 1 and this, its area kept: long glomeruli are rare."""
    glomerulus_share: float = 0.5
    """Tiles that show a glomerulus on purpose."""
    false_share: float = 0.2
    """Tiles that show a mined false circle, where there are any; the others lie anywhere on tissue."""
    sure_weight: float = 0.25
    """A glomerulus that the detector was sure of is shown so often for each time that one it missed is."""
    source_power: float = 0.5
    """A source is drawn as its glomeruli to this power; 1: every slide by its own alone, whatever its source."""
    transfer_share: float = RESTAINED_SHARE
    """Tiles that are shown in the stains of another training slide or of a reference picture."""
    colour: ColourConfig = field(default_factory=ColourConfig)


STAIN_POINTS, STAIN_PX = 60, 32
"""A slide's stains are told from so many places on its tissue, squares of so many px."""


@dataclass(frozen=True)
class Sample:
    """One tile and its targets."""

    pixels: Pixels
    targets: Targets


class TileSampler:
    """Draws tiles, balanced over sources and then over slides."""

    def __init__(
        self, cases: Sequence[Case], config: SampleConfig, seed: int, references: Sequence[Basis] = ()
    ) -> None:
        self.cases = [c for c in cases if len(c.tissue) or len(c.circles)]
        if not self.cases:
            raise UsageError(
                "no tissue and no glomerulus to train on: nothing of any training slide is known"
            )
        self.config = config
        self.seed = seed
        self.weights = _case_weights(self.cases, config.source_power)
        self.stains = [case_stains(case) for case in self.cases]
        self.pool = stain_pool([case.source for case in self.cases], self.stains, references)

    def batch(self, step: int, size: int) -> list[Sample]:
        """The tiles of one step."""
        return [self.sample(np.random.default_rng([self.seed, step, i])) for i in range(size)]

    def sample(self, rng: np.random.Generator) -> Sample:
        """One tile."""
        config = self.config
        index = int(rng.choice(len(self.cases), p=self.weights))
        case, own = self.cases[index], self.stains[index]
        # tissue of size `scale` is seen when a px of the tile covers 1 / scale of the usual microns
        scale = np.exp(rng.uniform(np.log(config.min_scale), np.log(config.max_scale)))
        stretch = config.max_stretch ** rng.uniform(0, 0.5)
        case_px = config.mpp / scale / case.mpp * np.array([1 / stretch, stretch])
        centre = self._place(case, rng, config.edge_px * case_px)
        corner = np.round(centre - config.edge_px * case_px / 2)
        pixels, inside = read_tile(case.pixels, corner, config.edge_px, case_px)
        circles = _to_tile(case.circles, corner, case_px)
        ignored = _to_tile(case.ignored, corner, case_px)
        if case.complete is not None:
            rings, holes = (
                [_to_tile(ring, corner, case_px) for ring in shapes] for shapes in (case.complete, case.holes)
            )
            inside &= known_part(rings, circles, config.edge_px, holes)
        pixels, inside, circles, ignored = _turn(pixels, inside, circles, ignored, int(rng.integers(8)))
        targets = make_targets(circles, ignored, config.edge_px)
        targets.counts[~inside[2::4, 2::4]] = 0
        pixels = self.pool.shown(np.ascontiguousarray(pixels), own, config.transfer_share, rng)
        return Sample(augment_colour(pixels, rng, config.colour), targets)

    def _place(self, case: Case, rng: np.random.Generator, edge: NDArray[np.float64]) -> NDArray[np.float64]:
        """Centre of a tile of (2,) ``edge`` x, y in the case's picture."""
        config, what = self.config, rng.random()
        if len(case.circles) and (what < config.glomerulus_share or not len(case.tissue)):
            circle = case.circles[self._glomerulus(case, rng)]
            return np.asarray(circle[:2] + rng.uniform(-0.45, 0.45, 2) * edge)
        if len(case.false_circles) and what > 1 - config.false_share:
            scores = case.false_circles[:, 3]
            circle = case.false_circles[int(rng.choice(len(scores), p=scores / scores.sum()))]
            return np.asarray(circle[:2] + rng.uniform(-0.4, 0.4, 2) * edge)
        point = case.tissue[int(rng.integers(len(case.tissue)))]
        return np.asarray(point + rng.uniform(-0.25, 0.25, 2) * edge)

    def _glomerulus(self, case: Case, rng: np.random.Generator) -> int:
        """Which to show: hard ones more often, where a detector has said which they are."""
        if not len(case.found):
            return int(rng.integers(len(case.circles)))
        weights = 1 - (1 - self.config.sure_weight) * case.found
        return int(rng.choice(len(weights), p=weights / weights.sum()))


def case_stains(case: Case) -> Basis | None:
    """The stains of a slide, from places spread over its tissue."""
    chosen = case.tissue[:: max(1, len(case.tissue) // STAIN_POINTS)].astype(int)
    squares = [case.pixels[y : y + STAIN_PX, x : x + STAIN_PX].reshape(-1, 3) for x, y in chosen]
    return stain_basis(np.concatenate(squares)) if squares else None


def _case_weights(cases: Sequence[Case], power: float) -> NDArray[np.float64]:
    """Sources by a power of their glomeruli, slides within a source by theirs; one glomerulus more for all."""
    size = np.array([len(c.circles) + 1.0 for c in cases])
    sources = np.array([c.source for c in cases])
    weights = np.zeros(len(cases))
    for source in sorted(set(sources)):
        of_source = sources == source
        weights[of_source] = size[of_source].sum() ** power * size[of_source] / size[of_source].sum()
    return np.asarray(weights / weights.sum())


def read_tile(
    picture: Pixels, corner: NDArray[np.float64], edge_px: int, case_px: ArrayLike
) -> tuple[Pixels, NDArray[np.bool_]]:
    """A square of a picture at ``case_px`` picture px per tile px, and which tile px lie in the picture.

    ``case_px`` may differ along x and y. Beyond the border the picture is reflected, as in prediction.
    """
    size = np.broadcast_to(np.maximum(1, np.round(edge_px * np.asarray(case_px))), 2).astype(int)
    columns, rows = (int(low) + np.arange(n) for low, n in zip(corner, size, strict=True))
    height, width = picture.shape[:2]
    inside_x, inside_y = (columns >= 0) & (columns < width), (rows >= 0) & (rows < height)
    if inside_x.all() and inside_y.all():
        patch = np.asarray(picture[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
    else:
        patch = picture[np.ix_(_reflect(rows, height), _reflect(columns, width))]
    how = cv2.INTER_AREA if size.prod() > edge_px**2 else cv2.INTER_LINEAR
    pixels = np.asarray(cv2.resize(patch, (edge_px, edge_px), interpolation=how), np.uint8)
    nearest_x, nearest_y = ((np.arange(edge_px) * n) // edge_px for n in size)
    return pixels, inside_y[nearest_y][:, None] & inside_x[nearest_x][None, :]


def _reflect(index: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Indices beyond a border, mirrored without repeating the border pixel, however far out."""
    if size == 1:
        return np.zeros_like(index)
    period = 2 * (size - 1)
    index = np.mod(index, period)
    return np.where(index < size, index, period - index)


def known_part(
    rings: Sequence[NDArray[np.float64]],
    circles: NDArray[np.float64],
    edge_px: int,
    holes: Sequence[NDArray[np.float64]] = (),
) -> NDArray[np.bool_]:
    """(E, E) where the truth says what is there: inside the rings but for holes, and within each circle; tile px."""
    known = area_mask(rings, holes, edge_px, edge_px)
    yy, xx = np.mgrid[:edge_px, :edge_px] + 0.5
    for cx, cy, radius in circles:
        known |= np.hypot(xx - cx, yy - cy) <= radius
    return known


def _to_tile(
    shapes: NDArray[np.float64], corner: NDArray[np.float64], case_px: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Circles (N, 3) or points (N, 2) of a case in a tile of (2,) case px per px; a circle stays that of equal area."""
    return np.column_stack([(shapes[:, :2] - corner) / case_px, shapes[:, 2:] / np.sqrt(case_px.prod())])


def _turn(
    pixels: Pixels,
    inside: NDArray[np.bool_],
    circles: NDArray[np.float64],
    ignored: NDArray[np.float64],
    how: int,
) -> tuple[Pixels, NDArray[np.bool_], NDArray[np.float64], NDArray[np.float64]]:
    """One of the eight flips and quarter turns of a square."""
    edge = pixels.shape[0]
    both = [circles.copy(), ignored.copy()]
    if how & 4:
        pixels, inside = pixels[:, ::-1], inside[:, ::-1]
        for c in both:
            c[:, 0] = edge - c[:, 0]
    for _ in range(how & 3):
        pixels, inside = np.rot90(pixels), np.rot90(inside)
        for c in both:
            c[:, 0], c[:, 1] = c[:, 1].copy(), edge - c[:, 0]
    return pixels, inside, both[0], both[1]


def collate(samples: Sequence[Sample]) -> tuple[torch.Tensor, TargetBatch]:
    """(B, 3, H, W) uint8 in channels-last memory, and the targets of all tiles."""
    images = torch.from_numpy(np.stack([s.pixels for s in samples])).permute(0, 3, 1, 2)
    targets = [s.targets for s in samples]
    tile = np.concatenate([np.full(len(t.cells), i) for i, t in enumerate(targets)]).astype(np.int64)
    return images, TargetBatch(
        heat=torch.from_numpy(np.stack([t.heat for t in targets])[:, None]),
        counts=torch.from_numpy(np.stack([t.counts for t in targets])[:, None]),
        tile=torch.from_numpy(tile),
        cell=torch.from_numpy(np.concatenate([t.cells for t in targets])),
        offset=torch.from_numpy(np.concatenate([t.offset for t in targets])),
        radius=torch.from_numpy(np.concatenate([t.radius for t in targets])),
        weight=torch.from_numpy(np.concatenate([t.weight for t in targets])),
    )
