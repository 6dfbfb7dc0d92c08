"""The plan: every piece of tissue in exactly one core, with all that a glomerulus there could need around it."""

from itertools import groupby

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gloinone.records import Mask, Overview, SlideInfo, Window
from gloinone.slide.tiles import (
    GUARD_UM,
    TORN_EDGE_UM,
    TilePlan,
    plan_cost,
    plan_tiles,
)

CELL = 8.0


def overview_of(tissue: Mask, cell: float = CELL) -> Overview:
    height, width = tissue.shape
    window = Window(0, 0, width * cell, height * cell, width, height)
    return Overview(window, np.zeros((height, width, 3), np.uint8), tissue)


def info_of(overview: Overview, mpp: float = 1.0, levels: tuple[float, ...] = (1.0, 2.0, 4.0)) -> SlideInfo:
    w = overview.window
    return SlideInfo("a.svs", round(w.width), round(w.height), mpp, "file", "made up", levels)


def rectangles(width: int, height: int, *boxes: tuple[int, int, int, int]) -> Mask:
    mask = np.zeros((height, width), np.bool_)
    for x, y, w, h in boxes:
        mask[y : y + h, x : x + w] = True
    return mask


def times_covered(plan: TilePlan, overview: Overview) -> np.ndarray:
    """How many cores hold the middle of each cell, by asking every tile about every cell."""
    height, width = overview.tissue.shape
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    middles = overview.window.l0_from_image(np.column_stack([x.ravel(), y.ravel()]))
    return sum((t.holds(middles).astype(int) for t in plan.tiles), np.zeros(len(middles), int)).reshape(
        height, width
    )


def near_tissue(tissue: Mask, reach_um: float, um: float = CELL) -> Mask:
    """Dilation by the definition: the distance of each cell's middle to each cell of tissue."""
    at = np.argwhere(tissue)
    y, x = np.indices(tissue.shape)
    nearest = np.full(tissue.shape, np.inf)
    for row, column in at:
        nearest = np.minimum(nearest, np.hypot(y - row, x - column))
    return nearest * um <= reach_um + 1e-6


masks = st.builds(
    lambda width, height, boxes: rectangles(width, height, *boxes),
    st.integers(5, 90),
    st.integers(5, 90),
    st.lists(
        st.tuples(st.integers(0, 80), st.integers(0, 80), st.integers(1, 40), st.integers(1, 40)), max_size=6
    ),
)


