"""The card that travels with a network's weights: all they need to be used, and what is known of them."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

from gloinone.errors import WeightsError
from gloinone.labels import ClassRule

Task = Literal["detector", "classifier", "segmenter", "backbone"]
"""A backbone does nothing by itself: the trainings of the others start from it."""
Channels = Literal["RGB", "BGR"]
LATER = {"deepest_floor", "feature_limit", "kept_log_odds", "norm_prior", "peak_reach", "scales"}
"""Keys that cards of earlier versions lack."""
MOST_REACH = 8
"""Of ``peak_reach``, cells; the smallest glomerulus is hardly wider."""
MOST_SCALES, MOST_SCALE = 4, 2.0
"""Of ``scales``: each look is turned another way, and a tile four times as large is as much as memory may hold."""
TOLD = {"name", "licence", "training_data", "split", "created_by", "measured", "not_validated"}
"""Keys that say something of the weights and change no result."""
FORMAT = 1
"""Raised when a key changes its meaning; other formats are refused."""


@dataclass(frozen=True)
class Architecture:
    """Which network to build; ``options`` are its keyword arguments."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Measured:
    """One score, with its bootstrap interval over patients where there are two of them."""

    what: str
    """Name of the score, such as `AUC normal vs sclerosed`."""
    on: str
    """The data, and whether they were left out of training."""
    n: int
    value: float
    low: float | None = None
    """95 % interval; None: none is known."""
    high: float | None = None

    @classmethod
    def within(cls, what: str, on: str, n: int, value: float, interval: tuple[float, float]) -> "Measured":
        """With its interval, both ends nan where there is none."""
        low, high = (None if math.isnan(end) else end for end in interval)
        return cls(what, on, n, value, low, high)

    @property
    def told(self) -> str:
        """The value, with its interval if it has one.

        >>> Measured("AUC", "drawn", 10, 0.9, 0.85, 1.0).told, Measured("AUC", "drawn", 10, 0.9).told
        ('0.900 (0.850 to 1.000)', '0.900')
        """
        if self.low is None or self.high is None:
            return f"{self.value:.3f}"
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


