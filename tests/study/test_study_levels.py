"""Levels of one core, and the same glomerulus at several of them, on drawn cores whose truth is known."""

import numpy as np
import pytest

from gloinone.drawn.compose import plant
from gloinone.drawn.config import DrawnGlomerulus, SceneConfig
from gloinone.drawn.layout import tissue_mask
from gloinone.geometry import ring_mask
from gloinone.records import PieceMap
from gloinone.slide.pieces import find_pieces
from gloinone.study.levels import MAX_PIECES, Cores, find_cores
from gloinone.study.registration import Shape, moved_points, register, turn_matrix
from gloinone.study.tracks import follow

UM_PER_PX = 8.0
CORNER = np.zeros(2)


def bean() -> np.ndarray:
    """A ring like no mirror image of itself, and neither long nor round; um."""
    angle = np.arange(200) * 2 * np.pi / 200
    radius = 900 * (1 + 0.25 * np.cos(angle) + 0.2 * np.sin(2 * angle) + 0.1 * np.cos(3 * angle + 1))
    return np.column_stack([radius * np.cos(angle), radius * np.sin(angle)]) + 2000


def shape(ring: np.ndarray) -> Shape:
    return Shape(ring_mask(ring / UM_PER_PX, 500, 500), CORNER, UM_PER_PX)


def drawn(seed: int, torn: bool) -> tuple[PieceMap, list[DrawnGlomerulus]]:
    config = SceneConfig(6000, 10200, layout="core", levels=3, torn=torn, normal=8, decoys=4, seed=seed)
    rings, planted = plant(config, np.random.default_rng(seed))
    return find_pieces(tissue_mask(rings, config.size_um, UM_PER_PX), UM_PER_PX), planted


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("degrees", [0, 67, 200])
def test_a_shape_is_laid_on_itself_however_it_was_turned(degrees: int, mirror: bool) -> None:
    ring = bean()
    turned = (ring - 2000) @ turn_matrix(np.radians(degrees), mirror).T + [2100, 1900]
    best = register(shape(turned), shape(ring))[0]
    assert best.overlap > 0.95
    assert np.hypot(*(moved_points(best.affine, turned) - ring).T).max() < 60


def test_unlike_shapes_do_not_overlap_wholly() -> None:
    box = np.array([[1000.0, 1000], [3000, 1000], [3000, 2200], [1000, 2200]])
    assert register(shape(bean()), shape(box))[0].overlap < 0.85


@pytest.mark.parametrize(("seed", "torn"), [(0, True), (1, False)])  # the cores of the second are of one size
def test_levels_and_tracks_of_drawn_cores_are_those_that_were_cut(seed: int, torn: bool) -> None:
    pieces, planted = drawn(seed, torn)
    cores = find_cores(pieces, UM_PER_PX)
    assert cores.members == ((1, 3, 5), (2, 4, 6))
    assert [cores.place_of(piece) for piece in (1, 2, 5)] == [(1, 1), (2, 1), (1, 3)]
    circles_um = np.array([(g.cx_um, g.cy_um, g.radius_um) for g in planted])
    found = follow(circles_um, np.array([(g.level - 1) * 2 + g.core for g in planted]), cores)
    truth = np.array([g.track for g in planted])
    assert len({g.level for g in planted}) == 3
    assert ((found[:, None] == found) == (truth[:, None] == truth)).all(), "the same profiles belong together"
    assert found.max() == len(set(found.tolist())) == len(set(truth.tolist()))


def test_what_is_on_no_core_is_followed_nowhere() -> None:
    circles_um = np.array([[0.0, 0, 90], [10, 0, 90], [20, 0, 90]])
    nothing = np.zeros(3, np.intp)
    assert follow(circles_um, nothing, Cores()).tolist() == [1, 2, 3]
    assert follow(circles_um, nothing + 1, Cores(((1,),))).tolist() == [1, 2, 3], "of one level"
    assert follow(np.zeros((0, 3)), np.zeros(0, np.intp), Cores(((1,),))).tolist() == []


def test_large_pieces_are_thinned_out_and_stay_in_their_place() -> None:
    pieces = np.zeros((1800, 1300), np.uint16)
    pieces[101:702, 50:1253], pieces[1100:1701, 63:1266] = 1, 2
    placements = find_cores(pieces, UM_PER_PX).placements[1, 2]
    fixed, moved = (
        np.array([(x, y) for x in (left, left + 1203) for y in (top, top + 601)]) * UM_PER_PX
        for left, top in ((50, 101), (63, 1100))
    )
    apart = moved_points(placements[0].affine, moved)[:, None] - fixed[None]
    nearest = np.hypot(*np.moveaxis(apart, 2, 0)).min(axis=1)
    assert nearest.max() < 6 * UM_PER_PX, (
        "half a pixel of the 53 um in which shapes are compared, and then some"
    )


def test_one_piece_is_a_core_and_of_too_many_nothing_is_said() -> None:
    one = np.zeros((60, 60), np.uint16)
    one[10:50, 10:50] = 1
    assert find_cores(one, UM_PER_PX).members == ((1,),)
    assert find_cores(np.zeros((60, 60), np.uint16), UM_PER_PX).members == ()
    many = np.kron(np.arange(1, MAX_PIECES + 2, dtype=np.uint16), np.ones((20, 20), np.uint16))
    cores = find_cores(many, UM_PER_PX)
    assert cores.members == ()
    assert cores.place_of(1) is None
