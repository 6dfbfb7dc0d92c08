"""Drawn scenes: the same from the same seed, true to their truth, each kind unlike the others."""

import time
from dataclasses import replace
from itertools import combinations
from typing import get_args

import cv2
import numpy as np
import pytest
import shapely

from gloinone.drawn.layout import LAYOUTS, Layout, tissue_mask
from gloinone.drawn.scene import Drawing, DrawnGlomerulus, SceneConfig, draw, make_scene
from gloinone.drawn.stains import STAINS, Stain
from gloinone.errors import UsageError
from gloinone.labels import CLASSES, DISAPPEARING, GLOMERULAR, NONGLOMERULAR, NORMAL, OBSOLESCENT, SOLIDIFIED
from gloinone.records import Mask, Pixels

SMALL = SceneConfig(
    640, 520, normal=1, obsolescent=0, solidified=1, disappearing=0, decoys=1, seed=4, mpp=1.0, layout="full"
)


@pytest.fixture(scope="module")
def drawing() -> Drawing:
    return draw(
        SceneConfig(1400, 1100, normal=2, obsolescent=1, solidified=1, disappearing=0, seed=4, mpp=1.0)
    )


def inside(thing: DrawnGlomerulus, shape: tuple[int, ...], mpp: float, share: float = 1.0) -> Mask:
    centre = np.array([thing.cx_um, thing.cy_um])
    ring = ((thing.ring_um - centre) * share + centre) / mpp - 0.5
    mask = np.zeros(shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.rint(ring).astype(np.int32)], 1)
    return mask.astype(bool)


def grey(pixels: Pixels, mask: Mask) -> float:
    return float(pixels[mask].mean())


def test_a_seed_repeats_and_another_differs() -> None:
    one, again, other = draw(SMALL), draw(SMALL), draw(replace(SMALL, seed=5))
    assert one.pixels.tobytes() == again.pixels.tobytes()
    assert one.pixels.tobytes() != other.pixels.tobytes()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_truth_is_what_was_asked_for_and_lies_apart_in_tissue(layout: Layout, seed: int) -> None:
    config = SceneConfig(
        2400, 1500, layout=layout, seed=seed, normal=2, obsolescent=2, solidified=1, disappearing=2, decoys=4
    )
    scene = make_scene(config)
    found = {label: sum(g.label == label for g in scene.glomeruli) for label in CLASSES}
    assert found == {NORMAL: 2, OBSOLESCENT: 2, SOLIDIFIED: 1, DISAPPEARING: 2, NONGLOMERULAR: 0}
    assert [d.label for d in scene.decoys] == [NONGLOMERULAR] * 4
    assert len({d.kind for d in scene.decoys}) == 4
    tissue = shapely.union_all([shapely.Polygon(ring) for ring in scene.tissue_um])
    slide = shapely.box(0, 0, *config.size_um)
    shapes = [shapely.Polygon(thing.ring_um) for thing in (*scene.glomeruli, *scene.decoys)]
    for number, shape in enumerate(shapes):
        assert shape.is_valid
        assert tissue.contains(shape)
        assert slide.contains(shape)
        assert not any(shape.intersects(other) for other in shapes[:number])


def test_glomeruli_have_the_size_of_real_ones() -> None:
    scene = make_scene(
        SceneConfig(6000, 4000, normal=25, obsolescent=10, solidified=10, disappearing=5, seed=1)
    )
    diameters = np.array([2 * g.radius_um for g in scene.glomeruli])
    assert diameters.min() >= 95
    assert diameters.max() <= 265
    assert 140 <= np.median(diameters[:25]) <= 220
    for thing in scene.glomeruli:
        shape = shapely.Polygon(thing.ring_um)
        assert thing.radius_um == pytest.approx(np.sqrt(shape.area / np.pi))
        assert (thing.cx_um, thing.cy_um) == pytest.approx((shape.centroid.x, shape.centroid.y))


def test_tissue_is_what_is_not_glass(drawing: Drawing) -> None:
    small = cv2.resize(drawing.pixels, drawing.tissue.shape[::-1], interpolation=cv2.INTER_AREA).astype(float)
    saturation = cv2.GaussianBlur(small.max(axis=2) - small.min(axis=2), (0, 0), 3)
    stained = saturation > (saturation[0, 0] + np.median(saturation[drawing.tissue])) / 2
    assert (stained == drawing.tissue).mean() > 0.97
    assert drawing.tissue_mm2 == pytest.approx(drawing.tissue.sum() * drawing.tissue_mpp**2 / 1e6, rel=0.01)


def test_full_layout_leaves_no_glass() -> None:
    scene = make_scene(SMALL)
    assert scene.tissue(8.0).all()
    assert scene.tissue_mm2 == pytest.approx(0.3328)


