"""The detector at work: tiles of one slide through the network in fixed batches, circles in level-0 px out."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import groupby

import numpy as np
import torch
from numpy.typing import NDArray

from gloinone.detection.circlenet import CircleNetwork
from gloinone.detection.decode import TOP_K, decode
from gloinone.detection.fuse import Scored, as_seen, folded, in_core, suppress
from gloinone.detection.looks import ONCE, mean_maps
from gloinone.detection.tissue_windows import EDGE_PX, WINDOWS, weight_of
from gloinone.detection.views import AS_IT_IS, View
from gloinone.learning.adapt import adapted
from gloinone.learning.batches import answers_of, fixed_batches, stack_padded
from gloinone.learning.device import autocast, to_device
from gloinone.levelling import log_odds, shift_of
from gloinone.records import Overview, Pixels, Window
from gloinone.slide.light import lit
from gloinone.slide.sampling import Slide
from gloinone.slide.stream import TileStream
from gloinone.slide.tiles import plan_tiles
from gloinone.slide.tissue import tissue_mm2
from gloinone.slide.tissue_samples import read_spread

Core = tuple[float, float, float, float]

CORE_SLACK_PX = 8
"""Tile px around a core in which centres are taken too: two tiles place one glomerulus a little apart, and on
the border of their cores each could leave it to the other. What both take is merged."""
CIRCLES_PER_SURE = 3
"""Down to under the floor, for each sure one."""
GPU_BATCH = 4
"""Tiles of the card's edge."""


@dataclass(frozen=True)
class DetectConfig:
    """What detection needs from the model's card, and how much is read ahead."""

    mpp: float
    edge_px: int
    """Of the tile that ``max_per_tile`` and ``batch_size`` speak of; others may be smaller or larger."""
    margin_um: float
    floor: float
    """Of ``down_to_floor``."""
    max_iou: float
    threshold: float = 1.0
    """The score from which a circle is sure; it matters beside a ``deepest_floor`` alone."""
    kept_log_odds: float | None = None
    """Of `levelling.Level`: circles that it would raise to the threshold are sure, too; None: none is raised."""
    deepest_floor: float | None = None
    """At most the floor; None: the floor."""
    max_per_tile: int = TOP_K
    peak_reach: int = 0
    """Of ``decode``."""
    norm_prior: float | None = None
    """Of ``weight_of``; None: the network stays as it was taught."""
    scales: tuple[float, ...] = ONCE
    """Of ``mean_maps``."""
    batch_size: int | None = None
    """At most; of larger tiles fewer. None: `GPU_BATCH` on a GPU, one on a processor, where more gains nothing."""
    readers: int = 2

    @property
    def lowest(self) -> float:
        """The score under which no circle is of use on any slide."""
        return self.floor if self.deepest_floor is None else self.deepest_floor


@dataclass(frozen=True)
class PlacedTile:
    """A tile that was read: its picture and where it lies."""

    pixels: Pixels
    window: Window
    core: Core


@dataclass(frozen=True)
class Detected:
    """Circles of one slide and what of it was not seen."""

    views: tuple[Scored, ...]
    """Of each view (N, 4) cx, cy, radius in level-0 px, score; best first, as far as ``down_to_floor`` goes."""
    unread: tuple[Core, ...]
    """Level-0 rectangles that could not be read."""
    n_tiles: int

    @property
    def circles(self) -> Scored:
        """Of the first view, which is the tile as it is unless others were asked for."""
        return self.views[0]


@dataclass(frozen=True)
class SlideTiles:
    """What a detector reads of a slide."""

    tissue: tuple[Pixels, ...]
    """Windows by which the network is adapted to the slide; none for a network that stays as it was taught."""
    tissue_mm2: float
    stream: TileStream

    def close(self) -> None:
        """Stop reading."""
        self.stream.close()


def down_to_floor(circles: Scored, config: DetectConfig) -> Scored:
    """Of a slide's circles, best first, those that are worth a second look.

    All at or over the floor; and as long as there are not `CIRCLES_PER_SURE` for each that is sure, also lower ones,
    down to ``deepest_floor``: a detector that is unsure of a slide gives some of its glomeruli scores under the floor,
    and little else lies over it (docs/evaluation.md, How far down circles go).
    """
    scores = circles[:, 3]
    most = CIRCLES_PER_SURE * _count_sure(scores, config)
    return circles[(scores >= config.floor) | ((np.arange(len(scores)) < most) & (scores >= config.lowest))]


def _count_sure(scores: NDArray[np.float64], config: DetectConfig) -> int:
    """Circles that reach the threshold when scores are raised as on a slide of which the detector is unsure."""
    odds, needed = log_odds(scores), log_odds(config.threshold)

    def sure_at(shift: float) -> list[float]:
        return [float(score) for score in scores[odds + shift >= needed]]

    usual = config.kept_log_odds
    return len(sure_at(0.0 if usual is None else shift_of(sure_at, usual)))


