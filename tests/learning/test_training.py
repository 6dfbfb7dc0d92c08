"""The one loop: exact resume, the best kept, what stops it, and what it leaves behind."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gloinone.errors import UsageError
from gloinone.learning.comparison import compare, tell_comparison
from gloinone.learning.feeding import Clock, draw_ahead
from gloinone.learning.journal import read_journal
from gloinone.learning.training import BEST, JOURNAL, STATE, Recipe, Task, learning_rate, train

CPU = torch.device("cpu")
RECIPE = Recipe(
    steps=12,
    batch=4,
    peak_rate=0.05,
    warmup_steps=2,
    average_decay=0.9,
    max_gradient=5.0,
    validate_every=4,
    save_every=3,
    log_every=2,
)


class KilledError(Exception):
    pass


def a_network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.Dropout(0.5), nn.Conv2d(4, 1, 1))


def other_weights() -> nn.Module:
    network = a_network()
    network[2].weight.data += 1
    return network


def frozen() -> nn.Module:
    network = a_network()
    network[0].requires_grad_(False)
    return network


def a_task(scores: dict[int, float] | None = None, identity: str = "a") -> Task[Tensor]:
    """Brightness is to be undone; ``scores``: what the validations say, in their order."""
    said = list((scores or {}).values())

    def draw(step: int) -> Tensor:
        return torch.from_numpy(np.random.default_rng(step).random((4, 1, 8, 8), np.float32))

    def losses(network: nn.Module, batch: Tensor) -> dict[str, Tensor]:
        return {"loss": (network(batch) - 1).square().mean()}

    def validate(network: nn.Module) -> dict[str, float]:
        assert not network.training
        return {"score": said.pop(0)}

    return Task(draw, losses, ("loss",), validate if scores else None, ("score",), "score", identity)


def weights(network: nn.Module) -> list[Tensor]:
    return [t.clone() for t in network.state_dict().values()]


def equal(a: list[Tensor], b: list[Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def quiet(_: str) -> None:
    pass


@pytest.mark.parametrize(
    ("stop", "save_every"), [("step 4/", 3), ("step 8: validation", 4), ("step 8/", 4), ("step 11/", 3)]
)
def test_a_killed_training_ends_with_the_same_weights(tmp_path: Path, stop: str, save_every: int) -> None:
    recipe = replace(RECIPE, log_every=1, save_every=save_every)
    scores = {4: 0.2, 8: 0.9, 12: 0.5}

    def kill(line: str) -> None:
        if line.startswith(stop):
            raise KilledError

    whole = weights(train(a_network(), a_task(scores), recipe, tmp_path / "whole", CPU, quiet))
    with pytest.raises(KilledError):
        train(a_network(), a_task(scores), recipe, tmp_path / "killed", CPU, kill)
    saved = torch.load(tmp_path / "killed" / STATE, weights_only=True)["step"]
    left = {step: score for step, score in scores.items() if step > saved}
    resumed = train(a_network(), a_task(left), recipe, tmp_path / "killed", CPU, quiet)
    assert equal(whole, weights(resumed))
    rows = [
        [(row["step"], row["loss"], row["score"]) for row in read_journal(tmp_path / f / JOURNAL)]
        for f in ("whole", "killed")
    ]
    assert rows[0] == rows[1]


def test_the_best_by_the_named_score_is_kept(tmp_path: Path) -> None:
    said: list[str] = []
    kept = train(a_network(), a_task({4: 0.2, 8: 0.9, 12: 0.5}), RECIPE, tmp_path / "a", CPU, said.append)
    best = torch.load(tmp_path / "a" / BEST, weights_only=True)
    assert (best["step"], best["score"]) == (8, 0.9)
    assert equal(weights(kept), list(best["network"].values()))
    assert said[-1] == "kept: step 8, the best by score (0.900)"
    last = train(a_network(), a_task(), RECIPE, tmp_path / "b", CPU, quiet)
    assert not equal(weights(kept), weights(last))
    nothing = train(
        a_network(),
        a_task({4: float("nan"), 8: float("nan"), 12: float("nan")}),
        RECIPE,
        tmp_path / "c",
        CPU,
        quiet,
    )
    assert equal(weights(nothing), weights(last))  # what cannot be told does not choose


def test_log_picture_and_state_are_left(tmp_path: Path) -> None:
    said: list[str] = []
    train(a_network(), a_task({4: 0.2, 8: 0.9, 12: 0.5}), RECIPE, tmp_path, CPU, said.append)
    rows = read_journal(tmp_path / JOURNAL)
    assert [row["step"] for row in rows] == ["2", "4", "6", "8", "10", "12"]
    assert [row["score"] for row in rows] == ["", "0.2", "", "0.9", "", "0.5"]
    assert all(0 <= float(row["wait_share"]) <= 1 for row in rows)
    assert (tmp_path / "training.png").read_bytes().startswith(b"\x89PNG")
    assert any("network busy" in line for line in said)
    assert sorted(p.name for p in tmp_path.iterdir()) == [BEST, JOURNAL, "training.png", STATE]


def test_a_loss_that_is_not_finite_stops(tmp_path: Path) -> None:
    network = a_network()
    with torch.no_grad():
        network[0].weight.fill_(float("nan"))
    with pytest.raises(UsageError, match=r"step 1: the loss is nan.*--rate"):
        train(network, a_task(), RECIPE, tmp_path, CPU, quiet)
    assert not (tmp_path / STATE).exists()


def test_another_training_is_not_taken_up(tmp_path: Path) -> None:
    train(a_network(), a_task({4: 0.1, 8: 0.2, 12: 0.3}), RECIPE, tmp_path, CPU, quiet)
    with pytest.raises(UsageError, match=r"training.pt: of another training"):
        train(a_network(), a_task(identity="b"), RECIPE, tmp_path, CPU, quiet)
    with pytest.raises(UsageError, match="of another training"):
        train(a_network(), a_task(), replace(RECIPE, steps=13), tmp_path, CPU, quiet)
    scores = {4: 0.1, 8: 0.2, 12: 0.3}
    with pytest.raises(UsageError, match="of another training"):
        train(a_network(), replace(a_task(scores), best_by="other"), RECIPE, tmp_path, CPU, quiet)
    for another_start in (other_weights(), frozen()):
        with pytest.raises(UsageError, match="other data, settings or start"):
            train(another_start, a_task(scores), RECIPE, tmp_path, CPU, quiet)
    (tmp_path / STATE).unlink()
    with pytest.raises(UsageError, match=r"best.pt: of another training"):
        train(a_network(), a_task({4: 1.0}, identity="b"), RECIPE, tmp_path, CPU, quiet)


def test_rate_warms_up_and_falls_to_nothing() -> None:
    recipe = replace(RECIPE, steps=100, warmup_steps=10, peak_rate=1.0)
    rates = [learning_rate(step, recipe) for step in range(1, 102)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9] == rates[10] == max(rates) == 1.0
    assert rates[100] == pytest.approx(0, abs=1e-9)
    assert rates[9:] == sorted(rates[9:], reverse=True)


def test_batches_come_in_order_and_waiting_is_counted() -> None:
    clock = Clock(5)
    assert list(clock.timed(draw_ahead(lambda step: step * 10, 3, 7))) == [(s, s * 10) for s in range(3, 8)]
    assert clock.done == 5
    assert 0 < clock.wait_share <= 1


def test_comparison_says_no_more_than_is_shown(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    before = rng.random(60)
    many = [f"p{i % 12}" for i in range(60)]

    def of(values: np.ndarray, groups: list[str]) -> str:
        return compare("x", groups, lambda i: float(before[i].mean()), lambda i: float(values[i].mean()))[
            0
        ].verdict

    assert of(before + 0.1, many) == "better"
    assert of(before - 0.1, many) == "worse"
    assert of(before + rng.normal(0, 0.1, 60), many) == "no difference shown"
    assert of(before + 0.1, [f"p{i % 4}" for i in range(60)]) == "no difference shown"  # too few patients
    assert compare("x", many, lambda _: float("nan"), lambda _: 1.0) == []
    said: list[str] = []
    rows = compare("AP", many, lambda i: float(before[i].mean()), lambda i: float(before[i].mean()) + 0.1)
    tell_comparison(rows, tmp_path, said.append)
    assert said[0].endswith("difference +0.100 (+0.100 to +0.100): better")
    assert (tmp_path / "comparison.csv").read_text("utf-8").splitlines()[1].startswith("AP,60,12,")
