"""Training the detector: a visible loop over steps, resumable to the same weights on a CPU."""

import json
import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gloinone.detection.cases import Case
from gloinone.detection.circlenet import CircleNet
from gloinone.detection.losses import TargetBatch, circle_loss, is_finite
from gloinone.detection.predict import DetectConfig, Detector
from gloinone.detection.samples import SampleConfig, TileSampler, collate
from gloinone.detection.validate import predict_case, score
from gloinone.errors import GloInOneError, UsageError
from gloinone.learning.checkpoint import load_checkpoint, save_checkpoint
from gloinone.learning.device import autocast
from gloinone.learning.ema import WeightAverage
from gloinone.learning.journal import Journal

STATE = "training.pt"
JOURNAL = "training.csv"
MAX_GRADIENT = 20.0
"""Norm to which gradients are clipped: a batch of hard tiles must not undo the others."""


@dataclass(frozen=True)
class TrainConfig:
    """What a user may choose of a training."""

    steps: int = 2400
    batch_size: int = 8
    peak_rate: float = 6e-4
    """AdamW's learning rate after the warm-up; cosine to zero at the last step."""
    warmup_steps: int = 60
    weight_decay: float = 0.02
    average_decay: float = 0.995
    """Of the moving average of the weights, which is what ships."""
    log_every: int = 10
    save_every: int = 100
    validate_every: int = 600
    seed: int = 0
    sample: SampleConfig = field(default_factory=SampleConfig)


@dataclass
class Progress:
    """State of one training between steps."""

    step: int
    network: CircleNet
    average: WeightAverage
    optimizer: torch.optim.Optimizer


def learning_rate(step: int, config: TrainConfig) -> float:
    """Linear warm-up, then a half cosine to zero.

    >>> learning_rate(0, TrainConfig(steps=100, warmup_steps=10, peak_rate=1.0))
    0.1
    """
    if step < config.warmup_steps:
        return config.peak_rate * (step + 1) / config.warmup_steps
    share = (step - config.warmup_steps) / max(1, config.steps - config.warmup_steps)
    return config.peak_rate * 0.5 * (1 + math.cos(math.pi * share))


@dataclass(frozen=True)
class Training:
    """What a training is given."""

    network: CircleNet
    cases: Sequence[Case]
    validation: Sequence[Case]
    config: TrainConfig
    detect: DetectConfig
    """With which validation slides are predicted."""
    folder: Path
    """Where state and log stand."""
    device: torch.device


def train(training: Training, say: Callable[[str], None]) -> CircleNet:
    """The averaged network after the last step, not yet judged; goes on where an earlier call was stopped."""
    config, folder = training.config, training.folder
    torch.manual_seed(config.seed)
    progress = _start(training)
    if progress.step:
        say(f"goes on at step {progress.step} of {config.steps}")
    columns = ("loss", "heat", "offset", "radius", "rate", "wait_share", "ap50", "ap", "recall", "precision")
    journal = Journal(folder / JOURNAL, columns, progress.step)
    sampler = TileSampler(training.cases, config.sample, config.seed)
    clock = _Clock(config.steps - progress.step)
    for images, targets in clock.timed(_ahead(sampler, config, progress.step)):
        parts = _step(progress, images.to(training.device), _to(targets, training.device), config)
        if progress.step % config.log_every == 0:
            journal.add(progress.step, parts | {"wait_share": clock.wait_share})
            say(f"step {progress.step}/{config.steps}  loss {parts['loss']:.3f}  {clock}")
        if progress.step % config.save_every == 0 or progress.step == config.steps:
            save_checkpoint(folder / STATE, _state(progress, config))
        if progress.step % config.validate_every == 0 and progress.step < config.steps:
            _validate(progress, training, journal, say)
    averaged = progress.average.network
    assert isinstance(averaged, CircleNet)
    return averaged


