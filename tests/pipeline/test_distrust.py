"""What to distrust: on made-up tissue each fault raises its own number, and no other flag."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from gloinone.doubts import LIMITS, USUAL_NUCLEI_UM, Doubts
from gloinone.labels import ClassRule
from gloinone.pipeline import distrust
from gloinone.pipeline.distrust import (
    Cuts,
    doubts_of_glomerulus,
    doubts_of_slide,
    find_covered,
    nearness,
    stain_directions,
    stain_distance,
    training_stains,
    with_answers,
)
from gloinone.records import Candidate, Crop, Detection, Mask, Overview, Pixels, Window
from gloinone.slide.sampling import Read
from gloinone.slide.tissue import find_tissue
from gloinone.slide.tissue_samples import TissueSamples

HEMATOXYLIN, SCHIFF = np.array([0.65, 0.70, 0.29]), np.array([0.18, 0.93, 0.31])
MPP = 0.5
OVERVIEW_UM_PER_PX = 8.0


def draw_tissue(edge_px: int, um_per_px: float, seed: int = 0, nucleus_um: float = USUAL_NUCLEI_UM) -> Pixels:
    """Nuclei on a ground of fibres of all widths, in hematoxylin and Schiff's red."""
    rng = np.random.default_rng(seed)
    ground = np.zeros((edge_px, edge_px), np.float32)
    for width_um in (1.0, 2.0, 4.0, 8.0, 16.0):
        noise = rng.normal(0, 1, ground.shape).astype(np.float32)
        noise = cv2.GaussianBlur(noise, (0, 0), max(0.3, width_um / 2 / um_per_px))
        ground += noise / noise.std()
    pink = np.clip(0.5 + 0.12 * ground, 0.1, None)
    blue = np.zeros_like(ground)
    for x, y in rng.uniform(0, edge_px, (int((edge_px * um_per_px / 22) ** 2), 2)):
        spot = (round(x * 16), round(y * 16))
        cv2.circle(blue, spot, round(nucleus_um / 2 / um_per_px * 16), 1.0, -1, cv2.LINE_8, 4)
    density = pink[..., None] * SCHIFF + cv2.GaussianBlur(blue, (0, 0), 0.5)[..., None] * HEMATOXYLIN
    return np.clip(250 * np.exp(-density), 0, 255).astype(np.uint8)


SHARP = tuple(draw_tissue(512, MPP, seed) for seed in range(4))


@pytest.fixture
def overview() -> Overview:
    """3.2 mm of glass with tissue in the middle."""
    pixels = np.full((400, 400, 3), 245, np.uint8)
    pixels[60:340, 60:340] = cv2.resize(draw_tissue(1120, 2.0), (280, 280), interpolation=cv2.INTER_AREA)
    return overview_of(pixels)


def overview_of(pixels: Pixels) -> Overview:
    edge = pixels.shape[0] * OVERVIEW_UM_PER_PX / MPP
    window = Window(0, 0, edge, edge, pixels.shape[1], pixels.shape[0])
    scanned: Mask = np.ones(pixels.shape[:2], bool)
    return Overview(window, pixels, find_tissue(Read(window, pixels, scanned), OVERVIEW_UM_PER_PX))


def judged(pictures: tuple[Pixels, ...], overview: Overview, um_per_px: float = MPP) -> Doubts:
    return doubts_of_slide(TissueSamples(pictures, um_per_px), find_covered(overview, MPP))


@pytest.fixture(autouse=True)
def known_stains(monkeypatch: pytest.MonkeyPatch) -> None:
    stains = stain_directions(SHARP)
    assert stains is not None
    monkeypatch.setattr(distrust, "training_stains", lambda: np.stack([stains]))


def test_good_tissue_raises_no_flag(overview: Overview) -> None:
    doubts = judged(SHARP, overview)
    assert doubts.flags == ()
    assert doubts.stain_distance == pytest.approx(0, abs=0.1)
    assert doubts.nuclei_um == pytest.approx(USUAL_NUCLEI_UM, rel=0.3)
    assert (doubts.pen_share, doubts.fold_share) == (0, pytest.approx(0, abs=0.01))


def test_blur_raises_blur_and_nothing_is_said_of_nuclei(overview: Overview) -> None:
    found = []
    for sigma_um in (1.0, 2.0, 4.0):
        blurred = [np.asarray(cv2.GaussianBlur(p, (0, 0), sigma_um / MPP), np.uint8) for p in SHARP]
        found.append(judged(tuple(blurred), overview))
    assert [doubts.blur_um for doubts in found] == sorted(doubts.blur_um or 0 for doubts in found)
    assert found[-1].flags == ("blur",)
    assert found[-1].nuclei_um is None


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_an_mpp_that_is_wrong_by_two_raises_mpp(overview: Overview, factor: float) -> None:
    """What is read at 0.5 um/px is in truth of another scale."""
    pictures = tuple(draw_tissue(512, MPP / factor, seed) for seed in range(4))
    doubts = judged(pictures, overview)
    assert "mpp" in doubts.flags
    usual = judged(SHARP, overview).nuclei_um
    assert usual is not None
    assert doubts.nuclei_um is not None
    assert doubts.nuclei_um / usual == pytest.approx(factor, rel=0.3)


def test_blue_instead_of_pink_raises_stain(overview: Overview) -> None:
    blue = tuple(np.ascontiguousarray(picture[..., [1, 2, 0]]) for picture in SHARP)
    assert "stain" in judged(blue, overview).flags
    grey = tuple(np.repeat(picture[..., :1], 3, axis=2) for picture in SHARP)
    assert judged(grey, overview).stain_distance is None  # one stain: nothing is said


