"""The detector at work: tiles of one slide through the network in fixed batches, circles in level-0 px out."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from gloinone.detection.circlenet import CircleNet
from gloinone.detection.decode import TOP_K, decode
from gloinone.detection.fuse import Scored, folded, in_core, suppress
from gloinone.learning.batches import fixed_batches, stack_padded
from gloinone.learning.device import autocast
from gloinone.records import Overview, Pixels, Window
from gloinone.slide.sampling import Slide
from gloinone.slide.stream import TileRead, stream_tiles
from gloinone.slide.tiles import Tile, plan_tiles

Core = tuple[float, float, float, float]

CORE_SLACK_PX = 8
"""Tile px around a core in which centres are taken too: two tiles place one glomerulus a little apart, and on
the border of their cores each could leave it to the other. What both take is merged."""


@dataclass(frozen=True)
class DetectConfig:
    """What detection needs from the model's card, and how much is read ahead."""

    mpp: float
    edge_px: int
    margin_um: float
    floor: float
    max_iou: float
    max_per_tile: int = TOP_K
    batch_size: int = 4
    """Fixed: the convolution library's results depend on it."""
    readers: int = 2


@dataclass(frozen=True)
class PlacedTile:
    """A tile that was read: its picture and where it lies."""

    pixels: Pixels
    window: Window
    core: Core


@dataclass(frozen=True)
class Detected:
    """Circles of one slide and what of it was not seen."""

    circles: Scored
    """(N, 4) cx, cy, radius in level-0 px, score; best first, down to the card's floor."""
    unread: tuple[Core, ...]
    """Level-0 rectangles that could not be read."""
    n_tiles: int


class Detector:
    """A network with its card's numbers on one device."""

    def __init__(self, network: CircleNet, config: DetectConfig, device: torch.device) -> None:
        self.network = network.eval().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.config = config
        self.device = device

    def circles_of(self, tiles: Iterable[PlacedTile], size: tuple[int, int] | None = None) -> Scored:
        """(N, 4) level-0 circles of tiles, merged; tiles are never held all at once.

        ``size``: width, height of the slide; a centre beyond its border is folded back, before circles are merged.
        """
        found = [np.zeros((0, 4))]
        for batch in fixed_batches(tiles, self.config.batch_size):
            for tile, circles in zip(batch, self._predict([t.pixels for t in batch]), strict=True):
                circles = circles[circles[:, 3] >= self.config.floor]
                placed = circles.copy()
                placed[:, :2] = tile.window.l0_from_image(circles[:, :2])
                placed[:, 2] = circles[:, 2] * tile.window.downsample
                slack = CORE_SLACK_PX * tile.window.downsample
                x0, y0, x1, y1 = tile.core
                found.append(placed[in_core(placed, (x0 - slack, y0 - slack, x1 + slack, y1 + slack))])
        circles = np.concatenate(found)
        return suppress(circles if size is None else folded(circles, size), self.config.max_iou)

    @torch.inference_mode()
    def _predict(self, images: list[Pixels]) -> NDArray[np.float64]:
        """(H, W, 3) images of one size -> (len(images), K, 4) circles in tile px."""
        batch = torch.from_numpy(stack_padded(images, self.config.batch_size)).to(self.device)
        batch = batch.to(memory_format=torch.channels_last)
        with autocast(self.device):
            maps = self.network(batch)
        return decode(maps, self.config.max_per_tile)[: len(images)].double().cpu().numpy()

    def detect(self, slide: Slide, overview: Overview, on_tile: Callable[[int, int], None]) -> Detected:
        """All circles of a slide; ``on_tile(done, total)`` is called as tiles are read."""
        config = self.config
        plan = plan_tiles(slide.info, overview, config.mpp, config.edge_px, config.margin_um)
        unread: list[Tile] = []

        def placed(reads: Iterable[TileRead]) -> Iterator[PlacedTile]:
            for done, read in enumerate(reads, start=1):
                on_tile(done, len(plan.tiles))
                if read.pixels is None:
                    unread.append(read.tile)
                else:
                    yield PlacedTile(read.pixels, read.window, read.tile.core)

        reads = stream_tiles(slide, plan, workers=config.readers, queue_size=2 * config.batch_size)
        with closing(reads):  # whatever goes wrong, nobody reads on while the caller closes the slide
            circles = self.circles_of(placed(reads), (slide.info.width, slide.info.height))
        return Detected(
            circles=circles,
            unread=tuple(t.core for t in unread),
            n_tiles=len(plan.tiles),
        )
