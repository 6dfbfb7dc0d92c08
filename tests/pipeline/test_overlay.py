"""The overlay and the contact sheet: sizes, places, colours, and what is said on them."""

from dataclasses import replace

import numpy as np
import pytest
from made_result import INFO, made_glomerulus, made_result

from gloinone.geometry import circle_ring
from gloinone.labels import COLOURS, NONGLOMERULAR
from gloinone.pipeline.contact import draw_contact, group_words, groups, warning_words
from gloinone.pipeline.drawing import draw_ring
from gloinone.pipeline.overlay import draw_overlay, legend, overlay_um_per_px, picture_um_per_px, scale_bar
from gloinone.pipeline.placing import place_labels, shared_area
from gloinone.records import Crop, SlideInfo, Window


def near(pixels: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    return np.abs(pixels.astype(int) - colour).max(axis=2) < 60


def test_outlines_lie_where_the_glomeruli_are() -> None:
    result = made_result(6)
    pixels = draw_overlay(result)
    scale = 1600 / INFO.width
    for glomerulus in result.glomeruli:
        for x, y in glomerulus.outline.ring[::10] * scale:
            patch = pixels[int(y) - 2 : int(y) + 3, int(x) - 2 : int(x) + 3]
            assert near(patch, COLOURS[glomerulus.label]).any()


def test_a_ring_is_drawn_to_the_half_pixel() -> None:
    pixels = np.zeros((60, 60, 3), np.uint8)
    draw_ring(pixels, circle_ring(30, 30, 20), (255, 255, 255), 2)
    rows, columns = np.nonzero(pixels[..., 0] > 128)
    assert columns.mean() + 0.5 == pytest.approx(30, abs=0.2)
    assert rows.mean() + 0.5 == pytest.approx(30, abs=0.2)


@pytest.mark.parametrize(
    ("width", "height", "mpp", "long_side"),
    [
        (1360, 1024, 0.5, 1600),
        (22400, 14400, 0.65, 3640),
        (100_000, 80_000, 0.25, 4000),
        (40, 9000, 0.5, 1600),
    ],
)
def test_size_suits_the_slide(width: int, height: int, mpp: float, long_side: int) -> None:
    info = SlideInfo("a", width, height, mpp, "file", "x")
    assert max(width, height) * mpp / overlay_um_per_px(info) == pytest.approx(long_side, abs=1)


def test_a_narrow_slide_is_drawn_too() -> None:
    info = replace(INFO, width=40, height=9000)
    assert draw_overlay(made_result(0, info)).shape[:2] > (1600, 479)


def test_a_picture_is_wanted_only_where_the_overview_is_coarse_and_the_picture_cheap() -> None:
    pyramid = SlideInfo("a", 20_000, 20_000, 0.5, "file", "x", (1.0, 4.0, 16.0))
    assert picture_um_per_px(pyramid, 10.0) == 4.0
    assert picture_um_per_px(replace(pyramid, level_downsamples=(1.0,)), 10.0) is None
    assert picture_um_per_px(pyramid, 4.0) is None


def test_the_finer_picture_is_used() -> None:
    result = made_result(0)
    fine = np.zeros((800, 1200, 3), np.uint8)
    window = Window(0, 0, INFO.width, INFO.height, 1200, 800)
    assert draw_overlay(replace(result, picture=Crop(window, fine)))[5, 5].tolist() == [0, 0, 0]


def test_unread_parts_are_hatched_and_named() -> None:
    result = replace(made_result(0), unread=((5000.0, 100.0, 5900.0, 900.0), (-10.0, -10.0, -5.0, -5.0)))
    plain, hatched = draw_overlay(made_result(0)), draw_overlay(result)
    scale = 1600 / INFO.width
    changed = (plain[:1000] != hatched[:1000]).any(axis=2)
    rows, columns = np.nonzero(changed)
    assert columns.min() == pytest.approx(5000 * scale, abs=1.5)
    assert rows.max() == pytest.approx(900 * scale, abs=1.5)
    assert any("not read" in words for _, words in legend(result))


def test_pieces_are_numbered_above_their_highest_point() -> None:
    result = made_result(0)
    height, width = result.overview.tissue.shape
    pieces = np.zeros((height, width), np.uint16)
    pieces[height // 2 :, width // 4 : width // 2] = 1
    plain, numbered = draw_overlay(result), draw_overlay(replace(result, piece_map=pieces))
    rows, columns = np.nonzero((plain != numbered).any(axis=2))
    assert columns.mean() == pytest.approx(1600 * 3 / 8, abs=8)
    assert 430 < rows.min() < rows.max() < 540, "the piece begins at 533"


def test_scale_bar_is_true() -> None:
    bar_mm, bar_px = scale_bar(1600, 4.0)
    assert (bar_mm, bar_px) == (1.0, 250)
    assert scale_bar(10, 4.0)[1] <= 8


def test_labels_keep_clear_of_each_other_and_stay_inside() -> None:
    random = np.random.default_rng(5)
    corner = random.uniform(0, 950, (40, 2))
    boxes = np.hstack([corner, corner + 30])
    sizes = np.tile([50.0, 18.0], (40, 1))
    places = place_labels(boxes, sizes, (1000, 1000))
    labels = np.hstack([places, places + sizes])
    assert (labels[:, :2] >= 0).all()
    assert (labels[:, 2:] <= 1000).all()
    overlap = shared_area(labels, labels)
    np.fill_diagonal(overlap, 0)
    assert (overlap.sum(axis=1) > 0).mean() < 0.2
    assert place_labels(np.zeros((0, 4)), np.zeros((0, 2)), (10, 10)).shape == (0, 2)


def test_contact_sheet_leads_with_the_sclerosed() -> None:
    names = [(group.name, [g.number for g in group.shown]) for group in groups(made_result(6).glomeruli)]
    assert names == [("sclerosed", [3, 5, 6]), ("normal", [1, 2, 4])]
    sheet = draw_contact(made_result(6))
    assert sheet.ndim == 3
    assert near(sheet, COLOURS["obsolescent"]).any()
    assert draw_contact(made_result(0)).shape[0] < 100


def test_a_full_contact_sheet_says_what_it_leaves_out() -> None:
    found = groups(made_result(30).glomeruli, max_shown=10)
    assert [len(group.shown) for group in found] == [5, 5]
    assert found[0].heading == "Sclerosed: 15  (10 of them not shown)"
    found = groups([g for g in made_result(30).glomeruli if g.label == "normal"][:12], max_shown=10)
    assert [g.number for g in found[0].shown] == [1, 2, 4, 7, 8, 13, 14, 16, 19, 20]


def test_words_on_the_sheet() -> None:
    g = made_glomerulus(1, circle_ring(100, 800, 100), "solidified")
    assert group_words(g) == "sclerosed 0.90"
    assert warning_words(g) == "at edge"
    circle = replace(g.outline, source="circle", flagged=True)
    assert warning_words(replace(g, outline=circle)) == "circle, no outline · at edge"
    other = made_glomerulus(2, circle_ring(900, 800, 100), NONGLOMERULAR)
    assert group_words(other) == "non-glomerular 0.80"
    assert groups([other])[0].heading == "Not a glomerulus (kept on request): 1"
