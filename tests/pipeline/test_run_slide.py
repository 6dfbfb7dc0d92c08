"""The method on a drawn slide, with stages that know the truth: what is kept, in which order, and what was lost."""

import io
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from gloinone.drawn.config import SceneConfig
from gloinone.drawn.slide import Truth, draw_slide
from gloinone.geometry import circle_ring, ring_mask
from gloinone.labels import CLASSES, NONGLOMERULAR, ClassRule
from gloinone.levelling import Level, log_odds, raised
from gloinone.pipeline import run_slide
from gloinone.pipeline.run_slide import Stages, analyse, in_reading_order
from gloinone.pipeline.unread import read_share
from gloinone.records import Crop, Detection, Outline, Overview, Window
from gloinone.slide.reader import Slide, open_slide
from gloinone.slide.resolution import Resolution


@dataclass(frozen=True)
class Known:
    """What a detector that knows the truth says."""

    circles: NDArray[np.float64]
    unread: tuple[tuple[float, float, float, float], ...] = ()


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Truth:
    config = SceneConfig(
        1600, 1200, normal=3, obsolescent=1, solidified=1, disappearing=0, decoys=2, seed=4, mpp=1.0
    )
    return draw_slide(tmp_path_factory.mktemp("drawn") / "a.tif", config)


def _stages(truth: Truth, unread: tuple[tuple[float, float, float, float], ...] = ()) -> Stages:
    things = [*truth.glomeruli, *truth.decoys]
    circles = np.array([[*thing.circle, 0.9 - 0.01 * i] for i, thing in enumerate(things)])
    circles = np.vstack([circles, [*things[0].circle[:2], 20.0, 0.05]])

    def classify(crops: Sequence[Crop]) -> NDArray[np.float64]:
        rows = []
        for crop in crops:
            middle = np.array([crop.window.x + crop.window.width / 2, crop.window.y + crop.window.height / 2])
            nearest = min(things, key=lambda t: np.hypot(*(np.array(t.circle[:2]) - middle)))
            rows.append([0.9 if name == nearest.label else 0.025 for name in CLASSES])
        return np.array(rows)

    def segment(
        crops: Sequence[Crop], detections: Sequence[Detection], size: tuple[int, int]
    ) -> list[Outline]:
        assert size == (truth.width, truth.height)
        outlines = []
        for crop, d in zip(crops, detections, strict=True):
            ring = circle_ring(d.cx, d.cy, d.radius)
            inside = ring_mask(crop.window.image_from_l0(ring), 256, 256)
            outlines.append(Outline(ring, "circle", False, inside, crop.window))
        return outlines

    return Stages(
        read=lambda slide, overview: io.BytesIO(),  # nothing but something to close
        detect=lambda tiles, on_tile: Known(circles, unread),
        classify=classify,
        segment=segment,
        rule=ClassRule(),
        score_combination="product",
        min_score=0.3,
    )


def _analyse(truth: Truth, stages: Stages):
    with open_slide(truth.path, "a.tif", Resolution()) as slide:
        return analyse(slide, stages, lambda *_: None)


def test_every_circle_is_kept_as_a_candidate_and_only_glomeruli_above_the_threshold_are_outlined(
    truth: Truth,
):
    result = _analyse(truth, _stages(truth))
    assert result.status == "done"
    assert len(result.candidates) == 5 + 2 + 1
    assert [g.id for g in result.glomeruli] == ["G001", "G002", "G003", "G004", "G005"]
    assert {g.label for g in result.glomeruli} == {"normal", "obsolescent", "solidified"}
    centres = [(g.candidate.detection.cy, g.candidate.detection.cx) for g in result.glomeruli]
    assert centres == sorted(centres)
    faint = [c for c in result.candidates if c.detection.score == 0.05]
    assert len(faint) == 1
    assert faint[0].score == pytest.approx(0.05 * 0.975)


