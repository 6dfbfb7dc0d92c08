"""Windows spread over the tissue of a slide."""

from dataclasses import replace

import numpy as np
from array_slide import ArraySlide, Disk

from gloinone.slide.tissue import tissue_overview
from gloinone.slide.tissue_samples import COUNT, EDGE_UM, read_spread, sample_tissue


def a_slide(*broken: tuple[int, int, int, int]) -> ArraySlide:
    """Speckled tissue of 1200 x 1000 um on white glass, 1 um/px."""
    pixels = np.full((1200, 1400, 3), 245, np.uint8)
    speckles = np.random.default_rng(0).integers(60, 180, (1000, 1200, 1))
    pixels[100:1100, 100:1300] = speckles * np.array([1, 0.6, 0.9])
    return ArraySlide(Disk(pixels, broken), mpp=1.0)


def test_windows_show_tissue_at_the_resolution_asked_for() -> None:
    slide = a_slide()
    pictures = read_spread(slide, tissue_overview(slide), 12, 100, 2.0)
    assert [picture.shape for picture in pictures] == [(100, 100, 3)] * 12
    assert len({picture.tobytes() for picture in pictures}) == 12
    assert all(np.mean(picture == 245) < 0.8 for picture in pictures)


def test_those_for_the_slides_quality_are_of_one_size() -> None:
    slide = a_slide()
    samples = sample_tissue(slide, tissue_overview(slide))
    assert len(samples.pictures) == COUNT
    assert samples.um_per_px == 1.0
    assert {picture.shape for picture in samples.pictures} == {(round(EDGE_UM), round(EDGE_UM), 3)}


def test_a_window_that_cannot_be_read_is_left_out() -> None:
    slide = a_slide()
    overview = tissue_overview(slide)
    whole = read_spread(slide, overview, 8, 288, 1.0)
    some = read_spread(a_slide((0, 0, 1400, 300)), overview, 8, 288, 1.0)
    assert 0 < len(some) < len(whole) == 8
    assert all(any(np.array_equal(a, b) for b in whole) for a in some)


def test_no_tissue_has_no_window() -> None:
    slide = a_slide()
    overview = tissue_overview(slide)
    assert read_spread(slide, replace(overview, tissue=np.zeros_like(overview.tissue)), 8, 288, 1.0) == ()