@dataclass(frozen=True)
class ModelCard:
    """Everything the weights need, and everything a user should know of them.

    A network is fed (pixel - mean) / std with pixels of 0..255 in the order of ``channels``.
    """

    name: str
    task: Task
    architecture: Architecture
    edge_px: int
    """Edge of the square input; tiles of the detector, resized crops of the other two."""
    mean: tuple[float, float, float]
    """In units of 0..255, in the order of ``channels``."""
    std: tuple[float, float, float]
    """In units of 0..255, in the order of ``channels``."""
    labels: tuple[str, ...]
    """Of the outputs, in their order."""
    licence: str
    """The strictest of the training data's."""
    training_data: tuple[str, ...]
    split: str
    """What was left out of training, and what it was used for."""
    created_by: str
    """Version of gloinone and the command."""
    channels: Channels = "RGB"
    mpp: float | None = None
    """Microns per input pixel; None for crops, whose scale follows the circle."""
    context_um: float | None = None
    """What a crop shows on every side of the circle's box; None for the detector."""
    margin_um: float | None = None
    """Overlap of tiles beyond their core; None for crops."""
    threshold: float | None = None
    """Detector: the score at or over which a circle is kept. Segmenter: the probability that is inside."""
    kept_log_odds: float | None = None
    """Detector: mean log-odds of its scores of the circles that are kept, on the slides that the threshold was chosen
    on; None: scores of a slide on which they are lower stay as they are."""
    floor: float | None = None
    """Detector: a circle of a lower score is not even written to circles.csv, but for ``deepest_floor``."""
    deepest_floor: float | None = None
    """Detector: the same on a slide where few circles lie over ``floor`` for those that reach the threshold; None:
    ``floor`` holds for every slide."""
    max_per_tile: int | None = None
    peak_reach: int | None = None
    """Detector: how far around a peak the cells lie that say, together, where its circle is; None: the peak alone."""
    norm_prior: float | None = None
    """How many windows of a slide's tissue (detector) or crops of its best circles (classifier) the means of the
    training count for in the first layers; None: they stand alone."""
    scales: tuple[float, ...] | None = None
    """Detector: it looks at each tile times each of these, and the mean counts; None: once, as it is."""
    merge_iou: float | None = None
    """Detector: circles of a higher circle IoU are one."""
    score_combination: str | None = None
    """Classifier: how `score` follows from `det_score` and the probabilities; a name the pipeline knows."""
    class_rule: ClassRule | None = None
    temperature: float = 1.0
    """Logits are divided by this before the softmax or sigmoid; fitted on patients left out of training."""
    subtype_validated: bool = False
    """Whether a pathologist's labels back the three kinds of sclerosis."""
    feature_limit: float | None = None
    """Classifier: the distance from its training slides (features.safetensors) from which a slide is unlike them."""
    measured: tuple[Measured, ...] = ()
    not_validated: tuple[str, ...] = ()
    """What nobody checked, a sentence each."""
    sha256: str = ""
    """Of the weights file; filled in when they are saved."""

    def __post_init__(self) -> None:
        if self.task not in get_args(Task):
            raise WeightsError(
                f"card {self.name}: unknown task {self.task!r}; known: {', '.join(get_args(Task))}"
            )
        if self.channels not in get_args(Channels):
            raise WeightsError(f"card {self.name}: channels are {self.channels!r}; known: RGB, BGR")
        if self.edge_px <= 0:
            raise WeightsError(f"card {self.name}: edge_px is {self.edge_px}; it must be positive")
        if len(self.mean) != 3 or len(self.std) != 3 or min(self.std) <= 0:
            raise WeightsError(f"card {self.name}: mean and std need three values each, std over 0")
        self._check_scale()
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise WeightsError(f"card {self.name}: threshold is {self.threshold}; it must be from 0 to 1")
        if self.floor is not None and not 0 <= self.floor <= 1:
            raise WeightsError(f"card {self.name}: floor is {self.floor}; it must be from 0 to 1")
        if self.deepest_floor is not None and not 0 <= self.deepest_floor <= (self.floor or 0):
            raise WeightsError(
                f"card {self.name}: deepest_floor is {self.deepest_floor}; it must be from 0 to floor, {self.floor}"
            )
        if self.feature_limit is not None and self.feature_limit <= 0:
            raise WeightsError(f"card {self.name}: feature_limit is {self.feature_limit}; it must be over 0")
        if self.peak_reach is not None and not 0 <= self.peak_reach <= MOST_REACH:
            raise WeightsError(
                f"card {self.name}: peak_reach is {self.peak_reach}; it must be from 0 to {MOST_REACH}"
            )
        if self.norm_prior is not None and not self.norm_prior >= 0:
            raise WeightsError(f"card {self.name}: norm_prior is {self.norm_prior}; it must not be under 0")
        if self.scales is not None and not (
            1 <= len(self.scales) <= MOST_SCALES
            and all(1 / MOST_SCALE <= s <= MOST_SCALE for s in self.scales)
        ):
            raise WeightsError(
                f"card {self.name}: scales are {list(self.scales)}; give 1 to {MOST_SCALES}, each from "
                f"{1 / MOST_SCALE} to {MOST_SCALE:g}"
            )
        if not (self.temperature > 0 and math.isfinite(self.temperature)):
            raise WeightsError(f"card {self.name}: temperature is {self.temperature}; it must be over 0")

    def _check_scale(self) -> None:
        """A tile has microns, and some of them between its margins."""
        if self.mpp is not None and not (self.mpp > 0 and math.isfinite(self.mpp)):
            raise WeightsError(f"card {self.name}: mpp is {self.mpp}; it must be over 0")
        if self.margin_um is not None and not (self.margin_um >= 0 and math.isfinite(self.margin_um)):
            raise WeightsError(f"card {self.name}: margin_um is {self.margin_um}; it must not be under 0")
        if self.mpp and self.margin_um and self.edge_px * self.mpp <= 2 * self.margin_um:
            raise WeightsError(
                f"card {self.name}: margins of {self.margin_um:g} um leave nothing of a tile of {self.edge_px} px at "
                f"{self.mpp:g} um/px"
            )

    @property
    def identity(self) -> str:
        """How tables name the weights: ``name@first 12 of sha256``."""
        return f"{self.name}@{self.sha256[:12]}"

    @property
    def used(self) -> Mapping[str, Any]:
        """The keys from which results follow, the weights' sha256 among them."""
        return {key: value for key, value in asdict(self).items() if key not in TOLD}


