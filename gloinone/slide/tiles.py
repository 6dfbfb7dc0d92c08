"""Which windows of the slide the detector reads: few, and every piece of tissue in exactly one core.

A tile's core is what its detections are kept from; around the core the network sees the margin it needs. Glass needs
no margin: where no tissue lies within reach of a core's side, the window may end there. So a biopsy narrower than
the window takes one row of tiles, and only tissue wider than a window pays for overlap. The larger a tile, the less of
it is margin; the smaller, the less of it is glass: so tiles come in a few widths and heights.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gloinone.records import Mask, Overview, Points, SlideInfo, Window
from gloinone.slide.layout import Rectangle, lay_cores, smallest_side
from gloinone.slide.tissue import dilate_um

TORN_EDGE_UM = 75.0
"""Cores cover what lies this near to tissue: a glomerulus at a torn edge has its centre just outside of it."""
GUARD_UM = 32.0
"""Glass that the network sees beyond a side without tissue."""
LEVEL_TOLERANCE = 1.02
"""A pyramid level this little coarser than asked for still counts as fine enough; the reader does the same."""

SIDES = (0.5, 1.0, 1.5, 2.0, 2.5)
"""Widths and heights of tiles, of the edge that the card states."""
STRIDE_PX = 32
"""Sides are multiples of it, as networks want them."""
MOST_LEVEL_PX = 6144
"""What a side may measure in the file, unless the card's edge is more: bounds what a read holds to 264 MB."""

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
    """All tiles of a slide, in the order in which they are read: those of one shape together, large ones first."""

    tiles: tuple[Tile, ...]
    mpp: float
    """Of every tile's image, up to the rounding to whole pixels of the pyramid level."""

    @property
    def network_px(self) -> int:
        """What goes through the network, overlaps counted as often as they go."""
        return sum(tile.window.width_px * tile.window.height_px for tile in self.tiles)


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
    """Tiles at ``mpp`` whose cores hold all tissue of the overview and ``TORN_EDGE_UM`` around it.

    They measure half to two and a half times ``edge_px``. Whatever tissue lies within ``margin_um`` of a point of a
    core lies in that tile's window, the mirror image of the tissue beyond the slide's border included.
    """
    if not overview.tissue.any():
        return TilePlan((), mpp)
    mpp_overview = info.mpp * overview.window.downsample
    wanted = dilate_um(overview.tissue, TORN_EDGE_UM, mpp_overview)
    margin_cells = int(np.ceil(margin_um / mpp_overview))
    guard_cells = min(margin_cells, int(np.ceil(GUARD_UM / mpp_overview)))

    def cells(side_px: int) -> int:
        return int(side_px * mpp / mpp_overview) - 1  # one cell goes to rounding the window to level pixels

    if cells(edge_px) - 2 * margin_cells < 1:
        raise ValueError(
            f"no core is left of a tile of {edge_px * mpp:g} um with a margin of {margin_um:g} um"
        )
    sides_px = tile_sides(info, mpp, edge_px)
    sides = [max(1, cells(side)) for side in sides_px]
    grid = _Grid(overview.window)
    placed = lay_cores(wanted, overview.tissue, sides, margin_cells, guard_cells)
    shaped = []
    for core, needed in placed:
        width_px = sides_px[smallest_side(sides, needed.x1 - needed.x0)]
        height_px = sides_px[smallest_side(sides, needed.y1 - needed.y0)]
        shaped.append((_window(info, grid.l0(needed), mpp, width_px, height_px), grid.l0(core)))
    shaped.sort(key=lambda pair: (-pair[0].width_px * pair[0].height_px, pair[0].width_px))
    tiles = tuple(Tile(index, window, core) for index, (window, core) in enumerate(shaped))
    return TilePlan(tiles, mpp)


def tile_sides(info: SlideInfo, mpp: float, edge_px: int) -> Sequence[int]:
    """Widths and heights that tiles of a slide may have, network px, ascending."""
    sides = [-(-int(edge_px * share) // STRIDE_PX) * STRIDE_PX for share in SIDES]
    most = max(sides[SIDES.index(1.0)], MOST_LEVEL_PX * _level_downsample(info, mpp) * info.mpp / mpp)
    return [side for side in sides if side <= most]


def _level_downsample(info: SlideInfo, mpp: float) -> float:
    """Of the pyramid level that a tile is read from."""
    fine_enough = [d for d in info.level_downsamples if d <= mpp / info.mpp * LEVEL_TOLERANCE]
    return max(fine_enough, default=1.0)


def _window(info: SlideInfo, needed: Core, mpp: float, width_px: int, height_px: int) -> Window:
    """A tile around what it needs, inside the slide where it has the choice, on whole level pixels."""
    downsample = _level_downsample(info, mpp)
    scale = mpp / info.mpp
    width = max(1, round(width_px * scale / downsample)) * downsample
    height = max(1, round(height_px * scale / downsample)) * downsample
    x = _place(needed[0], needed[2], width, info.width, downsample)
    y = _place(needed[1], needed[3], height, info.height, downsample)
    return Window(x, y, width, height, width_px, height_px)


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
