"""Pieces of tissue: what belongs together, in which order, which glomerulus lies where and touches the border."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gloinone.drawn.compose import plant
from gloinone.drawn.config import DrawnGlomerulus, SceneConfig
from gloinone.drawn.layout import tissue_mask
from gloinone.geometry import circle_ring
from gloinone.records import Mask, PieceMap, SlideInfo, Window
from gloinone.slide.pieces import (
    depth_px,
    find_pieces,
    measure_pieces,
    piece_under,
    pixel_boxes,
    reading_order,
    touches_glass,
)

UM_PER_PX = 8.0
LEVELS = SceneConfig(6000, 10200, layout="core", levels=3, torn=True, normal=8, decoys=4, seed=3)


def canvas(*boxes: tuple[int, int, int, int], size: tuple[int, int] = (400, 400)) -> Mask:
    """Rectangles left, top, right, bottom on glass, px."""
    mask = np.zeros(size[::-1], np.bool_)
    for left, top, right, bottom in boxes:
        mask[top:bottom, left:right] = True
    return mask


@pytest.mark.parametrize(("gap_px", "pieces"), [(24, 1), (27, 2)])
def test_a_torn_core_stays_one_piece_up_to_a_gap_of_200_um(gap_px: int, pieces: int) -> None:
    mask = canvas((20, 20, 120, 100), (120 + gap_px, 20, 240, 100))
    assert find_pieces(mask, UM_PER_PX).max() == pieces


def test_crumbs_are_no_pieces_and_tissue_alone_is_numbered() -> None:
    mask = canvas((20, 20, 120, 100), (20, 200, 59, 240), (200, 200, 240, 240))  # 0.0998 and 0.1024 mm2
    pieces = find_pieces(mask, UM_PER_PX)
    assert pieces.dtype == np.uint16
    assert sorted(pixel_boxes(pieces).items()) == [(1, (20, 20, 120, 100)), (2, (200, 200, 240, 240))]
    assert not pieces[~mask].any()
    assert not find_pieces(canvas(), UM_PER_PX).any()


def test_numbers_run_row_by_row_though_no_core_begins_level() -> None:
    mask = canvas((300, 10, 340, 150), (20, 20, 60, 160), (150, 30, 190, 140), (20, 250, 340, 290))
    boxes = pixel_boxes(find_pieces(mask, UM_PER_PX))
    assert [boxes[number][0] for number in (1, 2, 3, 4)] == [20, 150, 300, 20]


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), max_size=12))
def test_the_order_has_every_box_once_whatever_came_first(corners: list[tuple[int, int]]) -> None:
    boxes = [(x, y, x + 10, y + 10) for x, y in corners]
    order = reading_order(boxes)
    assert sorted(order.tolist()) == list(range(len(boxes)))
    backwards = boxes[::-1]
    assert [boxes[i] for i in order] == [backwards[i] for i in reading_order(backwards)]


def test_boxes_and_areas_are_those_of_the_tissue() -> None:
    info = SlideInfo("a", 8000, 8000, 0.4, "file", "x")
    pieces = find_pieces(canvas((20, 40, 120, 100)), UM_PER_PX)
    (piece,) = measure_pieces(pieces, Window(0, 0, 8000, 8000, 400, 400), info)
    assert (piece.number, piece.x, piece.y, piece.width, piece.height) == (1, 400, 800, 2000, 1200)
    assert piece.tissue_mm2 == pytest.approx(100 * 60 * 64e-6)


def test_a_glomerulus_belongs_to_the_piece_under_most_of_it() -> None:
    pieces = canvas((20, 20, 100, 100)).astype(np.uint16) + 2 * canvas((110, 20, 200, 100)).astype(np.uint16)
    window = Window(0, 0, 4000, 4000, 400, 400)
    assert piece_under(600, 600, 100, pieces, window) == 1
    assert piece_under(1080, 600, 100, pieces, window) == 2, "its middle on glass, more of it on the second"
    assert piece_under(600, 600, 1, pieces, window) == 1, "smaller than a pixel"
    assert piece_under(3000, 3000, 100, pieces, window) is None
    assert piece_under(-500, -500, 100, pieces, window) is None, "beside the slide"


def test_what_touches_glass_is_told_from_what_lies_at_a_lumen_or_at_the_slides_border() -> None:
    window = Window(0, 0, 3200, 3200, 400, 400)
    mask = canvas((0, 0, 200, 300))
    mask[140:160, 90:110] = False  # a vessel
    depth = depth_px(mask.astype(np.uint16))
    inside = circle_ring(800, 800, 100)
    assert not touches_glass(inside, depth, window)
    assert touches_glass(inside + np.array([700, 0]), depth, window), "to x 1600, where glass begins"
    assert not touches_glass(inside + np.array([660, 0]), depth, window)
    assert not touches_glass(inside + np.array([0, 250]), depth, window), "at the vessel"
    assert not touches_glass(inside - np.array([750, 0]), depth, window), (
        "beyond the slide's border, which is no glass"
    )
    assert np.isinf(depth_px(np.ones((9, 9), np.uint16))).all(), "a field of tissue from edge to edge"


def levels() -> tuple[PieceMap, list[DrawnGlomerulus]]:
    rings, planted = plant(LEVELS, np.random.default_rng(1))
    assert len(rings) == 9, "the torn core has two parts at each of three levels"
    return find_pieces(tissue_mask(rings, LEVELS.size_um, UM_PER_PX), UM_PER_PX), planted


def test_two_cores_at_three_levels_are_six_pieces_with_their_glomeruli() -> None:
    pieces, planted = levels()
    height, width = pieces.shape
    window = Window(0, 0, LEVELS.width_um, LEVELS.height_um, width, height)
    assert pieces.max() == 6
    assert {(g.level - 1) * 2 + g.core for g in planted} == {1, 2, 3, 4, 5, 6}
    depth = depth_px(pieces)
    for g in planted:
        assert piece_under(g.cx_um, g.cy_um, g.radius_um, pieces, window) == (g.level - 1) * 2 + g.core
        assert not touches_glass(g.ring_um, depth, window), "drawn ones lie 14 um inside"
