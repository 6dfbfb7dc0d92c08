"""Training tiles, the cache and exact resume."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from gloinone.detection.build import build_network
from gloinone.detection.cases import Case, cache_key, load_case, save_case, split_cases
from gloinone.detection.make import MakeConfig, start_card
from gloinone.detection.predict import DetectConfig
from gloinone.detection.samples import SampleConfig, TileSampler, case_stains, collate, known_part, read_tile
from gloinone.detection.train import DetectorData, detector_recipe, detector_task
from gloinone.detection.validate import judged, predict_case, score
from gloinone.errors import UsageError
from gloinone.learning.augment import ColourConfig
from gloinone.learning.journal import read_journal
from gloinone.learning.training import JOURNAL, train
from gloinone.metrics import CircleImage

PLAIN = ColourConfig(0, 0, 0, 0, 0, 0, 0, 0)
NONE = np.zeros((0, 3))


def disc_case(name: str = "a", patient: str = "p", size: int = 600, seed: int = 0) -> Case:
    """A grey picture with dark discs where the truth says."""
    rng = np.random.default_rng(seed)
    pixels = np.full((size, size + 80, 3), 220, np.uint8)
    circles = np.array([[120.0, 150, 40], [400, 380, 55], [500, 90, 30]]) + np.array(
        [[rng.integers(9), 0, 0]]
    )
    for cx, cy, r in circles:
        cv2.circle(
            pixels, (int(cx * 16) - 8, int(cy * 16) - 8), int(r * 16), (90, 30, 60), -1, cv2.LINE_AA, 4
        )
    tissue = np.argwhere(np.ones((size // 50, size // 50)))[:, ::-1] * 50.0
    return Case(name, "source", patient, 1.25, pixels, circles, np.zeros((0, 3)), tissue, 0.5)


def two_stained_case(name: str, source: str, second: list[float]) -> Case:
    """The discs in hematoxylin on a ground of mixtures with another stain."""
    case = disc_case(name)
    height, width = case.pixels.shape[:2]
    amounts = np.random.default_rng(5).uniform(0, 1, (2, height, width, 1))
    amounts[0] += (case.pixels[..., 1:2] < 125) * 1.0
    density = amounts[0] * np.array([0.65, 0.70, 0.29]) + amounts[1] * np.array(second)
    return replace(case, source=source, pixels=np.clip(256 * np.exp(-density) - 1, 0, 255).astype(np.uint8))


def test_tiles_are_shown_in_the_stains_of_other_slides_and_of_references():
    pink = two_stained_case("pink", "a", [0.07, 0.99, 0.11])
    brown = two_stained_case("brown", "b", [0.3, 0.6, 0.8])
    config = SampleConfig(edge_px=96, colour=PLAIN, transfer_share=1.0)
    never = replace(config, transfer_share=0.0)

    def blueness(
        cases: list[Case], config: SampleConfig, **references: list[NDArray[np.float32]]
    ) -> list[float]:
        tiles = TileSampler(cases, config, seed=4, **references).batch(0, 24)
        return [float((t.pixels[..., 2].astype(int) - t.pixels[..., 1]).mean()) for t in tiles]

    assert min(blueness([pink], never)) > 60  # eosin lets blue through, the other does not
    assert min(blueness([pink], config)) > 60  # its own strengths alone vary
    assert min(blueness([pink, brown], config)) < 30
    assert max(blueness([pink, brown], config)) > 60
    stains = case_stains(brown)
    assert stains is not None
    assert min(blueness([pink], config, references=[stains])) < 30
    again = TileSampler([pink, brown], config, seed=4).batch(0, 4)
    for one, other in zip(again, TileSampler([pink, brown], config, seed=4).batch(0, 4), strict=True):
        assert np.array_equal(one.pixels, other.pixels)


def test_targets_fit_the_picture_after_every_turn_and_scale():
    config = SampleConfig(edge_px=192, max_stretch=1, glomerulus_share=1.0, colour=PLAIN)
    sampler = TileSampler([disc_case()], config, seed=1)
    seen = 0
    for step in range(40):
        sample = sampler.batch(step, 1)[0]
        dark = sample.pixels[..., 1].astype(int) < 125
        for cell, offset, radius in zip(
            sample.targets.cells, sample.targets.offset, sample.targets.radius, strict=True
        ):
            cx, cy = (cell % 48 + offset[0]) * 4, (cell // 48 + offset[1]) * 4
            r = radius * 4
            if min(cx, cy) < r + 2 or max(cx, cy) > 190 - r:
                continue
            yy, xx = np.mgrid[:192, :192] + 0.5
            disc = np.hypot(xx - cx, yy - cy) <= r
            overlap = (dark & disc).sum() / (disc | (dark & (np.hypot(xx - cx, yy - cy) < r * 1.5))).sum()
            assert overlap > 0.93
            seen += 1
    assert seen > 10


def test_what_is_drawn_out_keeps_its_centre_and_its_area():
    """A disc is an ellipse then, and its target the circle of equal area."""
    config = SampleConfig(
        edge_px=192, min_scale=1, max_scale=1, max_stretch=1.5, glomerulus_share=1, colour=PLAIN
    )
    ratios = []
    for sample in TileSampler([disc_case()], config, seed=1).batch(0, 60):
        targets = sample.targets
        dark = (sample.pixels[..., 1].astype(int) < 125).astype(np.uint8)
        _, pieces, stats, centroids = cv2.connectedComponentsWithStats(dark)
        cells = np.column_stack([targets.cells % 48, targets.cells // 48])
        whole = {
            (*((cell + offset) * 4 - 0.5).round(2), radius * 4)
            for cell, offset, radius in zip(cells, targets.offset, targets.radius, strict=True)
            if (np.abs((cell + offset) * 4 - 96) < 94 - 1.3 * 4 * radius).all()
        }
        for x, y, radius in whole:
            piece = pieces[round(float(y)), round(float(x))]
            _, _, width, height, area = stats[piece]
            assert centroids[piece] == pytest.approx((x, y), abs=1)
            assert np.sqrt(area / np.pi) == pytest.approx(radius, rel=0.04)
            ratios.append(width / height)
    assert len(ratios) > 10
    # quarter turns: along either edge
    assert 1.3 < max(ratios) < 1.6
    assert 1.3 < 1 / min(ratios) < 1.6


def test_beyond_the_border_the_loss_does_not_count():
    case = disc_case()
    pixels, inside = read_tile(case.pixels, np.array([-100.0, -50.0]), 100, 2.0)
    assert not inside[:, :50].any()
    assert not inside[:25].any()
    assert inside[25:, 50:].all()
    # reflected about the border's pixel, like prediction
    whole, _ = read_tile(case.pixels, np.array([-100.0, -50.0]), 200, 1.0)
    assert np.array_equal(whole[50:, 99], case.pixels[:150, 1])
    assert pixels.shape == (100, 100, 3)


def test_a_batch_depends_on_seed_and_step_alone():
    sampler = TileSampler([disc_case()], SampleConfig(edge_px=64), seed=3)
    first, again = (
        sampler.batch(5, 2),
        TileSampler([disc_case()], SampleConfig(edge_px=64), seed=3).batch(5, 2),
    )
    for a, b in zip(first, again, strict=True):
        assert np.array_equal(a.pixels, b.pixels)
    assert not np.array_equal(first[0].pixels, sampler.batch(6, 2)[0].pixels)


def test_collate_lists_circles_by_tile():
    samples = TileSampler([disc_case()], SampleConfig(edge_px=128, colour=PLAIN), seed=2).batch(0, 4)
    images, targets = collate(samples)
    assert images.shape == (4, 3, 128, 128)
    assert len(targets.cell) == sum(len(s.targets.cells) for s in samples)
    heat = targets.heat.flatten(2)[targets.tile, 0, targets.cell]
    is_centre = ((targets.offset >= 0) & (targets.offset < 1)).all(dim=1)
    assert is_centre.any()
    assert (heat[is_centre] == 1).all()
    assert (
        heat >= np.exp(-2) - 1e-6
    ).all()  # no cell is further than two sigma from a centre of its own tile


def test_cache_gives_back_what_was_put_in(tmp_path: Path):
    case = replace(disc_case(), complete=(np.array([[0.0, 0], [9, 0], [9, 9]]),), holes=(np.eye(3, 2),))
    key = cache_key(["a", 1.25])
    assert load_case(tmp_path, key) is None
    save_case(tmp_path, key, case)
    back = load_case(tmp_path, key)
    assert back is not None
    assert np.array_equal(back.pixels, case.pixels)
    assert np.array_equal(back.circles, case.circles)
    assert back.complete is not None
    assert np.array_equal(back.complete[0], case.complete[0])  # type: ignore[index]
    assert np.array_equal(back.holes[0], case.holes[0])
    save_case(tmp_path, "partial", replace(case, complete=()))
    assert load_case(tmp_path, "partial").complete == ()  # type: ignore[union-attr]
    assert (back.name, back.patient, back.mpp) == (case.name, case.patient, case.mpp)
    assert cache_key(["a", 1.26]) != key


def test_a_cached_picture_that_is_in_use_outlives_a_new_one_of_its_name(tmp_path: Path):
    save_case(tmp_path, "key", disc_case(seed=1))
    used = load_case(tmp_path, "key")
    save_case(tmp_path, "key", disc_case(seed=2))  # of another training that shares the cache
    assert used is not None
    assert np.array_equal(used.pixels, disc_case(seed=1).pixels)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["key.json", "key.npy"]


def test_no_patient_on_both_sides():
    cases = [
        disc_case("a.tif", "p1", seed=1),
        disc_case("b.tif", "p1", seed=2),
        disc_case("c.tif", "p2", seed=4),
    ]
    learn, judge = split_cases(cases, frozenset({"a"}))
    assert [c.name for c in judge] == ["a.tif", "b.tif"]
    assert [c.name for c in learn] == ["c.tif"]
    with pytest.raises(UsageError, match="no slide or patient named nobody"):
        split_cases(cases, frozenset({"nobody"}))
    with pytest.raises(UsageError, match="nothing to train on"):
        split_cases(cases, frozenset({"p1", "p2"}))


def test_a_copy_under_another_name_is_refused():
    cases = [
        disc_case("a.tif", "p1", seed=1),
        disc_case("copy.tif", "p2", seed=1),
        disc_case("c.tif", "p3", seed=4),
    ]
    with pytest.raises(UsageError, match=r"copy\.tif shows the same as source/a\.tif"):
        split_cases(cases, frozenset({"a"}))
    assert len(split_cases(cases, frozenset({"c"}))[0]) == 2


def _train(folder: Path, steps: int, say: Callable[[str], None]) -> dict[str, torch.Tensor]:
    recipe = replace(detector_recipe(steps=steps, batch=2), warmup_steps=1, save_every=2, log_every=1)
    sample = SampleConfig(edge_px=64)
    torch.manual_seed(0)
    card = start_card(MakeConfig(out=folder, recipe=recipe, arch="resnet18"), [disc_case()], [])
    detect = DetectConfig(2.0, 128, 60.0, 0.05, 0.35, batch_size=2)
    data = DetectorData([disc_case()], [disc_case(seed=1)], sample, detect)
    device = torch.device("cpu")
    return train(
        build_network(card), detector_task(data, recipe, device), recipe, folder, device, say
    ).state_dict()


def test_a_killed_training_ends_with_the_same_weights(tmp_path: Path):
    said: list[str] = []
    whole = _train(tmp_path / "whole", 4, said.append)
    assert any("validation ap50" in line for line in said)

    class KilledError(Exception):
        pass

    def kill(line: str) -> None:
        if line.startswith("step 3/"):
            raise KilledError

    with pytest.raises(KilledError):
        _train(tmp_path / "killed", 4, kill)
    resumed = _train(tmp_path / "killed", 4, said.append)
    assert any("goes on at step 2 of 4" in line for line in said)
    for name, tensor in whole.items():
        assert torch.equal(tensor, resumed[name]), name
    steps = [row["step"] for row in read_journal(tmp_path / "killed" / JOURNAL) if row["loss"]]
    assert steps == ["1", "2", "3", "4"]


def test_other_data_do_not_continue(tmp_path: Path):
    data = DetectorData([disc_case()], [], SampleConfig(), DetectConfig(2.0, 128, 60.0, 0.05, 0.35))
    recipe, device = detector_recipe(), torch.device("cpu")
    one = detector_task(data, recipe, device).identity
    assert detector_task(data, recipe, device).identity == one
    for other in (
        replace(data, learn=[disc_case(seed=5)]),
        replace(data, sample=SampleConfig(edge_px=64)),
        replace(data, learn=[replace(disc_case(), complete=(np.eye(3, 2),))]),
    ):
        assert detector_task(other, recipe, device).identity != one


def test_outside_of_what_is_complete_nothing_is_a_negative():
    """Discs at 120, 150 and 400, 380 are known; the one at 500, 90 and all ground lie outside of the ring."""
    ring = np.array([[0.0, 0], [300, 0], [300, 300], [0, 300]])
    case = replace(disc_case(), complete=(ring,))
    config = SampleConfig(edge_px=128, glomerulus_share=1.0, min_scale=1, max_scale=1, colour=PLAIN)
    whole = TileSampler([disc_case()], config, seed=1)
    partly = TileSampler([case], config, seed=1)
    nowhere = TileSampler([replace(case, complete=())], config, seed=1)
    seen = np.zeros(2)
    for step in range(12):
        everything, some, discs = (sampler.batch(step, 1)[0] for sampler in (whole, partly, nowhere))
        assert np.array_equal(everything.pixels, some.pixels)
        assert np.array_equal(everything.targets.cells, discs.targets.cells)  # positives stay everywhere
        counted = [sample.targets.counts > 0 for sample in (everything, some, discs)]
        assert not (counted[1] & ~counted[0]).any()
        assert not (counted[2] & ~counted[1]).any()
        dark = discs.pixels[2::4, 2::4, 1] < 125
        assert (dark == counted[2])[counted[0]].mean() > 0.93
        seen += [counted[0].sum() - counted[1].sum(), counted[1].sum() - counted[2].sum()]
    assert (seen > 200).all()


def test_what_is_found_outside_is_neither_right_nor_wrong():
    ring = np.array([[0.0, 0], [300, 0], [300, 300], [0, 300]])
    points = np.array([[120.0, 150], [250, 250], [410, 390], [500, 500]])
    case = disc_case()
    assert case.is_scored(points).all()
    assert replace(case, complete=(ring,)).is_scored(points).tolist() == [True, True, False, False]
    assert replace(case, complete=()).is_scored(points).tolist() == [True, False, True, False]
    holed = replace(case, complete=(ring,), holes=(0.6 * ring,))
    assert holed.is_scored(points).tolist() == [False, True, False, False]
    known = known_part(holed.complete or (), np.zeros((0, 3)), 400, holed.holes)
    assert [known[150, 120], known[250, 250], known[390, 350]] == [False, True, False]
    assert [c.is_partial for c in (case, replace(case, complete=()))] == [False, True]
    assert judged([case, replace(case, complete=())]) == [case]
    assert len(judged([replace(case, complete=())])) == 1


def test_recall_alone_is_told_of_partial_truth():
    image = CircleImage(
        np.array([[0.0, 0, 10, 0.9], [50, 50, 10, 0.2]]), np.array([[0.0, 0, 10], [50, 50, 10]]), NONE
    )
    told = score([image], recall_at=0.5)
    assert (told.recall, told.best_score) == (0.5, 0.5)
    assert np.isnan([told.ap50, told.ap, told.precision]).all()


def test_a_small_source_is_seen_more_often_than_its_glomeruli_say():
    """Of one case with three glomeruli, and of one with none, each and one more."""
    cases = [disc_case("a"), replace(disc_case("b"), source="other", circles=NONE)]

    def shares(power: float) -> list[float]:
        return TileSampler(cases, SampleConfig(source_power=power), seed=0).weights.tolist()

    assert shares(1.0) == pytest.approx([4 / 5, 1 / 5])
    assert shares(0.5) == pytest.approx([2 / 3, 1 / 3])
    assert shares(0.0) == pytest.approx([1 / 2, 1 / 2])


def test_a_right_circle_centred_outside_of_the_region_is_kept():
    """The first disc lies in the ring, the circle on it is centred beyond; that at 300, 150 is on nothing."""
    case = disc_case()
    x = float(case.circles[0, 0])
    found = np.array([[x + 10, 150, 40, 0.9], [300, 150, 40, 0.8]])

    class Finds:
        config = DetectConfig(mpp=2.0, edge_px=128, margin_um=40, floor=0.1, max_iou=0.35)

        def circles_of(self, tiles: object, size: tuple[int, int]) -> np.ndarray:
            return found

    ring = np.array([[0.0, 0], [x + 5, 0], [x + 5, 300], [0, 300]])
    image = predict_case(replace(case, complete=(ring,)), Finds())  # type: ignore[arg-type]
    assert image.predicted.tolist() == found[:1].tolist()
    assert image.truth.tolist() == case.circles[:1].tolist()
