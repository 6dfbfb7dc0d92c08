"""Training tiles, the cache and exact resume."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from gloinone.detection.build import build_network
from gloinone.detection.cases import Case, cache_key, load_case, save_case
from gloinone.detection.make import MakeConfig, split_cases, start_card
from gloinone.detection.predict import DetectConfig
from gloinone.detection.samples import SampleConfig, TileSampler, collate, read_tile
from gloinone.detection.train import STATE, TrainConfig, Training, learning_rate, train
from gloinone.errors import GloInOneError, UsageError
from gloinone.learning.augment import ColourConfig
from gloinone.learning.journal import read_journal

PLAIN = ColourConfig(0, 0, 0, 0, 0, 0, 0, 0)


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


def test_targets_fit_the_picture_after_every_turn_and_scale():
    sampler = TileSampler(
        [disc_case()], SampleConfig(edge_px=192, glomerulus_share=1.0, colour=PLAIN), seed=1
    )
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
    assert targets.heat.flatten(2)[targets.tile, 0, targets.cell].tolist() == [1.0] * len(targets.cell)


def test_cache_gives_back_what_was_put_in(tmp_path: Path):
    case = disc_case()
    key = cache_key(["a", 1.25])
    assert load_case(tmp_path, key) is None
    save_case(tmp_path, key, case)
    back = load_case(tmp_path, key)
    assert back is not None
    assert np.array_equal(back.pixels, case.pixels)
    assert np.array_equal(back.circles, case.circles)
    assert (back.name, back.patient, back.mpp) == (case.name, case.patient, case.mpp)
    assert cache_key(["a", 1.26]) != key


def test_no_patient_on_both_sides():
    cases = [disc_case("a.tif", "p1"), disc_case("b.tif", "p1"), disc_case("c.tif", "p2")]
    learn, judge = split_cases(cases, frozenset({"a"}))
    assert [c.name for c in judge] == ["a.tif", "b.tif"]
    assert [c.name for c in learn] == ["c.tif"]
    with pytest.raises(UsageError, match="no slide or patient named nobody"):
        split_cases(cases, frozenset({"nobody"}))
    with pytest.raises(UsageError, match="every slide"):
        split_cases(cases, frozenset({"p1", "p2"}))


def _training(folder: Path, steps: int) -> Training:
    config = MakeConfig(frozenset(), frozenset(), folder, backbone="resnet18")
    torch.manual_seed(0)
    card = start_card(config, [disc_case()], [])
    sample = SampleConfig(edge_px=64)
    return Training(
        network=build_network(card),
        cases=[disc_case()],
        validation=[disc_case(seed=1)],
        config=TrainConfig(
            steps=steps,
            batch_size=2,
            warmup_steps=1,
            save_every=2,
            log_every=1,
            validate_every=100,
            sample=sample,
        ),
        detect=DetectConfig(2.0, 128, 60.0, 0.05, 0.35, batch_size=2),
        folder=folder,
        device=torch.device("cpu"),
    )


def test_a_killed_training_ends_with_the_same_weights(tmp_path: Path):
    said: list[str] = []
    whole = train(_training(tmp_path / "whole", 4), said.append).state_dict()

    class KilledError(Exception):
        pass

    def kill(line: str) -> None:
        if line.startswith("step 3/"):
            raise KilledError

    with pytest.raises(KilledError):
        train(_training(tmp_path / "killed", 4), kill)
    resumed = train(_training(tmp_path / "killed", 4), said.append).state_dict()
    assert any("goes on at step 2 of 4" in line for line in said)
    for name, tensor in whole.items():
        assert torch.equal(tensor, resumed[name]), name
    steps = [row["step"] for row in read_journal(tmp_path / "killed" / "training.csv") if row["loss"]]
    assert steps == ["1", "2", "3", "4"]


def test_other_settings_do_not_continue(tmp_path: Path):
    train(_training(tmp_path, 1), lambda _: None)
    with pytest.raises(UsageError, match="other settings"):
        train(_training(tmp_path, 2), lambda _: None)
    assert (tmp_path / STATE).exists()


def test_a_loss_that_is_not_finite_ends_the_training(tmp_path: Path):
    training = _training(tmp_path, 1)
    with torch.no_grad():
        training.network.backbone.conv1.weight.fill_(float("nan"))
    with pytest.raises(GloInOneError, match="not finite"):
        train(replace(training, validation=[]), lambda _: None)


def test_learning_rate_warms_up_and_ends_at_zero():
    config = TrainConfig(steps=100, warmup_steps=10, peak_rate=1.0)
    rates = [learning_rate(step, config) for step in range(101)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == pytest.approx(1.0)
    assert rates[100] == pytest.approx(0, abs=1e-9)
    assert rates[10:] == sorted(rates[10:], reverse=True)
