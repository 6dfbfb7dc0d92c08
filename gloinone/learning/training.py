"""One way to train: a loop over steps that can be read, killed and taken up again to the same weights on a CPU.

What is learned (batches, losses, validation) is the task's, and stands in the task's own folder.
"""

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from gloinone.errors import UsageError
from gloinone.learning.checkpoint import load_checkpoint, save_checkpoint
from gloinone.learning.curves import PICTURE, draw_curves
from gloinone.learning.ema import WeightAverage
from gloinone.learning.feeding import Clock, draw_ahead
from gloinone.learning.folded import Norms, unfold
from gloinone.learning.journal import Journal
from gloinone.learning.stains import Basis

STATE = "training.pt"
BEST = "best.pt"
JOURNAL = "training.csv"
UNFOLDED_BY = 8
"""Batches, of the first steps."""
Batch = TypeVar("Batch")
Say = Callable[[str], None]


@dataclass(frozen=True)
class Recipe:
    """How a network is trained, whatever it learns."""

    steps: int
    batch: int
    peak_rate: float
    """Learning rate after the warm-up; cosine to zero at the last step."""
    warmup_steps: int
    average_decay: float
    """Of the moving average of the weights, which is what is validated and ships."""
    max_gradient: float
    """Norm to which gradients are clipped: a batch of hard pictures must not undo the others."""
    validate_every: int
    save_every: int
    weight_decay: float = 0.02
    log_every: int = 10
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class MakeOptions:
    """What a user may choose of every training; see `gloinone train --help`."""

    out: Path
    recipe: Recipe
    init: str = "none"
    """A model's name or folder, the folder of a backbone or of another task's model, a .safetensors file, or none."""
    device: str = "auto"
    licence: str = "not stated"


@dataclass(frozen=True, kw_only=True)
class SupervisedOptions(MakeOptions):
    """And of those that learn from truth."""

    references: tuple[Basis, ...] = ()
    """Stains that some tiles or crops are shown in, beside those of the slides."""


