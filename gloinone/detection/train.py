"""What a detector learns: tiles with circles in them, the losses of CircleNet, scores over whole pictures."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from gloinone.detection.cases import Case, case_identity
from gloinone.detection.circlenet import CircleNetwork
from gloinone.detection.losses import TargetBatch, summed_loss
from gloinone.detection.predict import DetectConfig, Detector
from gloinone.detection.samples import SampleConfig, TileSampler, collate
from gloinone.detection.validate import predict_case, score
from gloinone.learning.device import autocast
from gloinone.learning.stains import Basis
from gloinone.learning.training import Recipe, Task

Batch = tuple[Tensor, TargetBatch]
SCORES = ("ap50", "ap", "recall", "precision")


def detector_recipe(
    steps: int = 2400, batch: int = 8, peak_rate: float = 6e-4, validate_every: int = 600, seed: int = 0
) -> Recipe:
    """How a detector is trained."""
    return Recipe(
        steps=steps,
        batch=batch,
        peak_rate=peak_rate,
        warmup_steps=60,
        average_decay=0.995,
        max_gradient=20.0,
        validate_every=validate_every,
        save_every=100,
        seed=seed,
    )


@dataclass(frozen=True)
class DetectorData:
    """From what a detector learns, and on what it is judged."""

    learn: Sequence[Case]
    judge: Sequence[Case]
    sample: SampleConfig
    detect: DetectConfig
    """With which validation slides are predicted."""
    best_by: str = "ap50"
    references: Sequence[Basis] = ()
    """Stains that some tiles are shown in, beside those of the slides."""
    recall_at: float | None = None
    """Truth of the validation slides is not complete: only the recall at this score is known."""


def detector_task(data: DetectorData, recipe: Recipe, device: torch.device) -> Task[Batch]:
    """The task of a detector."""
    sampler = TileSampler(data.learn, data.sample, recipe.seed, data.references)

    def draw(step: int) -> Batch:
        return collate(sampler.batch(step - 1, recipe.batch))  # the sampler counts from 0

    def losses(network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        assert isinstance(network, CircleNetwork)
        images, targets = batch
        with autocast(device):
            maps = network.supervised(images.to(device))
        loss = summed_loss(maps, TargetBatch(*(t.to(device) for t in targets)))
        return {"loss": loss.total, "heat": loss.heat, "offset": loss.offset, "radius": loss.radius}

    def validate(network: nn.Module) -> dict[str, float]:
        detector = Detector(network, data.detect, device)  # type: ignore[arg-type]
        found = score([predict_case(case, detector) for case in data.judge], data.recall_at)
        return {name: getattr(found, name) for name in SCORES}

    return Task(
        draw=draw,
        losses=losses,
        parts=("loss", "heat", "offset", "radius"),
        validate=validate if data.judge else None,
        scores=SCORES,
        best_by=data.best_by,
        identity=data_identity(data),
    )


def data_identity(data: DetectorData) -> str:
    """Same for the same slides, truth and mined circles, seen in the same way."""
    digest = hashlib.sha256(json.dumps(asdict(data.sample), sort_keys=True).encode())
    for case in (*data.learn, *data.judge):
        digest.update(case_identity(case).encode())
    for basis in data.references:
        digest.update(basis.tobytes())
    return digest.hexdigest()
