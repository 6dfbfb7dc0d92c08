"""From folders of slides to a model that can be shipped: collect, train, choose the threshold, write the card."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gloinone import __version__
from gloinone.detection.build import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    architecture,
    build_network,
    detect_config,
)
from gloinone.detection.cases import Case
from gloinone.detection.collect import Source, collect_cases
from gloinone.detection.fuse import PUBLISHED_MAX_IOU
from gloinone.detection.mining import mined
from gloinone.detection.predict import Detector
from gloinone.detection.samples import SampleConfig
from gloinone.detection.train import TrainConfig, Training, train
from gloinone.detection.validate import floor_of, predict_case, score
from gloinone.errors import UsageError
from gloinone.labels import GLOMERULUS
from gloinone.learning.device import pick_device, use_available_threads
from gloinone.metrics import CircleImage
from gloinone.weights.card import Measured, ModelCard
from gloinone.weights.starting import start
from gloinone.weights.store import save_model

TILE_PX = 768
"""In prediction; larger than in training, since a network of convolutions does not mind."""
MARGIN_UM = 224.0
"""Half of the largest glomerulus (400 um) and a little."""
START_FLOOR = 0.05
MINED = "false-circles.json"


@dataclass(frozen=True)
class MakeConfig:
    """What a user may choose; see `gloinone train detector --help`."""

    validation: frozenset[str]
    left_out: frozenset[str]
    out: Path
    init: str = "none"
    """A model's name or folder, a .safetensors file of a backbone, or none."""
    backbone: str = "resnet34"
    network_mpp: float = 2.0
    steps: int = 2400
    peak_rate: float = 6e-4
    validate_every: int = 600
    batch_size: int = 8
    edge: int = 320
    seed: int = 0
    device: str = "auto"
    cache: Path | None = None
    licence: str = "not stated"


def make_detector(sources: Sequence[Source], config: MakeConfig, say: Callable[[str], None]) -> ModelCard:
    """Train, and leave weights.safetensors and card.json in ``config.out``."""
    device = pick_device(config.device)
    use_available_threads()
    sample = SampleConfig(mpp=config.network_mpp, edge_px=config.edge)
    cache = config.cache or config.out / "cache"
    cases = collect_cases(sources, cache, config.network_mpp / sample.max_scale, config.left_out, say)
    learn, judge = split_cases(cases, config.validation)
    card = start_card(config, learn, judge)
    network = build_network(card)
    if start(network, network.backbone, config.init, "detector"):
        learn = mined(learn, Detector(network, detect_config(card), device), config.out / MINED, say)
    training = Training(
        network=network,
        cases=learn,
        validation=judge,
        config=TrainConfig(
            steps=config.steps,
            batch_size=config.batch_size,
            peak_rate=config.peak_rate,
            validate_every=config.validate_every,
            seed=config.seed,
            sample=sample,
        ),
        detect=detect_config(card),
        folder=config.out,
        device=device,
    )
    trained = train(training, say)
    if judge:
        detector = Detector(trained, detect_config(card), device)
        card = judged_card(card, [predict_case(case, detector) for case in judge])
    card = save_model(config.out, trained.state_dict(), card)
    say(f"{config.out}: {card.identity}, threshold {card.threshold:.2f}, floor {card.floor:.2f}")
    return card


def split_cases(cases: Sequence[Case], validation: frozenset[str]) -> tuple[list[Case], list[Case]]:
    """Training and validation cases; no patient is on both sides."""
    patients = {c.patient for c in cases if validation & {c.name, Path(c.name).stem, c.patient}}
    judge = [c for c in cases if c.patient in patients]
    known = {n for c in judge for n in (c.name, Path(c.name).stem, c.patient)}
    if validation - known:
        raise UsageError(f"--val: no slide or patient named {', '.join(sorted(validation - known))}")
    learn = [c for c in cases if c.patient not in patients]
    if not learn:
        raise UsageError("--val names every slide there is; leave some to train on")
    return learn, judge


def start_card(config: MakeConfig, learn: Sequence[Case], judge: Sequence[Case]) -> ModelCard:
    """Everything that is known before the training."""
    counts = {s: [c for c in learn if c.source == s] for s in sorted({c.source for c in learn})}
    return ModelCard(
        name=config.out.resolve().name,
        task="detector",
        architecture=architecture(config.backbone, 64),
        edge_px=TILE_PX,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
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
        created_by=f"gloinone {__version__} train detector, {config.steps} steps, seed {config.seed}",
        mpp=config.network_mpp,
        margin_um=MARGIN_UM,
        threshold=0.3,
        floor=START_FLOOR,
        max_per_tile=100,
        merge_iou=PUBLISHED_MAX_IOU,
        not_validated=("No pathologist has validated these weights.",),
    )


def judged_card(card: ModelCard, images: Sequence[CircleImage]) -> ModelCard:
    """The card with threshold, floor and scores from the validation slides."""
    scores = score(images)
    n = sum(len(image.truth) for image in images)
    measured = tuple(
        Measured(what, "validation slides, on which the threshold was chosen", n, value, value, value)
        for what, value in (("AP50", scores.ap50), ("AP .50:.90", scores.ap))
    )
    return replace(card, threshold=scores.best_score, floor=floor_of(images), measured=measured)
