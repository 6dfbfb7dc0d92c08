"""The classifier's training: a loop that can be read, killed and taken up again."""

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from gloinone.classification.losses import allowed_classes, hierarchical_loss
from gloinone.errors import UsageError
from gloinone.learning.augment import ColourConfig, augment_colour
from gloinone.learning.checkpoint import load_checkpoint, save_checkpoint
from gloinone.learning.device import autocast
from gloinone.learning.ema import WeightAverage
from gloinone.learning.journal import Journal
from gloinone.learning.patches import FramingConfig, Patches, balanced_shares, cut_pixels, framing

CHECKPOINT = "training.pt"
LOG = "log.csv"
Progress = Callable[[int, float], None]
"""Called with the step and its loss."""


@dataclass(frozen=True)
class TrainConfig:
    """How a classifier is trained; lengths in px of the network's input."""

    edge_px: int = 192
    steps: int = 1000
    batch: int = 16
    learning_rate: float = 3e-4
    weight_decay: float = 0.02
    smoothing: float = 0.05
    average: float = 0.99
    """Decay of the average of the weights, which is what is kept."""
    seed: int = 0
    save_every: int = 50


def train_classifier(
    network: nn.Module,
    patches: Patches,
    config: TrainConfig,
    out: Path,
    device: torch.device,
    progress: Progress,
) -> nn.Module:
    """Trains up to ``config.steps`` and gives the averaged network; goes on from a checkpoint in ``out``.

    Every step draws its crops from (seed, step), so that a training that was killed ends as one that was not.
    Raises UsageError on a loss that is not finite, or a checkpoint of another training.
    """
    network.train().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = WeightAverage(network, config.average)
    optimiser = torch.optim.AdamW(
        network.parameters(), config.learning_rate, weight_decay=config.weight_decay
    )
    identity = training_identity(patches, config)
    done = 0
    if (state := load_checkpoint(out / CHECKPOINT)) is not None:
        if state["identity"] != identity:
            raise UsageError(f"{out / CHECKPOINT}: of another training; delete it or choose another --out")
        network.load_state_dict(state["network"])
        average.load_state_dict(state["average"])
        optimiser.load_state_dict(state["optimiser"])
        done = state["step"]
    journal = Journal(out / LOG, ("loss", "learning_rate"), done)
    shares = balanced_shares(patches)
    allowed_of = allowed_classes(list(patches.labels))
    for step in range(done + 1, config.steps + 1):
        torch.manual_seed(config.seed * 1_000_003 + step)
        images, chosen = draw_batch(patches, shares, config, np.random.default_rng((config.seed, step)))
        x = torch.from_numpy(images).to(device).contiguous(memory_format=torch.channels_last)
        allowed = torch.from_numpy(allowed_of[chosen]).to(device)
        rate = learning_rate(step, config)
        for group in optimiser.param_groups:
            group["lr"] = rate
        with autocast(device):
            logits = network(x)
        loss = hierarchical_loss(logits.float(), allowed, config.smoothing)
        if not math.isfinite(value := float(loss.detach())):
            raise UsageError(
                f"step {step}: the loss is {value}; start again in a new --out with a lower --rate"
            )
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
        average.update(network)
        journal.add(step, {"loss": value, "learning_rate": rate})
        progress(step, value)
        if step % config.save_every == 0 or step == config.steps:
            now = {"network": network.state_dict(), "average": average.state_dict()}
            state = {"step": step, "identity": identity, "optimiser": optimiser.state_dict(), **now}
            save_checkpoint(out / CHECKPOINT, state)
    return average.network


def draw_batch(
    patches: Patches, shares: NDArray[np.float64], config: TrainConfig, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.intp]]:
    """(B, 3, E, E) crops, each framed and coloured anew, and the numbers of their patches."""
    chosen = rng.choice(len(patches), config.batch, p=shares)
    images = np.empty((config.batch, config.edge_px, config.edge_px, 3), np.uint8)
    for i, number in enumerate(chosen):
        affine = framing(float(patches.radius[number]), config.edge_px, rng, FramingConfig())
        crop = cut_pixels(patches.pixels[number], affine, config.edge_px)
        images[i] = augment_colour(crop, rng, ColourConfig())
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2)), chosen


def learning_rate(step: int, config: TrainConfig) -> float:
    """Linear over the first twentieth, then a cosine to zero (Loshchilov and Hutter 2017)."""
    warm = max(1, config.steps // 20)
    if step <= warm:
        return config.learning_rate * step / warm
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, config.steps - warm)))


def training_identity(patches: Patches, config: TrainConfig) -> str:
    """Same for the same crops and settings, so that a checkpoint is never taken up by another training."""
    digest = hashlib.sha256(json.dumps(asdict(config), sort_keys=True).encode())
    digest.update("\n".join(patches.labels + patches.slides).encode())
    digest.update(np.ascontiguousarray(patches.pixels[:, ::16, ::16]).tobytes())
    return digest.hexdigest()
