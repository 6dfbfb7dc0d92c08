"""Crops: the published framing, in the order of the circles, None where the file is damaged."""

import numpy as np
import pytest
from array_slide import ArraySlide, Disk
from slide_files import blob, smooth

from gloinone.slide.crops import CROP_PX, crop_window, read_crops


@pytest.mark.parametrize("mpp", [0.25, 0.5, 1.0])
def test_the_frame_is_the_box_and_twelve_and_a_half_microns(mpp: float) -> None:
    window = crop_window(1000.5, 700, 80 / mpp, mpp)
    assert window.width == window.height == pytest.approx((160 + 25) / mpp)
    assert window.x + window.width / 2 == pytest.approx(1000.5)
    assert window.y + window.height / 2 == pytest.approx(700)
    assert (window.width_px, window.height_px) == (CROP_PX, CROP_PX)


def test_published_padding_at_a_quarter_micron_is_fifty_pixels() -> None:
    window = crop_window(400, 400, 100, 0.25)
    assert (window.x, window.width) == (250, 300)


def test_the_circle_stands_in_the_middle_of_its_crop() -> None:
    slide = ArraySlide(Disk(blob(400, 300, 210.0, 140.0, 8)))
    (crop,) = read_crops(slide, np.array([[210.0, 140.0, 40.0, 0.9]]), workers=2)
    assert crop is not None
    assert crop.pixels.shape == (CROP_PX, CROP_PX, 3)
    weight = crop.pixels[..., 0].astype(float)
    x = (weight.sum(0) * (np.arange(CROP_PX) + 0.5)).sum() / weight.sum()
    y = (weight.sum(1) * (np.arange(CROP_PX) + 0.5)).sum() / weight.sum()
    np.testing.assert_allclose(crop.window.l0_from_image(np.array([[x, y]])), [[210, 140]], atol=0.3)


def test_crops_keep_the_order_and_say_which_are_lost() -> None:
    slide = ArraySlide(Disk(smooth(500, 300), broken=((240, 140, 260, 160),)))
    circles = np.array([[60, 60, 20], [250, 150, 30], [440, 240, 25], [10, 10, 30]], np.float32)
    crops = read_crops(slide, circles, workers=4)
    assert [crop is None for crop in crops] == [False, True, False, False]
    for circle, crop in zip(circles, crops, strict=True):
        if crop is not None:
            centre = crop.window.l0_from_image(np.array([[CROP_PX / 2, CROP_PX / 2]]))
            np.testing.assert_allclose(centre, circle[None, :2], atol=1)


def test_a_crop_is_kept_when_only_its_context_is_lost() -> None:
    picture = smooth(500, 300)
    circle = np.array([[200, 150, 60]])  # with 12.5 px of context at 1 um/px
    for broken, kept in (((100, 60, 135, 85), True), ((100, 60, 170, 120), False)):
        (crop,) = read_crops(ArraySlide(Disk(picture, broken=(broken,))), circle, workers=1)
        assert (crop is not None) is kept
        if crop is not None:
            assert crop.scanned is not None
            assert not crop.scanned[:10, 0].any()
            assert crop.scanned[70:].all()
            assert (crop.pixels[~crop.scanned] == 255).all()


def test_no_circles_are_no_crops() -> None:
    assert read_crops(ArraySlide(Disk(smooth(50, 50))), np.zeros((0, 4)), workers=2) == []


def test_a_crop_says_what_was_not_scanned() -> None:
    scanned = np.ones((200, 200), np.bool_)
    scanned[:, 100:] = False
    slide = ArraySlide(Disk(np.zeros((200, 200, 3), np.uint8), scanned=scanned))
    (crop,) = read_crops(slide, np.array([[100, 100, 40]]), workers=1)
    assert crop is not None
    assert crop.scanned is not None
    assert crop.scanned[:, :126].all()
    assert not crop.scanned[:, 130:].any()
    assert (crop.pixels[:, 130:] == 255).all()