def test_a_fold_is_found_where_it_is(overview: Overview) -> None:
    pixels = overview.pixels.copy()
    lower = pixels[60:340, 180:240].astype(np.float32)
    pixels[60:340, 180:240] = (lower * lower[:, ::-1] / 250).astype(np.uint8)
    faulty = replace(overview, pixels=pixels)
    doubts = judged(SHARP, faulty)
    assert doubts.flags == ("fold",)
    assert doubts.fold_share == pytest.approx(60 / 280, rel=0.3)
    covered = find_covered(faulty, MPP)
    assert of_circle(covered, 210, 200).flags == ("fold",)
    assert of_circle(covered, 120, 200).fold_share == 0


def test_a_dark_glomerulus_is_no_fold(overview: Overview) -> None:
    pixels = overview.pixels.copy()
    radius_px = round(120 / OVERVIEW_UM_PER_PX)
    dark = np.zeros(pixels.shape[:2], np.uint8)
    for x in (120, 200, 280):
        cv2.circle(dark, (x, 200), radius_px, 1, -1)
    inside = dark == 1
    pixels[inside] = (pixels[inside].astype(np.float32) ** 2 / 250).astype(np.uint8)  # as dense as a fold
    covered = find_covered(replace(overview, pixels=pixels), MPP)
    assert covered.fold_share == 0
    assert of_circle(covered, 200, 200).flags == ()
    cv2.rectangle(dark, (100, 195), (300, 205), 1, -1)
    inside = (dark == 1) & ~inside
    pixels[inside] = (pixels[inside].astype(np.float32) ** 2 / 250).astype(np.uint8)
    covered = find_covered(replace(overview, pixels=pixels), MPP)
    assert of_circle(covered, 200, 200).flags == ("fold",), "a fold that runs through them"


def test_a_pen_is_found_where_it_is(overview: Overview) -> None:
    pixels = overview.pixels.copy()
    pixels[190:215, :] = (20, 60, 190)
    faulty = overview_of(pixels)
    assert "pen" in judged(SHARP, faulty).flags
    covered = find_covered(faulty, MPP)
    assert "pen" in of_circle(covered, 200, 188).flags
    assert of_circle(covered, 200, 120).pen_share == 0


def of_circle(covered: distrust.Covered, x: float, y: float) -> Doubts:
    """A circle of 200 um at a place of the overview."""
    (cx, cy), radius = covered.overview.window.l0_from_image(np.array([[x, y]]))[0], 100 / MPP
    window = Window(cx - 200, cy - 200, 450, 450, 256, 256)
    candidate = Candidate(
        Detection(cx, cy, radius, 0.9), (0.9, 0.04, 0.03, 0.02, 0.01), 0.9, "normal", window
    )
    return doubts_of_glomerulus(candidate, Crop(window, SHARP[0][:256, :256]), covered)


def test_nearness_to_a_cut() -> None:
    def near(p: tuple[float, ...], score: float, rule: ClassRule) -> float:
        window = Window(0, 0, 8, 8, 8, 8)
        one = Candidate(Detection(4, 4, 2, score), p, score, "normal", window)  # type: ignore[arg-type]
        return nearness(one, 0.2, rule)

    rule = ClassRule("hierarchy", nonglomerular_cut=0.9, sclerosed_cut=0.5)
    assert near((1, 0, 0, 0, 0), 1.0, rule) == 0
    assert near((1, 0, 0, 0, 0), 0.28, rule) == pytest.approx(0.9)  # a tenth of the way from 0.2 to 1
    assert near((0.5, 0.3, 0.2, 0, 0), 1.0, rule) == pytest.approx(1)
    assert near((0.6, 0.4, 0, 0, 0), 1.0, rule) == pytest.approx(0.8)
    assert near((0.19, 0, 0, 0, 0.81), 1.0, rule) == pytest.approx(0.9)  # 0.09 of 0.9 below the cut
    assert near((0.4, 0.35, 0.25, 0, 0), 1.0, ClassRule("argmax")) == pytest.approx(0.95)


@pytest.mark.parametrize(
    ("votes", "voters", "missing", "flags"),
    [
        (1, 1, None, ()),
        (4, 4, 0.0, ()),
        (3, 4, 0.25, ()),
        (2, 4, 0.5, ("few votes",)),
        (1, 2, 0.5, ("few votes",)),
    ],
)
def test_what_few_voters_saw_is_flagged(
    votes: int, voters: int, missing: float | None, flags: tuple[str, ...]
) -> None:
    sure = Candidate(
        Detection(0, 0, 10, 1.0, votes), (1, 0, 0, 0, 0), 1.0, "normal", Window(0, 0, 1, 1, 1, 1)
    )
    found = with_answers(Doubts(fold_share=0.01), sure, Cuts(0.3, ClassRule(), voters))
    assert found.votes_missing == missing
    assert found.flags == flags
    assert (found.near_cut, found.fold_share) == (0, 0.01)


def test_doubt_is_the_largest_ratio_and_flags_lead_with_it() -> None:
    doubts = Doubts(blur_um=2 * LIMITS["blur_um"], pen_share=LIMITS["pen_share"], near_cut=0.1)
    assert doubts.doubt == 2
    assert doubts.flags == ("blur", "pen")
    assert (Doubts().doubt, Doubts().flags) == (None, ())
    wrong = Doubts(nuclei_um=USUAL_NUCLEI_UM / 2), Doubts(nuclei_um=USUAL_NUCLEI_UM * 2)
    assert wrong[0].doubt == wrong[1].doubt == pytest.approx(1 / LIMITS["nuclei_um"])


def test_the_shipped_stains_are_pairs_of_directions() -> None:
    known = training_stains()
    assert len(known) >= 10
    assert np.linalg.norm(known, axis=2) == pytest.approx(1, abs=1e-3)
    assert stain_distance(known[0], known) == pytest.approx(0, abs=0.1)