def test_all_circles_together_say_how_unlike_the_training_slides_it_is(truth: Truth):
    stages = _stages(truth)
    assert _analyse(truth, stages).doubts.feature_distance is None
    seen: list[NDArray[np.float64]] = []

    def classify(crops: Sequence[Crop]) -> NDArray[np.float64]:
        return np.hstack([stages.classify(crops), [[crop.window.x, crop.window.width] for crop in crops]])

    def unlike(features: NDArray[np.float64]) -> float:
        seen.append(features)
        return 1.5

    result = _analyse(truth, replace(stages, classify=classify, unlike=unlike))
    assert result.doubts.feature_distance == 1.5
    assert result.doubts.flags[0] == "unlike training"
    assert seen[0].tolist() == [[c.window.x, c.window.width] for c in result.candidates]
    assert result.candidates == _analyse(truth, stages).candidates


def test_the_crops_of_the_best_circles_say_what_a_classifier_is_adapted_to(
    truth: Truth, monkeypatch: pytest.MonkeyPatch
):
    stages = _stages(truth)
    plain = _analyse(truth, stages)
    monkeypatch.setattr("gloinone.pipeline.run_slide.CLASSIFIED_AT_ONCE", 3)
    asked: list[list[float]] = []
    by_adapted: list[float] = []

    def adapt(surest: Sequence[Crop]) -> Callable[[Sequence[Crop]], NDArray[np.float64]]:
        asked.append([crop.window.x for crop in surest])

        def classify(crops: Sequence[Crop]) -> NDArray[np.float64]:
            by_adapted.extend(crop.window.x for crop in crops)
            return stages.classify(crops)

        return classify

    result = _analyse(truth, replace(stages, adapt=adapt))
    best = sorted(result.candidates, key=lambda c: -c.detection.score)[:3]
    assert asked == [[c.window.x for c in result.candidates if c in best]], "once, in reading order"
    assert sorted(by_adapted) == sorted(c.window.x for c in result.candidates), "the best ones, too"
    assert result.candidates == plain.candidates
    assert [g.candidate for g in result.glomeruli] == [g.candidate for g in plain.glomeruli]


def test_scores_of_a_slide_are_raised_where_they_lie_lower_than_usual(truth: Truth):
    stages = replace(_stages(truth), min_score=0.865)
    as_they_are = _analyse(truth, stages)
    assert (len(as_they_are.glomeruli), as_they_are.doubts.score_shift) == (2, None)
    said = [c.detection.score for c in as_they_are.candidates if c.label != NONGLOMERULAR and c.score >= 0.3]
    level = Level(0.3, kept_log_odds=float(log_odds(said).mean()) + 0.4)
    result = _analyse(truth, replace(stages, level=level))
    shift = 5 / (5 + 5) * 0.4
    assert result.doubts.score_shift == pytest.approx(shift)
    assert [c.score for c in result.candidates] == [raised(c.score, shift) for c in as_they_are.candidates]
    assert [c.detection for c in result.candidates] == [c.detection for c in as_they_are.candidates]
    assert len(result.glomeruli) == 4
    assert all(g.crop is not None for g in result.glomeruli)  # what the threshold alone would not have kept
    usual = _analyse(truth, replace(stages, level=Level(0.3, -2.0)))
    assert (usual.candidates, usual.doubts.score_shift) == (as_they_are.candidates, 0.0)


def test_what_raised_scores_keep_is_asked_too(truth: Truth):
    stages = _stages(truth)
    candidates = _analyse(truth, stages).candidates

    def kept_at(shift: float) -> list[float]:
        some = (c for c in candidates if c.label != NONGLOMERULAR and raised(c.score, shift) >= 0.865)
        return [c.detection.score for c in some]

    few = kept_at(0.0)
    usual = float(log_odds(few).mean()) + 1.2
    first = len(few) / (len(few) + 5) * 1.2
    more = kept_at(first)
    assert len(more) > len(few)
    second = len(more) / (len(more) + 5) * (usual - float(log_odds(more).mean()))
    assert first < second < 1
    result = _analyse(truth, replace(stages, level=Level(0.865, usual)))
    assert result.doubts.score_shift == pytest.approx(second)


