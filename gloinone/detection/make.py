"""From cached slides to a detector that can be shipped: train, choose the threshold, measure, write the card."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite

import numpy as np
import torch
from numpy.typing import NDArray

from gloinone import __version__
from gloinone.detection.build import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    RESNET,
    architecture,
    build_detector,
    build_network,
    detect_config,
)
from gloinone.detection.cases import Case
from gloinone.detection.circlenet import DEEPEST_STRIDE, CircleNetwork
from gloinone.detection.fuse import PUBLISHED_MAX_IOU
from gloinone.detection.looks import ONCE
from gloinone.detection.mining import mined
from gloinone.detection.predict import Detector
from gloinone.detection.samples import SampleConfig
from gloinone.detection.train import DetectorData, detector_task
from gloinone.detection.validate import floor_of, judged, predict_case, score
from gloinone.errors import UsageError
from gloinone.labels import GLOMERULUS
from gloinone.learning.bootstrap import interval
from gloinone.learning.comparison import Compared, Score, compare, tell_comparison
from gloinone.learning.device import pick_device
from gloinone.learning.folded import folded_norms
from gloinone.learning.training import SupervisedOptions, train
from gloinone.levelling import mean_log_odds
from gloinone.metrics import (
    WSI_IOUS,
    CircleImage,
    at_threshold,
    rank_circles,
)
from gloinone.weights.card import Measured, ModelCard
from gloinone.weights.starting import backbone_name, shipped_model, start, starting_card
from gloinone.weights.store import save_model

TILE_PX = 768
"""In prediction; larger than in training, since a network of convolutions does not mind."""
MARGIN_UM = 224.0
"""Half of the largest glomerulus (400 um) and a little."""
PEAK_REACH = 1
"""Further away the mean is no better: docs/evaluation.md, What makes circles fit."""
NORM_PRIOR = 4.0
"""Windows of a slide's tissue; docs/evaluation.md, Adapting to each slide."""
SCALES = (1.0, 0.8, 1.25)
"""docs/evaluation.md, Looking more than once."""
START_FLOOR, START_THRESHOLD = 0.05, 0.3
DEEPEST_FLOOR = 0.03
"""docs/evaluation.md, How far down circles go."""
AP_IOUS: dict[str, Sequence[float]] = {"AP50": (0.5,), "AP .50:.90": tuple(float(iou) for iou in WSI_IOUS)}
MINED = "false-circles.json"
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class MakeConfig(SupervisedOptions):
    """What a user may choose; see `gloinone train detector --help`."""

    arch: str | None = None
    """None: that of the weights to start from, else resnet34."""
    sample: SampleConfig = field(default_factory=SampleConfig)
    best_by: str = "ap50"
    left_out: frozenset[str] = frozenset()
    """Patients of whom nothing was learned or judged: for the card."""