@settings(max_examples=60, deadline=None)
@given(tissue=masks, edge_um=st.sampled_from([300, 420, 800]), margin_um=st.sampled_from([0, 60, 100]))
def test_every_point_of_tissue_is_in_one_core_with_its_surroundings_in_the_window(
    tissue: Mask, edge_um: int, margin_um: int
) -> None:
    overview = overview_of(tissue)
    info = info_of(overview)
    plan = plan_tiles(info, overview, 2.0, edge_um // 2, margin_um)
    covered = times_covered(plan, overview)
    assert covered.max(initial=0) <= 1
    assert (covered[near_tissue(tissue, TORN_EDGE_UM)] == 1).all()
    margin = int(np.ceil(margin_um / CELL))
    mirrored = np.pad(tissue, margin, mode="symmetric")
    for tile in plan.tiles:
        x0, y0, x1, y1 = (round(v / CELL) for v in tile.core)
        around = mirrored[y0 : y1 + 2 * margin, x0 : x1 + 2 * margin]  # the core and the margin about it
        for row, column in np.argwhere(around):
            x, y = (x0 - margin + column) * CELL, (y0 - margin + row) * CELL
            near = np.zeros(tissue.shape, np.bool_)
            reach = np.s_[
                max(0, y0 - margin + row - margin) : y0 + row + 1,
                max(0, x0 - margin + column - margin) : x0 + column + 1,
            ]
            near[reach] = True
            near[:, :x0] = near[:, x1:] = near[:y0] = near[y1:] = False
            if (near & near_of(tissue)).any():  # some wanted point of this core has that tissue within reach
                w = tile.window
                assert w.x <= x + 1
                assert w.y <= y + 1
                assert x + CELL <= w.x + w.width + 1
                assert y + CELL <= w.y + w.height + 1


_NEAR: dict[bytes, Mask] = {}


def near_of(tissue: Mask) -> Mask:
    key = tissue.tobytes() + bytes(tissue.shape)
    if key not in _NEAR:
        _NEAR.clear()
        _NEAR[key] = near_tissue(tissue, TORN_EDGE_UM)
    return _NEAR[key]


@settings(max_examples=40, deadline=None)
@given(tissue=masks, mpp=st.sampled_from([0.25, 0.47, 0.65, 3.1]), network_mpp=st.sampled_from([1.0, 2.0]))
def test_all_windows_have_one_of_a_few_shapes_on_whole_pixels_of_the_level(
    tissue: Mask, mpp: float, network_mpp: float
) -> None:
    overview = overview_of(tissue, max(8.0, mpp) / mpp)
    info = info_of(overview, mpp, (1.0, 4.0, 16.0))
    plan = plan_tiles(info, overview, network_mpp, 640, 100)
    level = max(d for d in info.level_downsamples if d <= max(1.0, network_mpp / mpp * 1.02))
    for tile in plan.tiles:
        w = tile.window
        assert {w.width_px, w.height_px} <= {320, 640, 960, 1280, 1600}
        assert w.width * mpp / w.width_px == pytest.approx(network_mpp, rel=0.01)
        assert w.height * mpp / w.height_px == pytest.approx(network_mpp, rel=0.01)
        assert max(w.width, w.height) / level <= max(6144, 640 * network_mpp / mpp / level)
        for value in (w.x, w.y, w.width, w.height):
            assert value / level == pytest.approx(round(value / level))
        x0, y0, x1, y1 = tile.core
        assert 0 <= x0 < x1 <= info.width
        assert 0 <= y0 < y1 <= info.height


def test_no_tissue_is_no_tiles() -> None:
    overview = overview_of(np.zeros((50, 60), np.bool_))
    plan = plan_tiles(info_of(overview), overview, 2.0, 512, 200)
    assert plan.tiles == ()
    assert plan_cost(plan, overview) is None


def test_a_slide_smaller_than_a_tile_is_one_tile_with_the_slide_in_its_middle() -> None:
    overview = overview_of(np.ones((40, 60), np.bool_))
    (tile,) = plan_tiles(info_of(overview), overview, 2.0, 768, 200).tiles
    assert tile.core == (0, 0, 480, 320)
    assert tile.window.x == -(tile.window.width - 480) / 2
    assert tile.window.y == -(tile.window.height - 320) / 2


def test_a_biopsy_takes_one_row_as_high_as_it_is_and_no_margin_on_glass() -> None:
    tissue = rectangles(1000, 300, (100, 120, 800, 80))  # 6400 x 640 um
    overview = overview_of(tissue)
    plan = plan_tiles(info_of(overview), overview, 2.0, 512, 200)
    assert len({tile.core[1] for tile in plan.tiles}) == 1
    assert {tile.window.height_px for tile in plan.tiles} == {512}  # 768 with the margin above and below
    assert 640 + 2 * TORN_EDGE_UM + 2 * GUARD_UM <= 1024 < 640 + 2 * TORN_EDGE_UM + 2 * 200
    assert (
        sum(tile.window.width_px for tile in plan.tiles) <= 5 * 1024
    )  # four would hold 6764 um, without margins


def test_each_small_piece_takes_one_small_tile() -> None:
    tissue = rectangles(700, 700, (50, 50, 30, 30), (300, 113, 30, 30), (550, 411, 30, 30))
    overview = overview_of(tissue)
    tiles = plan_tiles(info_of(overview), overview, 2.0, 512, 200).tiles
    assert [(t.window.width_px, t.window.height_px) for t in tiles] == 3 * [(256, 256)]


def test_large_tissue_costs_little_more_than_its_margins() -> None:
    y, x = np.indices((900, 1200))
    tissue = ((x - 600) / 550) ** 2 + ((y - 450) / 400) ** 2 <= 1
    overview = overview_of(tissue)
    plan = plan_tiles(info_of(overview), overview, 1.0, 1024, 200)
    shapes = [(tile.window.width_px, tile.window.height_px) for tile in plan.tiles]
    assert len(list(groupby(shapes))) == len(set(shapes)) > 2  # those of one shape follow each other
    cost = plan_cost(plan, overview)
    assert cost is not None
    assert 1.0 < cost.decoded_per_tissue < 1.3
    assert (
        cost.network_per_tissue < 2.0
    )  # (2048 / 1648)^2 = 1.54 without any border; squares of 1024 px pay 3.0


def test_a_corner_without_tissue_is_cut_off_where_two_tiles_cost_less() -> None:
    arm, leg = (20, 20, 180, 40), (20, 20, 40, 180)  # an L, 1440 um long, 320 um thick
    overview = overview_of(rectangles(230, 230, arm, leg))
    plan = plan_tiles(info_of(overview), overview, 2.0, 512, 200)
    assert len(plan.tiles) > 1
    assert plan.network_px < 1024 * 1024  # the one tile that would hold it
    whole = overview_of(rectangles(230, 230, (20, 20, 180, 180)))
    (tile,) = plan_tiles(info_of(whole), whole, 2.0, 512, 200).tiles
    assert (tile.window.width_px, tile.window.height_px) == (1024, 1024)


def test_a_slide_of_one_fine_level_gets_tiles_whose_read_is_bounded() -> None:
    overview = overview_of(np.ones((500, 500), np.bool_), 32.0)
    for levels, most in (((1.0,), 768), ((1.0, 4.0), 1920)):
        tiles = plan_tiles(info_of(overview, 0.25, levels), overview, 2.0, 768, 224).tiles
        assert max(t.window.width_px for t in tiles) == most


def test_cost_is_what_the_windows_add_up_to() -> None:
    overview = overview_of(rectangles(400, 300, (0, 0, 100, 50)))
    plan = plan_tiles(info_of(overview), overview, 2.0, 768, 200)
    cost = plan_cost(plan, overview)
    (tile,) = plan.tiles
    w = tile.window
    assert cost is not None
    assert cost.network_per_tissue == pytest.approx(w.width * w.height / (800 * 400))
    assert plan.network_px == w.width_px * w.height_px == w.width * w.height / 4
    seen = min(w.x + w.width, 3200) * min(w.y + w.height, 2400)
    assert cost.decoded_per_tissue == pytest.approx(seen / (800 * 400), rel=0.02)


def test_the_same_tissue_on_a_larger_canvas_costs_the_same() -> None:
    piece = rectangles(300, 250, (20, 20, 180, 150), (230, 60, 40, 160))
    large = np.zeros((2000, 2500), np.bool_)
    large[900:1150, 1500:1800] = piece
    costs = []
    for tissue in (piece, large):
        overview = overview_of(tissue)
        costs.append(len(plan_tiles(info_of(overview), overview, 2.0, 512, 200).tiles))
    assert costs[0] == costs[1]


def test_a_margin_that_leaves_no_core_is_refused() -> None:
    overview = overview_of(np.ones((40, 60), np.bool_))
    with pytest.raises(ValueError, match="no core is left"):
        plan_tiles(info_of(overview), overview, 1.0, 256, 130)