def test_circles_that_are_no_glomeruli_do_not_say_how_sure_the_detector_is(truth: Truth):
    stages = replace(_stages(truth), level=Level(0.3, 9.0))
    nothing = [[0.01, 0.01, 0.01, 0.01, 0.96]]
    none = _analyse(truth, replace(stages, classify=lambda crops: np.array(nothing * len(crops))))
    assert none.doubts.score_shift == 0.0
    assert _analyse(truth, stages).doubts.score_shift == 1.0
    assert _analyse(truth, stages).doubts.flags[0] == "low scores"


def test_votes_of_several_detectors_reach_the_result(truth: Truth):
    stages = _stages(truth)
    said = stages.detect(None, lambda *_: None).circles  # type: ignore[arg-type]
    votes = 1 + np.arange(len(said)) % 3
    several = replace(stages, detect=lambda *_: Known(np.column_stack([said, votes])), voters=3)
    result = _analyse(truth, several)
    assert result.voters == 3
    found = {
        (c.detection.cx, c.detection.cy, c.detection.score): c.detection.votes for c in result.candidates
    }
    assert found == {(c[0], c[1], c[3]): int(v) for c, v in zip(said, votes, strict=True)}
    assert {g.candidate.detection.votes for g in _analyse(truth, stages).glomeruli} == {1}


def test_sizes_are_those_of_the_truth(truth: Truth):
    result = _analyse(truth, _stages(truth))
    for glomerulus in result.glomeruli:
        d = glomerulus.candidate.detection
        assert glomerulus.diameter_um == pytest.approx(2 * d.radius * truth.mpp, rel=1e-3)
        assert glomerulus.crop.shape == (256, 256, 3)
        assert glomerulus.candidate.window.width * truth.mpp == pytest.approx(
            glomerulus.diameter_um + 25, abs=2
        )


def test_pieces_levels_and_tracks_are_found(truth: Truth):
    result = _analyse(truth, _stages(truth))
    (piece,) = result.pieces
    assert (piece.core, piece.level) == (1, 1)
    assert piece.tissue_mm2 == pytest.approx(truth.tissue_mm2, rel=0.05)
    assert result.piece_map is not None
    assert result.piece_map.shape == result.overview.tissue.shape
    assert [(g.piece, g.track, g.at_edge) for g in result.glomeruli] == [(1, n, False) for n in range(1, 6)]


def test_non_glomerular_are_kept_on_request(truth: Truth):
    result = _analyse(truth, replace(_stages(truth), keep_nonglomerular=True, min_score=0.0))
    assert sum(g.label == NONGLOMERULAR for g in result.glomeruli) == 2
    assert result.n_glomeruli == len(result.glomeruli) - 2


def test_unread_tiles_make_the_slide_partial_and_are_named(truth: Truth):
    half = (0.0, 0.0, truth.width / 2, float(truth.height))
    result = _analyse(truth, _stages(truth, (half,)))
    assert result.status == "partial"
    assert result.tissue_read_fraction == pytest.approx(0.5, abs=0.1)
    assert result.unread == (half,)
    assert "1 places could not be read (level-0 px: x 0 to 800" in result.notes[0]


def test_a_circle_whose_crop_is_lost_makes_the_slide_partial(truth: Truth, monkeypatch: pytest.MonkeyPatch):
    def without_the_second(
        slide: object, circles: NDArray[np.float64], workers: int
    ) -> Iterator[Crop | None]:
        for i, circle in enumerate(circles):
            window = Window(circle[0] - 60, circle[1] - 60, 120, 120, 256, 256)
            yield None if i == 1 else Crop(window, np.zeros((256, 256, 3), np.uint8))

    monkeypatch.setattr(run_slide, "stream_crops", without_the_second)
    result = _analyse(truth, _stages(truth))
    assert result.status == "partial"
    assert len(result.candidates) == 7
    assert "1 circles were found whose surroundings could not be read" in result.notes[0]


