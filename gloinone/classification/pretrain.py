"""A backbone that learned from crops without labels, for the other trainings to start from.

Two views of each crop are to be alike. Nothing in the loss keeps all crops from becoming alike, so that is watched:
the spread of the embeddings at every step, and on held-out crops how often the nearest neighbour of one view is the
other view of the same crop, which keeps the best weights and needs no label either.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from gloinone import __version__
from gloinone.classification.simsiam import SimSiam, disagreement, spread
from gloinone.errors import UsageError
from gloinone.learning.augment import ColourConfig
from gloinone.learning.backbones import Normalise, ResNetFeatures
from gloinone.learning.batches import fixed_batches
from gloinone.learning.bootstrap import interval
from gloinone.learning.device import autocast, pick_device
from gloinone.learning.folded import folded_norms
from gloinone.learning.patch_training import MEAN, STD, Looks, PatchSet, cut_crops, patches_identity
from gloinone.learning.patches import FramingConfig, Patches
from gloinone.learning.training import MakeOptions, Recipe, Task, train
from gloinone.weights.card import Architecture, Measured, ModelCard
from gloinone.weights.starting import backbone_name, start
from gloinone.weights.store import save_model

AS_VIEWED = Looks(
    FramingConfig(scale=(0.5, 1.25), shift=0.3),
    ColourConfig(stain_share=0.9, light_share=0.9, grey_share=0.2, blur_share=0.4),
)
"""More than of a training with labels: views that are too alike teach nothing (Chen et al. 2020)."""
COLLAPSED = 0.1
"""Spread under which all crops look alike to the network; a healthy one stays near 1."""
SCORES = ("retrieval", "held_out_spread")
PAPER_BATCH, PAPER_RATE = 256, 0.05
Say = Callable[[str], None]
Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True, kw_only=True)
class PretrainConfig(MakeOptions):
    """What a user may choose; see `gloinone train ssl --help`."""

    edge_px: int = 224
    backbone: str | None = None
    """None: that of the weights to start from."""


def pretraining_recipe(
    steps: int, batch: int, peak_rate: float | None, seed: int, validate_every: int | None
) -> Recipe:
    """SGD as in the paper: its rate follows the batch, falls by a cosine, and is not warmed up."""
    return Recipe(
        steps=steps,
        batch=batch,
        peak_rate=peak_rate or PAPER_RATE * batch / PAPER_BATCH,
        warmup_steps=0,
        average_decay=0.0,  # no average: the weights themselves
        max_gradient=5.0,
        validate_every=validate_every or max(1, -(-steps // 4)),
        save_every=50,
        weight_decay=1e-4,
        seed=seed,
    )


def sgd(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """With momentum, as in the paper."""
    return torch.optim.SGD(
        network.parameters(), lr=recipe.peak_rate, momentum=0.9, weight_decay=recipe.weight_decay
    )


def make_backbone(parts: PatchSet, config: PretrainConfig, say: Say) -> ModelCard:
    """Trains, and leaves weights.safetensors and card.json of the backbone in ``config.out``."""
    if len(parts.train) < 2:
        raise UsageError("one crop alone is like itself; give more of them, or hold out fewer with --val")
    device = pick_device(config.device)
    card = start_card(parts, config)
    torch.manual_seed(config.recipe.seed)
    network = SimSiam(Normalise(MEAN, STD), ResNetFeatures(card.architecture.name))
    start(network, network.backbone, config.init, "backbone")
    task, folded = pretraining_task(parts, config, device), folded_norms(network.backbone)
    trained = train(network, task, config.recipe, config.out, device, say, folded)
    assert isinstance(trained, SimSiam)
    card = save_model(config.out, trained.backbone.state_dict(), measured_card(card, trained, parts, device))
    for row in card.measured:
        say(f"{row.on}: {row.what} {row.told}, n {row.n}")
    say(f"{config.out}: {card.identity}; start from it with --init {config.out}")
    return card


def pretraining_task(parts: PatchSet, config: PretrainConfig, device: torch.device) -> Task[Batch]:
    """Two views of each crop are to be alike."""
    patches, recipe = parts.train, config.recipe

    def draw(step: int) -> Batch:
        rng = np.random.default_rng((recipe.seed, step))
        numbers = rng.choice(len(patches), min(recipe.batch, len(patches)), replace=False)
        first, second = (cut_crops(patches, numbers, config.edge_px, rng, AS_VIEWED) for _ in range(2))
        return torch.from_numpy(first.images), torch.from_numpy(second.images)

    def losses(network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        with autocast(device):
            first, second = (
                network(x.to(device).contiguous(memory_format=torch.channels_last)) for x in batch
            )
        apart = spread(first.embedding)
        if apart < COLLAPSED:
            raise UsageError(
                f"the network has collapsed: all crops are alike to it (spread {float(apart):.3f}, healthy is near "
                "1); start again in a new --out with a lower --rate, a larger --batch-size or more crops"
            )
        return {"loss": disagreement(first, second), "spread": apart}

    def validate(network: nn.Module) -> dict[str, float]:
        assert isinstance(network, SimSiam)
        return validation_scores(network, parts.validation, config.edge_px, device)

    return Task(
        draw=draw,
        losses=losses,
        parts=("loss", "spread"),
        validate=validate if len(parts.validation) > 1 else None,
        scores=SCORES,
        best_by="retrieval",
        identity=patches_identity(parts, json.dumps(["simsiam", config.edge_px, asdict(AS_VIEWED)])),
        optimiser=sgd,
    )


def validation_scores(
    network: SimSiam, patches: Patches, edge_px: int, device: torch.device
) -> dict[str, float]:
    """By which the best weights are kept, and whether the crops still lie apart."""
    hits, embedding = retrieved(network, patches, edge_px, device)
    return {"retrieval": float(hits.mean()), "held_out_spread": float(spread(embedding))}


@torch.inference_mode()
def retrieved(
    network: SimSiam, patches: Patches, edge_px: int, device: torch.device, batch: int = 16
) -> tuple[NDArray[np.bool_], Tensor]:
    """(N,) whether, of the second views of all crops, the nearest to a first view is its own; (N, W) first views."""
    embeddings = []
    for seed in range(2):
        rows = []
        for numbers in fixed_batches(range(len(patches)), batch):
            rng = np.random.default_rng((seed, numbers[0]))
            drawn = cut_crops(patches, np.array(numbers), edge_px, rng, AS_VIEWED)
            images = torch.from_numpy(drawn.images).to(device).contiguous(memory_format=torch.channels_last)
            with autocast(device):
                rows.append(network(images).embedding.float().cpu())
        embeddings.append(functional.normalize(torch.cat(rows), dim=1))
    nearest = (embeddings[0] @ embeddings[1].T).argmax(dim=1)
    return (nearest == torch.arange(len(patches))).numpy(), embeddings[0]


def measured_card(card: ModelCard, network: SimSiam, parts: PatchSet, device: torch.device) -> ModelCard:
    """The card with how often crops of held-out patients are known again."""
    held_out = parts.validation
    if len(held_out) < 2:
        return card
    hits, _ = retrieved(network.eval(), held_out, card.edge_px, device)
    known = interval(lambda i: float(hits[i].mean()), held_out.groups)
    what = f"nearest of {len(held_out)} views is of the same crop"
    on = "held-out patients, by which the step was chosen"
    row = Measured.within(what, on, len(hits), float(hits.mean()), known)
    return replace(card, measured=(row,))


def start_card(parts: PatchSet, config: PretrainConfig) -> ModelCard:
    """Everything that is known before the training."""
    sources = sorted(set(parts.train.sources))
    recipe = config.recipe
    return ModelCard(
        name=config.out.resolve().name,
        task="backbone",
        architecture=Architecture(config.backbone or backbone_name(config.init, "backbone")),
        edge_px=config.edge_px,
        mean=MEAN,
        std=STD,
        labels=(),
        licence=config.licence,
        training_data=tuple(f"{name}: {parts.train.sources.count(name)} crops" for name in sources),
        split=parts.split,
        created_by=(
            f"gloinone {__version__} train ssl (SimSiam), {recipe.steps} steps of {recipe.batch}, "
            f"seed {recipe.seed}, from {config.init}"
        ),
        not_validated=("Features without a task: what they are worth is seen in what is trained from them.",),
    )
