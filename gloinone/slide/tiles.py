"""Which windows of the slide the detector reads: few, and every piece of tissue in exactly one core.

A tile's core is what its detections are kept from; around the core the network sees the margin it needs. Glass needs
no margin: where no tissue lies within reach of a core's side, the window may end there. So a biopsy narrower than
the window takes one row of tiles, and only tissue wider than a window pays for overlap.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gloinone.records import Mask, Overview, Points, SlideInfo, Window
from gloinone.slide.layout import Rectangle, lay_cores
from gloinone.slide.tissue import dilate_um

TORN_EDGE_UM = 75.0
"""Cores cover what lies this near to tissue: a glomerulus at a torn edge has its centre just outside of it."""
GUARD_UM = 32.0
"""Glass that the network sees beyond a side without tissue."""
LEVEL_TOLERANCE = 1.02
"""A pyramid level this little coarser than asked for still counts as fine enough; the reader does the same."""

Core = tuple[int, int, int, int]
"""x0, y0, x1, y1 in level-0 px, half-open."""


@dataclass(frozen=True)
class Tile:
    """One input of the network and the part of it that is its own."""

    index: int
    window: Window
    """With margin; may stick out of the slide."""
    core: Core
    """A circle belongs to the tile whose core holds its centre."""

    def holds(self, points: Points) -> NDArray[np.bool_]:
        """(N, 2) level-0 px -> (N,): the centres that are this tile's own."""
        x0, y0, x1, y1 = self.core
        x, y = np.asarray(points, np.float64).reshape(-1, 2).T
        return np.asarray((x >= x0) & (x < x1) & (y >= y0) & (y < y1), np.bool_)


@dataclass(frozen=True)
class TilePlan:
    """All tiles of a slide, in the order in which they are read."""

    tiles: tuple[Tile, ...]
    edge_px: int
    """Width and height of every tile's image."""
    mpp: float
    """Of every tile's image, up to the rounding to whole pixels of the pyramid level."""


@dataclass(frozen=True)
class _Grid:
    """Cells of the overview and where their borders lie on the slide."""

    window: Window

    def column(self, cell: int) -> int:
        """Left border of a column of cells, level-0 px."""
        return round(self.window.x + cell * self.window.width / self.window.width_px)

    def row(self, cell: int) -> int:
        """Upper border of a row of cells, level-0 px."""
        return round(self.window.y + cell * self.window.height / self.window.height_px)

    def l0(self, cells: Rectangle) -> Core:
        """Neighbouring cells share their border exactly."""
        return self.column(cells.x0), self.row(cells.y0), self.column(cells.x1), self.row(cells.y1)


def plan_tiles(info: SlideInfo, overview: Overview, mpp: float, edge_px: int, margin_um: float) -> TilePlan:
    """Tiles of ``edge_px`` at ``mpp`` whose cores hold all tissue of the overview and ``TORN_EDGE_UM`` around it.

    Whatever tissue lies within ``margin_um`` of a point of a core lies in that tile's window, the mirror image of
    the tissue beyond the slide's border included.
    """
    if not overview.tissue.any():
        return TilePlan((), edge_px, mpp)
    mpp_overview = info.mpp * overview.window.downsample
    wanted = dilate_um(overview.tissue, TORN_EDGE_UM, mpp_overview)
    edge_cells = int(edge_px * mpp / mpp_overview) - 1  # one cell goes to rounding the window to level pixels
    margin_cells = int(np.ceil(margin_um / mpp_overview))
    guard_cells = min(margin_cells, int(np.ceil(GUARD_UM / mpp_overview)))
    if edge_cells - 2 * margin_cells < 1:
        raise ValueError(
            f"no core is left of a tile of {edge_px * mpp:g} um with a margin of {margin_um:g} um"
        )
    grid = _Grid(overview.window)
    pairs = lay_cores(wanted, overview.tissue, edge_cells, margin_cells, guard_cells)
    tiles = tuple(
        Tile(index, _window(info, grid.l0(needed), mpp, edge_px), grid.l0(core))
        for index, (core, needed) in enumerate(pairs)
    )
    return TilePlan(tiles, edge_px, mpp)


def _window(info: SlideInfo, needed: Core, mpp: float, edge_px: int) -> Window:
    """The tile's square around what it needs, inside the slide where it has the choice, on whole level pixels."""
    scale = mpp / info.mpp
    fine_enough = [d for d in info.level_downsamples if d <= scale * LEVEL_TOLERANCE]
    downsample = max(fine_enough, default=1.0)
    edge = max(1, round(edge_px * scale / downsample)) * downsample
    x = _place(needed[0], needed[2], edge, info.width, downsample)
    y = _place(needed[1], needed[3], edge, info.height, downsample)
    return Window(x, y, edge, edge, edge_px, edge_px)


def _place(low: float, high: float, edge: float, slide: float, downsample: float) -> float:
    """Start of a stretch ``edge`` long that holds low..high: centred, then moved into the slide if it can be."""
    start = (low + high - edge) / 2
    start = max(min(start, slide - edge), 0.0) if edge <= slide else (slide - edge) / 2
    start = min(max(start, high - edge), low)
    return round(start / downsample) * downsample


def _cells(core: Core, window: Window) -> tuple[slice, slice]:
    """The cells of the overview that a core is made of: the inverse of ``_Grid.l0``."""
    corners = window.image_from_l0(np.array([core[:2], core[2:]], np.float64))
    (x0, y0), (x1, y1) = np.rint(corners).astype(int)
    return slice(y0, y1), slice(x0, x1)


@dataclass(frozen=True)
class PlanCost:
    """What a plan costs, as multiples of the tissue's area."""

    network_per_tissue: float
    """Area pushed through the network, overlaps counted as often as they are pushed."""
    decoded_per_tissue: float
    """Area of the slide under the windows, counted once."""


def plan_cost(plan: TilePlan, overview: Overview) -> PlanCost | None:
    """Cost of reading and of the network against the tissue's area; None without tissue."""
    tissue = int(np.count_nonzero(overview.tissue))
    if tissue == 0:
        return None
    cell_area = overview.window.downsample**2
    pushed = sum(tile.window.width * tile.window.height for tile in plan.tiles) / cell_area
    covered: Mask = np.zeros_like(overview.tissue)
    for y, x in _covered(plan, overview.window):
        covered[y, x] = True
    return PlanCost(pushed / tissue, int(np.count_nonzero(covered)) / tissue)


def _covered(plan: TilePlan, window: Window) -> Iterator[tuple[slice, slice]]:
    for tile in plan.tiles:
        left, top = max(0.0, tile.window.x), max(0.0, tile.window.y)
        right, bottom = tile.window.x + tile.window.width, tile.window.y + tile.window.height
        yield _cells((round(left), round(top), round(right), round(bottom)), window)