def test_more_circles_than_are_classified_at_once(truth: Truth, monkeypatch: pytest.MonkeyPatch):
    whole = _analyse(truth, _stages(truth))
    monkeypatch.setattr(run_slide, "CLASSIFIED_AT_ONCE", 3)
    assert [c.detection for c in _analyse(truth, _stages(truth)).candidates] == [
        c.detection for c in whole.candidates
    ]


def test_reading_order_is_not_disturbed_by_fractions_of_a_pixel():
    circles = np.array([[300.0, 50.2, 9, 0.5], [100.0, 50.9, 9, 0.5], [200.0, 10.0, 9, 0.5]])
    assert in_reading_order(circles)[:, 0].tolist() == [200.0, 100.0, 300.0]


def test_read_share_counts_tissue_not_glass():
    window = Window(0, 0, 100, 100, 10, 10)
    tissue = np.zeros((10, 10), bool)
    tissue[:, :5] = True
    overview = Overview(window, np.zeros((10, 10, 3), np.uint8), tissue)
    assert read_share(overview, []) == 1
    assert read_share(overview, [(0, 0, 50, 50)]) == pytest.approx(0.5)
    # a core's border in whole level-0 px does not take a further column of the overview along
    assert read_share(overview, [(0, 0, 24.6, 100)]) == pytest.approx(0.6)
    # glass that could not be read is still something nobody looked at
    assert 0.99 < read_share(overview, [(60, 0, 100, 100)]) < 1
    empty = Overview(window, overview.pixels, np.zeros((10, 10), bool))
    assert read_share(empty, [(0, 0, 50, 50)]) == 1
    damaged = tissue.copy()
    damaged[:5, 5:] = True
    unread = damaged & ~tissue
    assert read_share(Overview(window, overview.pixels, damaged, unread), []) == pytest.approx(50 / 75)


def test_damage_in_the_overview_makes_the_slide_partial(truth: Truth, monkeypatch: pytest.MonkeyPatch):
    whole = run_slide.tissue_overview

    def damaged(slide: Slide) -> Overview:
        overview = whole(slide)
        unread = np.zeros_like(overview.tissue)
        unread[:10] = True
        return replace(overview, tissue=overview.tissue | unread, unread=unread)

    monkeypatch.setattr(run_slide, "tissue_overview", damaged)
    result = _analyse(truth, _stages(truth))
    assert result.status == "partial"
    assert result.tissue_read_fraction < 0.97
    assert "of the overview could not be read" in result.notes[0]


def test_when_a_stage_fails_nobody_reads_on(truth: Truth):
    """The slide is closed then: a read under way would crash the program."""

    def fail(crops: Sequence[Crop]) -> NDArray[np.float64]:
        raise MemoryError("no room on the device")

    many = np.array([[400.0 + i, 300.0, 50.0, 0.5] for i in range(200)])
    stages = replace(_stages(truth), detect=lambda *_: Known(many), classify=fail)
    with pytest.raises(MemoryError) as caught:  # whose traceback keeps every frame alive
        _analyse(truth, stages)
    assert not [t for t in threading.enumerate() if t.name.startswith("read")]
    del caught


def test_a_slide_without_tissue_is_a_result(truth: Truth, tmp_path: Path):
    cv2.imwrite(str(tmp_path / "white.png"), np.full((600, 800, 3), 250, np.uint8))
    nothing = replace(_stages(truth), detect=lambda *_: Known(np.zeros((0, 4))), segment=lambda *_: [])
    with open_slide(tmp_path / "white.png", "white.png", Resolution(1.0, "option")) as slide:
        result = analyse(slide, nothing, lambda *_: None)
    assert (result.status, result.n_glomeruli, result.candidates, result.tissue_mm2) == ("done", 0, (), 0.0)


def test_what_the_classifiers_card_says_of_the_kinds_reaches_the_result(truth: Truth):
    assert not _analyse(truth, _stages(truth)).subtype_validated
    assert _analyse(truth, replace(_stages(truth), subtype_validated=True)).subtype_validated