def _start(training: Training) -> Progress:
    """A fresh start, or the state an earlier call left."""
    config, network = training.config, training.network
    network.train().to(training.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    progress = Progress(
        step=0,
        network=network,
        average=WeightAverage(network, config.average_decay),
        optimizer=torch.optim.AdamW(
            network.parameters(), lr=config.peak_rate, weight_decay=config.weight_decay
        ),
    )
    state = load_checkpoint(training.folder / STATE)
    if state is None:
        return progress
    if state["config"] != _described(config):
        raise UsageError(
            f"{training.folder / STATE}: was left by a training with other settings; "
            "give the same ones, or delete it to start anew"
        )
    network.load_state_dict(state["network"])
    progress.average.load_state_dict(state["average"])
    progress.optimizer.load_state_dict(state["optimizer"])
    progress.step = state["step"]
    return progress


def _state(progress: Progress, config: TrainConfig) -> dict[str, Any]:
    return {
        "config": _described(config),
        "step": progress.step,
        "network": progress.network.state_dict(),
        "average": progress.average.state_dict(),
        "optimizer": progress.optimizer.state_dict(),
    }


def _described(config: TrainConfig) -> str:
    return json.dumps(asdict(config), sort_keys=True)


def _step(progress: Progress, images: Tensor, targets: TargetBatch, config: TrainConfig) -> dict[str, float]:
    """One step of the optimiser; its losses. A loss that is not finite ends the training."""
    rate = learning_rate(progress.step, config)
    for group in progress.optimizer.param_groups:
        group["lr"] = rate
    with autocast(images.device):
        maps = progress.network(images)
    loss = circle_loss(maps, targets)
    if not is_finite(loss):
        raise GloInOneError(
            f"step {progress.step}: the loss is not finite; lower the learning rate and start from the last state"
        )
    progress.optimizer.zero_grad(set_to_none=True)
    loss.total.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(progress.network.parameters(), MAX_GRADIENT)
    progress.optimizer.step()
    progress.average.update(progress.network)
    progress.step += 1
    return {
        "loss": float(loss.total.detach()),
        "heat": float(loss.heat),
        "offset": float(loss.offset),
        "radius": float(loss.radius),
        "rate": rate,
    }


def _validate(progress: Progress, training: Training, journal: Journal, say: Callable[[str], None]) -> None:
    """Scores of the averaged weights on the validation cases, into the log."""
    if not training.validation:
        return
    detector = Detector(progress.average.network, training.detect, training.device)  # type: ignore[arg-type]
    scores = score([predict_case(case, detector) for case in training.validation])
    journal.add(
        progress.step,
        {"ap50": scores.ap50, "ap": scores.ap, "recall": scores.recall, "precision": scores.precision},
    )
    say(
        f"step {progress.step}: validation AP50 {scores.ap50:.3f}, AP {scores.ap:.3f}, recall {scores.recall:.3f} "
        f"at precision {scores.precision:.3f} (score {scores.best_score:.2f})"
    )


def _ahead(sampler: TileSampler, config: TrainConfig, first: int) -> Iterator[tuple[Tensor, TargetBatch]]:
    """Batches of the steps from ``first``, drawn in a thread while the network computes."""
    with ThreadPoolExecutor(1) as pool:
        waiting: deque[Future[tuple[Tensor, TargetBatch]]] = deque()
        for step in range(first, config.steps):
            while len(waiting) < 3 and (ahead := step + len(waiting)) < config.steps:
                waiting.append(pool.submit(lambda s: collate(sampler.batch(s, config.batch_size)), ahead))
            yield waiting.popleft().result()


def _to(targets: TargetBatch, device: torch.device) -> TargetBatch:
    return TargetBatch(*(t.to(device) for t in targets))


class _Clock:
    """How long is left, and which share of the time the network waited for tiles."""

    def __init__(self, steps: int) -> None:
        self.steps, self.done, self.waited, self.started = steps, 0, 0.0, time.monotonic()

    def timed(self, batches: Iterator[tuple[Tensor, TargetBatch]]) -> Iterator[tuple[Tensor, TargetBatch]]:
        """The same batches, each wait counted."""
        while True:
            before = time.monotonic()
            batch = next(batches, None)
            if batch is None:
                return
            self.waited += time.monotonic() - before
            yield batch
            self.done += 1

    @property
    def wait_share(self) -> float:
        """0..1."""
        return self.waited / max(1e-9, time.monotonic() - self.started)

    def __str__(self) -> str:
        left = (time.monotonic() - self.started) / max(1, self.done) * (self.steps - self.done)
        return f"{left / 60:.0f} min left"