def adamw(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Loshchilov and Hutter 2019."""
    return torch.optim.AdamW(network.parameters(), lr=recipe.peak_rate, weight_decay=recipe.weight_decay)


@dataclass(frozen=True)
class Task(Generic[Batch]):
    """What one network learns, and from what."""

    draw: Callable[[int], Batch]
    """Batch of a step, counted from 1; of the step alone, since a resumed training must see the same."""
    losses: Callable[[nn.Module, Batch], dict[str, Tensor]]
    """Scalars by name; `loss` is minimised."""
    parts: tuple[str, ...]
    """Names of the losses, for the log."""
    validate: Callable[[nn.Module], dict[str, float]] | None
    """Scores of averaged weights; None: nothing is held out, and the last weights are kept."""
    scores: tuple[str, ...]
    """Names of the scores, for the log; higher is better."""
    best_by: str
    """The score by which the best weights are kept."""
    identity: str
    """Same for the same data and settings: no checkpoint is taken up by another training."""
    optimiser: Callable[[nn.Module, Recipe], torch.optim.Optimizer] = adamw


def learning_rate(step: int, recipe: Recipe) -> float:
    """Linear warm-up, then a half cosine to zero (Loshchilov and Hutter 2017); steps count from 1.

    >>> recipe = Recipe(100, 1, 1.0, 10, 0.9, 5.0, 50, 50)
    >>> [round(learning_rate(step, recipe), 3) for step in (1, 10, 11, 56, 100)]
    [0.1, 1.0, 1.0, 0.5, 0.0]
    """
    if step <= recipe.warmup_steps:
        return recipe.peak_rate * step / recipe.warmup_steps
    share = (step - 1 - recipe.warmup_steps) / max(1, recipe.steps - recipe.warmup_steps)
    return recipe.peak_rate * 0.5 * (1 + math.cos(math.pi * share))


def train(
    network: nn.Module,
    task: Task[Batch],
    recipe: Recipe,
    folder: Path,
    device: torch.device,
    say: Say,
    folded: Norms = (),
) -> nn.Module:
    """The averaged weights that validated best, else the last ones; goes on from what ``folder`` holds.

    ``folded``: normalisations of the network that have to see some batches before they can be trained.
    Leaves training.pt, best.pt, training.csv and training.png there. Raises UsageError on a loss that is not finite, or
    a checkpoint of another training.
    """
    run = _Run(network, task, recipe, folder, device, folded)
    if run.step:
        say(f"goes on at step {run.step} of {recipe.steps}")
    journal = Journal(folder / JOURNAL, (*task.parts, "rate", "wait_share", *task.scores), run.step)
    clock = Clock(recipe.steps - run.step)
    for step, batch in clock.timed(draw_ahead(task.draw, run.step + 1, recipe.steps)):
        row = run.advance(batch) | {"wait_share": clock.wait_share}
        is_last = step == recipe.steps
        validated = run.validate(say) if is_last or step % recipe.validate_every == 0 else {}
        if validated or is_last or step % recipe.log_every == 0:
            journal.add(step, row | validated)
            say(f"step {step}/{recipe.steps}  loss {row['loss']:.3f}  {clock}")
        if validated or is_last:
            draw_curves(folder / JOURNAL, folder / PICTURE)
        if is_last or step % recipe.save_every == 0:
            # After the validation: a training killed in between must not miss it
            run.save()
    return run.best(say)


def start_hash(network: nn.Module) -> bytes:
    """Of the weights that a training starts from, and of which of them it may change."""
    digest = hashlib.sha256(" ".join(n for n, p in network.named_parameters() if p.requires_grad).encode())
    for name, values in network.state_dict().items():
        digest.update(name.encode() + values.cpu().contiguous().numpy().tobytes())
    return digest.digest()


class _Run:
    """Network, average and optimiser between steps, and where they are kept."""

    def __init__(
        self,
        network: nn.Module,
        task: Task[Any],
        recipe: Recipe,
        folder: Path,
        device: torch.device,
        folded: Norms,
    ) -> None:
        self.task, self.recipe, self.folder = task, recipe, folder
        self.network = network.train().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        settings = json.dumps([asdict(recipe), task.identity, task.best_by], sort_keys=True)
        self.identity = hashlib.sha256(settings.encode() + start_hash(network)).hexdigest()
        state = self._load(STATE)
        if folded and state is None:
            first = range(1, UNFOLDED_BY + 1)
            unfold(self.network, folded, (task.losses(self.network, task.draw(step)) for step in first))
        self.average = WeightAverage(self.network, recipe.average_decay)
        self.optimiser = task.optimiser(self.network, recipe)
        self.step = 0
        if state is not None:
            self.network.load_state_dict(state["network"])
            self.average.load_state_dict(state["average"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.step = state["step"]

    def advance(self, batch: object) -> dict[str, float]:
        """One step of the optimiser; its losses and rate."""
        self.step += 1
        torch.manual_seed(self.recipe.seed * 1_000_003 + self.step)  # dropout, the same in a resumed training
        rate = learning_rate(self.step, self.recipe)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        losses = self.task.losses(self.network, batch)
        values = {name: float(loss.detach()) for name, loss in losses.items()}
        if not math.isfinite(values["loss"]):
            raise UsageError(
                f"step {self.step}: the loss is {values['loss']}; start again in a new --out with a lower --rate"
            )
        self.optimiser.zero_grad(set_to_none=True)
        losses["loss"].backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.max_gradient)
        self.optimiser.step()
        self.average.update(self.network)
        return values | {"rate": rate}

    def validate(self, say: Say) -> dict[str, float]:
        """Scores of the averaged weights, which are kept if they are the best so far."""
        if self.task.validate is None:
            return {}
        scores = self.task.validate(self.average.network)
        say(f"step {self.step}: validation " + ", ".join(f"{n} {v:.3f}" for n, v in scores.items()))
        score, kept = scores[self.task.best_by], self._load(BEST)
        if math.isfinite(score) and (kept is None or score > kept["score"]):
            weights = self.average.network.state_dict()
            self._save(BEST, {"step": self.step, "score": score, "network": weights})
        return scores

    def best(self, say: Say) -> nn.Module:
        """The averaged network with the best weights there were."""
        if self.task.validate is not None and (kept := self._load(BEST)) is not None:
            self.average.network.load_state_dict(kept["network"])
            say(f"kept: step {kept['step']}, the best by {self.task.best_by} ({kept['score']:.3f})")
        return self.average.network

    def save(self) -> None:
        """For an exact resume."""
        now = {"network": self.network.state_dict(), "average": self.average.state_dict()}
        self._save(STATE, {"step": self.step, "optimiser": self.optimiser.state_dict(), **now})

    def _save(self, name: str, state: dict[str, Any]) -> None:
        save_checkpoint(self.folder / name, {"identity": self.identity, **state})

    def _load(self, name: str) -> dict[str, Any] | None:
        state = load_checkpoint(self.folder / name)
        if state is not None and state.get("identity") != self.identity:
            raise UsageError(
                f"{self.folder / name}: of another training (other data, settings or start); give the same "
                "ones, delete it to start anew, or choose another --out"
            )
        return state