def make_detector(learn: Sequence[Case], judge: Sequence[Case], config: MakeConfig, say: Say) -> ModelCard:
    """Train, and leave weights.safetensors and card.json in ``config.out``; ``judge`` may be empty."""
    if config.recipe.batch * (config.sample.edge_px // DEEPEST_STRIDE) ** 2 < 2:
        raise UsageError("--batch-size 1 with --edge 32: a batch is normalised together; give more of either")
    device = pick_device(config.device)
    card = start_card(config, learn, judge)
    torch.manual_seed(config.recipe.seed)
    network = build_network(card)
    if start(network, network.features, config.init, "detector"):
        model = starting_card(config.init, "detector")
        as_taught = replace(
            detect_config(card),
            peak_reach=(model.peak_reach if model else None) or 0,
            norm_prior=model.norm_prior if model else None,
            scales=ONCE,  # the tiles that it learns from are seen once, too
        )
        learn = mined(learn, Detector(network, as_taught, device), config.out / MINED, say)
    judge = judged(judge)
    data = DetectorData(
        learn,
        judge,
        config.sample,
        replace(detect_config(card), scales=ONCE),  # which weights are best, one look tells
        config.best_by,
        config.references,
        recall_at(judge, card),
    )
    task, folded = detector_task(data, config.recipe, device), folded_norms(network.features)
    trained = train(network, task, config.recipe, config.out, device, say, folded)
    assert isinstance(trained, CircleNetwork)
    used = Detector(trained, detect_config(card), device)
    images = [predict_case(case, used) for case in judge]
    card = judged_card(card, images, [case.patient for case in judge], config, data.recall_at)
    for row in card.measured:
        say(f"{row.on}: {row.what} {row.told}")
    card = save_model(config.out, trained.state_dict(), card)
    say(f"{config.out}: {card.identity}, threshold {card.threshold:.2f}, floor {card.floor:.2f}")
    tell_comparison(against_shipped(judge, images, card, device), config.out, say)
    return card


def check_network_mpp(mpp: float) -> None:
    """Raises UsageError where a tile of that resolution would be nothing but margins."""
    least = 2 * MARGIN_UM / TILE_PX
    if not (mpp > least and isfinite(mpp)):
        raise UsageError(
            f"--network-mpp {mpp:g}: give more than {least:.3f} um/px; a tile of {TILE_PX} px needs margins of "
            f"{MARGIN_UM:g} um on every side"
        )


def recall_at(judge: Sequence[Case], card: ModelCard) -> float | None:
    """The score at which recall alone is told, where no held-out slide has complete truth; else None."""
    return card.threshold if judge and all(case.is_partial for case in judge) else None


def start_card(config: MakeConfig, learn: Sequence[Case], judge: Sequence[Case]) -> ModelCard:
    """Everything that is known before the training."""
    counts = {s: [c for c in learn if c.source == s] for s in sorted({c.source for c in learn})}
    model, recipe = starting_card(config.init, "detector"), config.recipe
    # Weights keep the input they were trained with; new ones get that of the ImageNet start
    new = None if config.arch is None else architecture(config.arch)
    kept = model if model and new in (None, model.architecture) else None
    network = kept.architecture if kept else new or architecture(backbone_name(config.init, "detector"))
    return ModelCard(
        name=config.out.resolve().name,
        task="detector",
        architecture=network,
        edge_px=TILE_PX,
        mean=kept.mean if kept else IMAGENET_MEAN,
        std=kept.std if kept else IMAGENET_STD,
        channels=kept.channels if kept else "RGB",
        labels=(GLOMERULUS,),
        licence=config.licence,
        training_data=tuple(
            f"{source}: {len(cases)} slides, {sum(len(c.circles) for c in cases)} glomeruli"
            for source, cases in counts.items()
        ),
        split=(
            f"validation (threshold and floor): {', '.join(c.name for c in judge) or 'none'}; "
            f"left out: {', '.join(sorted(config.left_out)) or 'none'}"
        ),
        created_by=(
            f"gloinone {__version__} train detector, {recipe.steps} steps, seed {recipe.seed}, "
            f"from {model.identity if model else config.init}"
        ),
        mpp=config.sample.mpp,
        margin_um=MARGIN_UM,
        threshold=(model.threshold if model else None) or START_THRESHOLD,
        floor=START_FLOOR,
        max_per_tile=100,
        peak_reach=PEAK_REACH,
        norm_prior=NORM_PRIOR if network.name == RESNET else None,
        scales=SCALES if network.name == RESNET else None,
        merge_iou=PUBLISHED_MAX_IOU,
        not_validated=("No pathologist has validated these weights.",),
    )


def judged_card(
    card: ModelCard,
    images: Sequence[CircleImage],
    patients: Sequence[str],
    config: MakeConfig,
    recall_at: float | None,
) -> ModelCard:
    """The card with threshold, floor and scores from the held-out slides, as far as their truth can tell.

    ``patients``: of each image.
    """
    scores = score(images, recall_at)
    n = sum(len(image.truth) for image in images)
    if recall_at is None and n:
        found_any = any(len(image.predicted) for image in images)
        on = "validation slides, on which the threshold was chosen"
        values = zip(AP_IOUS.items(), (scores.ap50, scores.ap), strict=True)
        measured = tuple(
            Measured.within(what, on, n, value, interval(ap_of_draws(images, ious), patients))
            for (what, ious), value in values
        )
        # Where nothing was found no score is better than another: those of the start stay
        if found_any:
            found = np.concatenate([image.predicted[:, 3] for image in images])
            usual = mean_log_odds(found[found >= scores.best_score].tolist())
            card = replace(card, threshold=scores.best_score, kept_log_odds=usual)
        return replace(_down_to(floor_of(images), card), measured=measured)
    model = starting_card(config.init, "detector")
    card = _down_to((model.floor if model else None) or START_FLOOR, card)
    if not n:
        return card
    on = "validation slides, whose truth is not complete: precision is not known"
    assert recall_at is not None
    known = interval(recall_of_draws(images, recall_at), patients)
    recall = Measured.within(f"recall at {recall_at:.2f}", on, n, scores.recall, known)
    return replace(card, measured=(recall,))


def _down_to(floor: float, card: ModelCard) -> ModelCard:
    return replace(card, floor=floor, deepest_floor=min(floor, DEEPEST_FLOOR))


def recall_of_draws(images: Sequence[CircleImage], min_score: float) -> Score:
    """Recall at a score, of drawn image numbers; nan where they have no glomerulus."""
    counts = [at_threshold([image], min_score) for image in images]
    found, total = np.array([(c.found, c.found + c.missed) for c in counts]).T

    def recall(drawn: NDArray[np.intp]) -> float:
        among = total[drawn].sum()
        return float(found[drawn].sum() / among) if among else float("nan")

    return recall


def ap_of_draws(images: Sequence[CircleImage], min_ious: Iterable[float]) -> Score:
    """Mean AP over IoU thresholds of drawn image numbers; each image is matched once, however often it is drawn."""
    rankings = [rank_circles(images, float(iou)) for iou in min_ious]

    def mean(drawn: NDArray[np.intp]) -> float:
        times = np.bincount(drawn, minlength=len(images))
        return float(np.mean([ranking.average_precision(times) for ranking in rankings]))

    return mean


def against_shipped(
    judge: Sequence[Case], retrained: Sequence[CircleImage], card: ModelCard, device: torch.device
) -> list[Compared]:
    """AP of shipped and retrained weights on the held-out slides; their recall where truth is not complete."""
    found = shipped_model("detector")
    if found is None or not judge:
        return []
    theirs = build_detector(*found, device)
    # A higher floor would cost them the recall at the end of the curve
    theirs.config = replace(theirs.config, floor=START_FLOOR, deepest_floor=None)
    shipped = [predict_case(case, theirs) for case in judge]
    patients = [case.patient for case in judge]
    scores: dict[str, Callable[[Sequence[CircleImage]], Score]]
    if (at := recall_at(judge, card)) is not None:
        scores = {f"recall at {at:.2f}, held-out slides": lambda images: recall_of_draws(images, at)}
    else:
        scores = {
            f"{what}, held-out slides": lambda images, ious=ious: ap_of_draws(images, ious)  # type: ignore[misc]
            for what, ious in AP_IOUS.items()
        }
    rows = []
    for what, measure in scores.items():
        rows += compare(what, patients, measure(shipped), measure(retrained))
    return rows
