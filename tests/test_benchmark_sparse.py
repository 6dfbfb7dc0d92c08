"""The sparse slide holds its copies where they were put and glass elsewhere; the peers' grid covers the tissue."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.peers import grid_over_tissue
from benchmarks.sparse import STEP_PX, Section, places_in, write_copies
from gloinone.records import Overview, Window
from gloinone.slide.reader import open_slide
from gloinone.slide.resolution import Resolution

GLASS = (240, 238, 241)


def _section() -> Section:
    pixels = np.full((STEP_PX, STEP_PX, 3), GLASS, np.uint8)
    pixels[1000:3000, 1500:2500] = (150, 90, 140)
    return Section(pixels, 0, 0.0)


def test_copies_lie_where_they_were_put_on_every_level(tmp_path: Path) -> None:
    section, size = _section(), (5 * STEP_PX - 100, 3 * STEP_PX)
    places = places_in(size, section, 3)
    assert len(set(places)) == 3
    write_copies(tmp_path / "a.tif", section, size, places)
    with open_slide(tmp_path / "a.tif", "a.tif", Resolution()) as slide:
        assert (slide.info.width, slide.info.height) == size
        assert slide.info.mpp == pytest.approx(0.25)
        for downsample in (1, 2, 16):
            edge = 32 * downsample
            for x, y in places:
                inside = slide.read_window(x + 2000 - edge / 2, y + 2000, edge, edge, 32, 32).pixels
                outside = slide.read_window(x + 200, y + 200, edge, edge, 32, 32).pixels
                assert np.abs(inside.astype(int) - (150, 90, 140)).max() < 12
                assert np.abs(outside.astype(int) - GLASS).max() < 6
        whole = slide.overview(16.0).pixels
    dark = (whole.max(axis=2) < 200).sum() * (slide.info.width / whole.shape[1]) ** 2
    assert dark == pytest.approx(3 * 1000 * 2000, rel=0.05), "three copies and nothing else"


def test_more_copies_than_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        places_in((2 * STEP_PX, STEP_PX), _section(), 3)


def test_the_grid_of_the_peers_leaves_glass_out() -> None:
    tissue = np.zeros((50, 80), np.bool_)
    tissue[5:8, 41:44] = True
    overview = Overview(Window(0, 0, 8000, 5000, 80, 50), np.zeros((50, 80, 3), np.uint8), tissue)
    assert grid_over_tissue(overview, 1000.0).tolist() == [[4000, 0]]
    assert len(grid_over_tissue(overview, 200.0)) == 4