@pytest.mark.parametrize("stain", ["pas", "he"])
def test_each_kind_looks_its_kind(stain: Stain) -> None:
    config = SceneConfig(
        1250,
        900,
        stain=stain,
        normal=2,
        obsolescent=2,
        solidified=2,
        disappearing=0,
        decoys=0,
        seed=2,
        mpp=1.0,
    )
    drawn = draw(replace(config, layout="full"))
    shape = drawn.pixels.shape
    core: dict[str, list[float]] = {label: [] for label in GLOMERULAR[:3]}
    spread: dict[str, list[float]] = {label: [] for label in GLOMERULAR[:3]}
    rim: dict[str, list[float]] = {label: [] for label in GLOMERULAR[:3]}
    for thing in drawn.glomeruli:
        whole, middle = inside(thing, shape, 1.0, 0.95), inside(thing, shape, 1.0, 0.35)
        core[thing.label].append(grey(drawn.pixels, middle))
        spread[thing.label].append(float(drawn.pixels[middle].mean(axis=1).std()))
        rim[thing.label].append(grey(drawn.pixels, whole & ~inside(thing, shape, 1.0, 0.75)))
    if stain != "he":  # there, it is paler than the many nuclei of an open tuft
        assert np.mean(core[SOLIDIFIED]) < np.mean(core[NORMAL])
    assert max(spread[SOLIDIFIED]) < 0.75 * min(spread[NORMAL]), (
        "even, where a normal tuft is open and full of nuclei"
    )
    assert max(core[OBSOLESCENT]) < min(rim[OBSOLESCENT]), "a dense tuft in pale collagen"
    assert np.mean(rim[SOLIDIFIED]) < np.mean(rim[OBSOLESCENT]), "solid up to the capsule"
    assert np.mean(rim[NORMAL]) > np.mean(core[NORMAL]), "Bowman's space is open"


def test_every_stain_has_its_colour() -> None:
    base = make_scene(replace(SMALL, normal=0, solidified=0, decoys=0))
    means = []
    stains: tuple[Stain, ...] = get_args(Stain)
    assert stains == STAINS
    for stain in stains:
        pixels = replace(base, config=replace(base.config, stain=stain)).draw(2.0, (0, 0, 100, 100))
        means.append(pixels.reshape(-1, 3).mean(axis=0))
    apart = [np.abs(one - other).max() for one, other in combinations(means, 2)]
    assert min(apart) > 8


def test_another_magnification_shows_the_same_scene() -> None:
    scene = make_scene(SMALL)
    pixels = {
        mpp: scene.draw(mpp, (0, 0, round(320 / mpp), round(260 / mpp))) for mpp in (0.25, 0.5, 1.0, 2.0)
    }
    for mpp, finer in ((2.0, pixels[1.0]), (1.0, pixels[0.5]), (0.5, pixels[0.25])):
        averaged = cv2.resize(finer, pixels[mpp].shape[1::-1], interpolation=cv2.INTER_AREA).astype(float)
        difference = np.abs(averaged - pixels[mpp])
        # Lines are whole pixels wide, so the coarser drawing is a little heavier.
        assert difference.mean() < 8
        assert abs((averaged - pixels[mpp]).mean()) < 5


def test_a_piece_is_the_same_as_in_the_whole() -> None:
    scene = make_scene(SMALL)
    whole = scene.draw(1.0, (0, 0, 640, 520))
    piece = scene.draw(1.0, (301, 203, 300, 250))
    difference = np.abs(whole[203:453, 301:601].astype(int) - piece)
    # OpenCV's fixed-point sampling may round a texture or a soft edge the other way.
    assert (difference > 0).any(axis=2).mean() < 0.001
    assert difference.max() < 12


def test_nothing_planted_is_still_kidney() -> None:
    drawn = draw(
        SceneConfig(400, 300, normal=0, obsolescent=0, solidified=0, disappearing=0, decoys=0, mpp=1.0)
    )
    assert drawn.glomeruli == ()
    assert drawn.decoys == ()
    assert drawn.pixels.std() > 10


def test_smallest_slide_is_drawn() -> None:
    config = SceneConfig(100, 100, normal=0, obsolescent=0, solidified=0, disappearing=0, decoys=0)
    assert draw(config).pixels.shape == (200, 200, 3)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"stain": "ihc"}, "unknown stain 'ihc'; known: pas"),
        ({"layout": "smear"}, "unknown layout"),
        ({"mpp": 0.01}, "mpp 0.01"),
        ({"mpp": float("nan")}, "mpp nan"),
        ({"width_um": 50.0}, "too small"),
        ({"normal": -1}, "negative"),
        ({"seed": -1}, "seed -1"),
        ({"scarring": 1.5}, "scarring 1.5"),
    ],
)
def test_refused_configs(change: dict[str, object], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        replace(SMALL, **change)  # type: ignore[arg-type]


def test_a_crowd_is_refused() -> None:
    with pytest.raises(UsageError, match="no room for 53 glomeruli and decoys"):
        make_scene(replace(SMALL, normal=51))


def test_a_biopsy_at_twenty_times_takes_seconds() -> None:
    def seconds() -> float:
        start = time.process_time()
        assert draw(SceneConfig(3000, 2000, mpp=0.5)).pixels.shape == (4000, 6000, 3)
        return time.process_time() - start

    # A busy neighbour on the same core slows processor time too, hence the second try.
    assert seconds() < 8 or seconds() < 8


@pytest.mark.parametrize("seed", [3, 4])
def test_the_area_of_crowded_levels_is_that_of_their_mask(seed: int) -> None:
    """Their frayed outlines cross themselves, which a polygon's area does not bear."""
    kinds = {"normal": 4, "obsolescent": 2, "solidified": 1, "disappearing": 1, "decoys": 0}
    scene = make_scene(SceneConfig(3000, 3600, layout="core", levels=3, seed=seed, **kinds))
    drawn = sum(tissue_mask([ring], scene.config.size_um, 2.0).sum() for ring in scene.tissue_um) * 4e-6
    assert scene.tissue_mm2 == pytest.approx(drawn, rel=0.02)