class Detector:
    """A network with its card's numbers on one device; ``views``: the ways in which it looks at each tile."""

    def __init__(
        self,
        network: CircleNetwork,
        config: DetectConfig,
        device: torch.device,
        views: Sequence[View] = (AS_IT_IS,),
    ) -> None:
        self.network = network.eval().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.config = config
        self.device = device
        self.views = tuple(views)
        self.batch_size = config.batch_size or (GPU_BATCH if device.type == "cuda" else 1)

    def adapted(self, tissue: Sequence[Pixels], tissue_mm2: float) -> "Detector":
        """One for the slide of these windows; the same where there are none, or the card asks for none."""
        prior = self.config.norm_prior
        if prior is None or not tissue:
            return self
        windows = to_device(stack_padded(list(tissue), len(tissue)), self.device)
        weight = weight_of(len(tissue), tissue_mm2, self.config.mpp, prior)
        with autocast(self.device):
            network = adapted(self.network, windows, weight)
        return Detector(network, self.config, self.device, self.views)

    def circles_of(self, tiles: Iterable[PlacedTile], size: tuple[int, int] | None = None) -> Scored:
        """(N, 4) level-0 circles of tiles, merged, as the first view shows them; see ``circles_of_views``."""
        return self.circles_of_views(tiles, size)[0]

    def circles_of_views(
        self, tiles: Iterable[PlacedTile], size: tuple[int, int] | None = None
    ) -> tuple[Scored, ...]:
        """(N, 4) level-0 circles of tiles in each view, merged; tiles are never held all at once.

        ``size``: width, height of the slide; before circles are merged, a centre beyond its border is folded back,
        and what of a circle lies beyond it does not count.
        """
        found = [[np.zeros((0, 4))] for _ in self.views]
        for batch in self._batches(tiles):
            images = [tile.pixels for tile in batch]
            size_of_batch = self._batch_size(images[0].shape)
            for view, parts in zip(self.views, found, strict=True):
                said = answers_of(partial(self._predict, view=view), images, size_of_batch)
                parts += [self._placed(circles, tile) for tile, circles in zip(batch, said, strict=True)]
        merged = []
        for parts in found:
            circles = np.concatenate(parts)
            if size is not None:
                circles = as_seen(folded(circles, size), size)
                circles = circles[circles[:, 3] >= self.config.lowest]
            merged.append(down_to_floor(suppress(circles, self.config.max_iou), self.config))
        return tuple(merged)

    def _placed(self, circles: Scored, tile: PlacedTile) -> Scored:
        """Those of a tile's circles that are its own, in level-0 px."""
        circles = circles[circles[:, 3] >= self.config.lowest]
        placed = circles.copy()
        placed[:, :2] = tile.window.l0_from_image(circles[:, :2])
        placed[:, 2] = circles[:, 2] * tile.window.downsample
        slack = CORE_SLACK_PX * tile.window.downsample
        x0, y0, x1, y1 = tile.core
        return placed[in_core(placed, (x0 - slack, y0 - slack, x1 + slack, y1 + slack))]

    def _batches(self, tiles: Iterable[PlacedTile]) -> Iterator[list[PlacedTile]]:
        """Tiles of one shape follow each other; each shape has batches of its own fixed size."""
        for shape, alike in groupby(tiles, key=lambda tile: tile.pixels.shape[:2]):
            yield from fixed_batches(alike, self._batch_size(shape))

    def _batch_size(self, shape: tuple[int, ...]) -> int:
        """Fixed by the tile's shape alone: the convolution library's results depend on it."""
        as_many_px = self.batch_size * self.config.edge_px**2 // (shape[0] * shape[1])
        return min(self.batch_size, max(1, as_many_px))

    @torch.inference_mode()
    def _predict(self, images: list[Pixels], size: int, view: View = AS_IT_IS) -> NDArray[np.float64]:
        """(H, W, 3) images of one size, in a batch of ``size`` -> (len(images), K, 4) circles in tile px."""
        height, width = images[0].shape[:2]
        batch = view.of(to_device(stack_padded(images, size), self.device))
        batch = batch.contiguous(memory_format=torch.channels_last)
        with autocast(self.device):
            maps = mean_maps(self.network, batch, self.config.scales)
        most = math.ceil(self.config.max_per_tile * max(1.0, height * width / self.config.edge_px**2))
        found = decode(maps, most, self.config.peak_reach)[: len(images)].double().cpu().numpy()
        return view.back(found, height, width)

    def read(self, slide: Slide, overview: Overview) -> SlideTiles:
        """Begin to read what ``detect`` needs of a slide; the caller closes it before the slide."""
        config = self.config
        tissue: tuple[Pixels, ...] = ()
        if config.norm_prior is not None:
            read = read_spread(slide, overview, WINDOWS, EDGE_PX, config.mpp)
            tissue = tuple(lit(pixels, overview.gain) for pixels in read)
        plan = plan_tiles(slide.info, overview, config.mpp, config.edge_px, config.margin_um)
        ahead = config.readers + 2 * self.batch_size
        stream = TileStream(slide, plan, config.readers, ahead, overview.gain)
        return SlideTiles(tissue, tissue_mm2(overview, slide.info.mpp), stream)

    def detect(self, tiles: SlideTiles, on_tile: Callable[[int, int], None]) -> Detected:
        """All circles of a slide; ``on_tile(done, total)`` is called as tiles are read. Closes ``tiles``."""
        stream = tiles.stream
        info, total = stream.slide.info, len(stream.plan.tiles)
        unread: list[Core] = []

        def placed() -> Iterator[PlacedTile]:
            for done, read in enumerate(stream, start=1):
                on_tile(done, total)
                unread.extend(read.unread)
                if read.pixels is not None:
                    yield PlacedTile(read.pixels, read.window, read.tile.core)

        with closing(tiles):  # whatever goes wrong, nobody reads on while the caller closes the slide
            suited = self.adapted(tiles.tissue, tiles.tissue_mm2)
            views = suited.circles_of_views(placed(), (info.width, info.height))
        return Detected(views=views, unread=tuple(unread), n_tiles=total)