def card_to_json(card: ModelCard) -> str:
    """Text of card.json; every key stands in it.

    >>> card = ModelCard("a", "segmenter", Architecture("x"), 8, (0, 0, 0), (1, 1, 1), (), "", (), "", "")
    >>> card_from_json(card_to_json(card), "card.json") == card
    True
    """
    return (
        json.dumps({"format": FORMAT, **asdict(card)}, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    )


def card_from_json(text: str, where: str) -> ModelCard:
    """Card of a card.json; ``where`` stands in the errors. Raises WeightsError for what is not understood."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"{where}: not a model card, {error}; copy the model's folder again") from error
    if not isinstance(data, dict) or data.pop("format", None) != FORMAT:
        raise WeightsError(
            f"{where}: not a model card of format {FORMAT}; it needs another version of gloinone"
        )
    card: ModelCard = _build(ModelCard, data, where, "")
    return card


def read_card(path: Path) -> ModelCard:
    """Card in a file; raises WeightsError."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise WeightsError(f"{path}: cannot be read, {error}; copy the model's folder again") from error
    return card_from_json(text, str(path))


_NESTED: dict[str, type] = {"architecture": Architecture, "class_rule": ClassRule}
_TEXT = (
    "name",
    "task",
    "channels",
    "licence",
    "split",
    "created_by",
    "sha256",
    "score_combination",
    "what",
    "on",
)
_WHOLE = ("edge_px", "max_per_tile", "peak_reach", "n")
_WORDS = ("labels", "training_data", "not_validated")


def _build(kind: type, data: object, where: str, parent: str) -> Any:
    """Dataclass from its JSON object: exactly its keys, each of the right type."""
    if not isinstance(data, dict):
        raise WeightsError(f"{where}: {parent or 'the card'} should be an object")
    known = {f.name: f for f in fields(kind)}
    if unknown := sorted(set(data) - set(known)):
        raise WeightsError(f"{where}: unknown keys {', '.join(parent + k for k in unknown)}")
    if missing := sorted(set(known) - set(data) - LATER):
        raise WeightsError(f"{where}: missing keys {', '.join(parent + k for k in missing)}")
    values = {}
    for name, value in data.items():
        optional = known[name].default is None
        values[name] = None if value is None and optional else _value(kind, name, value, where, parent)
    try:
        return kind(**values)
    except ValueError as error:
        raise WeightsError(f"{where}: {error}") from error


def _value(kind: type, name: str, value: object, where: str, parent: str) -> Any:
    """One value of the card, checked."""
    if name in _NESTED:
        return _build(_NESTED[name], value, where, f"{name}.")
    if name == "measured" and isinstance(value, list):
        return tuple(_build(Measured, item, where, "measured.") for item in value)
    if name in _WORDS and isinstance(value, list) and all(isinstance(v, str) for v in value):
        return tuple(value)
    if name in ("mean", "std", "scales") and isinstance(value, list) and all(_is_number(v) for v in value):
        return tuple(float(v) for v in value)
    if name == "options" and isinstance(value, dict):
        return value
    if name == "subtype_validated" and isinstance(value, bool):
        return value
    if (name in _TEXT or (kind is not ModelCard and name == "name")) and isinstance(value, str):
        return value
    if name in _WHOLE and isinstance(value, int) and not isinstance(value, bool):
        return value
    known = (*_TEXT, *_WORDS, *_WHOLE, "mean", "std", "scales", "options", "subtype_validated", "measured")
    if name not in known and _is_number(value):
        return float(value)  # type: ignore[arg-type]
    raise WeightsError(f"{where}: {parent}{name} has an unexpected value {value!r}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
