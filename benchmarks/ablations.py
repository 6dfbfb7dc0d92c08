"""What may make a detector hold at hospitals it never saw: five groups of means, each alone and all together.

    python -m benchmarks.ablations --slides DIR --truth DIR --mpp-csv CSV ... --unlabelled CSV --stains DIR \\
        --init resnet34.safetensors --out OUT

The slides are those of docs/weights.md. Learned from are pas-a, aidpath-tiles and h1; scored, and never learned from,
are all of h2 and fields, and of biopsies-he the ten of docs/weights/left-out.txt. The base is trained with three seeds,
to show the noise. A group is added to the base of seed 0:

    scale     tissue at 0.6 to 1.6 times its size
    colour    HED jitter, mixed densities, light, grey, stains of other slides and of reference pictures
    focus     blur, JPEG, noise
    sampling  sources by the root of their glomeruli, drawn slides with decoys, false circles mined by base-0
    average   moving average of the weights

Each finished training is a row of OUT/ablations.csv, and is not done again. Printed are the differences to the mean of
the base, in bold those that lie outside of what its three seeds have.
"""

import argparse
import csv
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from gloinone.cli.names import read_names
from gloinone.cli.training_inputs import slide_folders
from gloinone.detection.build import build_network, detect_config
from gloinone.detection.cases import Case
from gloinone.detection.circlenet import CircleNetwork
from gloinone.detection.looks import ONCE
from gloinone.detection.make import MakeConfig, start_card
from gloinone.detection.mining import mined
from gloinone.detection.predict import DetectConfig, Detector
from gloinone.detection.samples import SampleConfig
from gloinone.detection.train import DetectorData, detector_recipe, detector_task
from gloinone.detection.validate import predict_case, score
from gloinone.errors import UsageError
from gloinone.learning.augment import ColourConfig
from gloinone.learning.checkpoint import load_checkpoint, save_checkpoint
from gloinone.learning.device import pick_device, use_available_threads
from gloinone.learning.stains import Basis
from gloinone.learning.training import Recipe, train
from gloinone.training.cases import collect_cases
from gloinone.training.reference_stains import reference_stains
from gloinone.training.sources import listed_slides, truth_slides
from gloinone.weights.starting import start

LEFT_OUT = Path(__file__).parents[1] / "docs/weights/left-out.txt"
LEARN, DRAWN = "learn", "drawn"
SCORED = ("biopsies-he", "h2", "fields")
SCORES = ("ap50", "ap")
RESULTS = "ablations.csv"
MINER = "base-0"


@dataclass(frozen=True)
class Ablation:
    """One training."""

    name: str
    groups: frozenset[str] = frozenset()
    seed: int = 0


GROUPS = ("scale", "colour", "focus", "sampling", "average")
PLAIN: dict[str, dict[str, float]] = {
    "scale": {"min_scale": 1, "max_scale": 1},
    "colour": {"transfer_share": 0},
    "sampling": {"false_share": 0, "source_power": 1},
}
"""Of SampleConfig, where the group is not asked for."""
DULL: dict[str, dict[str, float]] = {
    "colour": {"stain_share": 0, "restain_share": 0, "light_share": 0, "grey_share": 0},
    "focus": {"blur_share": 0, "jpeg_share": 0, "noise_share": 0},
}
"""Of ColourConfig."""
ABLATIONS = (
    Ablation(MINER),
    Ablation("all", frozenset(GROUPS)),
    *(Ablation(group, frozenset({group})) for group in GROUPS),
    Ablation("base-1", seed=1),
    Ablation("base-2", seed=2),
)
COLUMNS = (
    *("name", "seed", "steps", "edge_px", "batch", "slides", "cpu_s"),
    *(f"{source} {what}" for source in SCORED for what in SCORES),
)


def side_of(source: str, name: str, left_out: frozenset[str]) -> str | None:
    """What a slide is for: LEARN, DRAWN, one of SCORED, or nothing; ``left_out``: stems.

    >>> side_of("regions-he", "h2-s5-r1.jpg", frozenset()), side_of("hubmap-wsi", "pas-b.tif", frozenset({"pas-b"}))
    ('h2', None)
    """
    is_left_out = Path(name).stem in left_out
    if source == "biopsies-he":
        return source if is_left_out else None
    if source in ("fields", DRAWN):
        return source
    if source == "regions-he" and name.startswith("h2"):
        return "h2"
    return None if is_left_out else LEARN


def sample_of(groups: frozenset[str], edge_px: int) -> SampleConfig:
    """The tiles that a training with these groups sees: those of `train detector`, less what the others stand for."""
    plain, dull = (
        {name: value for group, off in switches.items() if group not in groups for name, value in off.items()}
        for switches in (PLAIN, DULL)
    )
    # The weight of 1 shows glomeruli that were found as often as those that were missed: it is in no group
    return SampleConfig(edge_px=edge_px, sure_weight=1.0, colour=ColourConfig(**dull), **plain)


def recipe_of(ablation: Ablation, steps: int, batch: int) -> Recipe:
    """Without a validation, and with plain weights unless they are averaged."""
    recipe = detector_recipe(steps=steps, batch=batch, seed=ablation.seed)
    return recipe if "average" in ablation.groups else replace(recipe, average_decay=0.0)


def table(rows: Iterable[Mapping[str, str]]) -> str:
    """Markdown: the base's mean and range, and how far each group, and the base of the same seed, lie from the mean."""
    by_name = {row["name"]: row for row in rows}
    base = [by_name[a.name] for a in ABLATIONS if not a.groups and a.name in by_name]
    if not base:
        return "no base has been trained"
    columns = COLUMNS[-len(SCORED) * len(SCORES) :]
    values = {column: [float(row[column]) for row in base] for column in columns}
    mean = {column: sum(own) / len(own) for column, own in values.items()}
    lines = [
        "| | " + " | ".join(column.replace("ap", "AP") for column in columns) + " |",
        "|---" * (len(columns) + 1) + "|",
        f"| base, mean of {len(base)} | " + " | ".join(f"{mean[c]:.3f}" for c in columns) + " |",
        "| its range | " + " | ".join(f"{min(own):.3f} to {max(own):.3f}" for own in values.values()) + " |",
    ]
    for ablation in ABLATIONS:
        if (ablation.groups or ablation.name == MINER) and ablation.name in by_name:
            own = {column: float(by_name[ablation.name][column]) for column in columns}
            cells = [told(own[c], mean[c], values[c]) for c in columns]
            lines.append(f"| {ablation.name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def told(value: float, mean: float, base: Sequence[float]) -> str:
    """A difference, in bold where no training of the base went as far.

    >>> told(0.75, 0.5, [0.4, 0.6]), told(0.45, 0.5, [0.4, 0.6])
    ('**+0.250**', '-0.050')
    """
    text = f"{value - mean:+.3f}"
    return text if min(base) <= value <= max(base) else f"**{text}**"


def read_rows(path: Path, steps: int) -> list[dict[str, str]]:
    """What is finished. Raises UsageError where it was another schedule."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    if other := {row["steps"] for row in rows} - {str(steps)}:
        raise UsageError(f"{path}: trainings of {', '.join(sorted(other))} steps; choose another --out")
    return rows


def add_row(path: Path, row: Mapping[str, object]) -> None:
    """Below what is there."""
    with path.open("a", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        if not file.tell():
            writer.writeheader()
        writer.writerow(row)


@dataclass(frozen=True)
class Bench:
    """What all trainings share."""

    sides: Mapping[str, Sequence[Case]]
    references: tuple[Basis, ...]
    init: str
    out: Path
    steps: int
    batch: int
    edge_px: int
    device: torch.device

    def row(self, ablation: Ablation) -> dict[str, object]:
        """Train and score."""
        folder, sample = self.out / ablation.name, sample_of(ablation.groups, self.edge_px)
        recipe = recipe_of(ablation, self.steps, self.batch)
        learn = self.learned(ablation)
        network, detect = self.started(MakeConfig(out=folder, recipe=recipe, init=self.init, sample=sample))
        references = self.references if "colour" in ablation.groups else ()
        data = DetectorData(learn, [], sample, detect, references=references)
        task = detector_task(data, recipe, self.device)
        folder.mkdir(parents=True, exist_ok=True)
        began = time.process_time()
        trained = train(network, task, recipe, folder, self.device, say)
        seconds = time.process_time() - began
        assert isinstance(trained, CircleNetwork)
        if ablation.name == MINER:
            save_checkpoint(self.out / f"{MINER}.pt", trained.state_dict())
        said = (
            ablation.name,
            ablation.seed,
            self.steps,
            self.edge_px,
            self.batch,
            len(learn),
            round(seconds),
        )
        scores = self.scores(Detector(trained, detect, self.device))
        return dict(zip(COLUMNS, (*said, *scores), strict=True))

    def started(self, config: MakeConfig) -> tuple[CircleNetwork, DetectConfig]:
        """The network before its first step."""
        card = start_card(config, self.sides[LEARN], [])
        torch.manual_seed(config.recipe.seed)
        network = build_network(card)
        start(network, network.features, self.init, "detector")
        return network, replace(detect_config(card), scales=ONCE)  # as all rows of docs/evaluation.md

    def learned(self, ablation: Ablation) -> Sequence[Case]:
        """The slides, with drawn ones and the miner's false circles where sampling is looked after."""
        if "sampling" not in ablation.groups:
            return self.sides[LEARN]
        state = load_checkpoint(self.out / f"{MINER}.pt")
        if state is None:
            raise UsageError(f"{ablation.name} needs the false circles of {MINER}; train that first")
        config = MakeConfig(out=self.out, recipe=recipe_of(ABLATIONS[0], 1, 1), init=self.init)
        network, detect = self.started(config)
        network.load_state_dict(state)
        learn = (*self.sides[LEARN], *self.sides[DRAWN])
        return mined(learn, Detector(network, detect, self.device), self.out / "false-circles.json", say)

    def scores(self, detector: Detector) -> list[str]:
        """Of each left-out source, in the order of COLUMNS."""
        found = [score([predict_case(case, detector) for case in self.sides[source]]) for source in SCORED]
        return [f"{getattr(own, what):.4f}" for own in found for what in SCORES]


def say(line: str) -> None:
    """At once, since it is read from a file."""
    print(line, flush=True)


def read_sides(options: argparse.Namespace) -> dict[str, Sequence[Case]]:
    """Cases by what they are for."""
    left_out = read_names((str(LEFT_OUT),))
    slides = truth_slides(listed_slides(slide_folders(vars(options)), say), frozenset(), say)
    cache_mpp = SampleConfig().mpp / SampleConfig().max_scale  # as train detector's, whose cache this may be
    sides: dict[str, Sequence[Case]] = {}
    for side in (LEARN, DRAWN, *SCORED):
        own = [s for s in slides if side_of(s.folder.name, s.name, left_out) == side]
        sides[side] = collect_cases(own, options.cache, cache_mpp, lambda line: None)
        say(f"{side}: {len(own)} slides, {sum(len(case.circles) for case in sides[side])} glomeruli")
    return sides


def main() -> None:
    """Train what is missing, then print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("--slides", "--truth", "--mpp-csv"):
        parser.add_argument(name, type=Path, action="append", required=True, help="as in train detector")
    parser.add_argument("--unlabelled", type=Path)
    parser.add_argument("--init", required=True, help="as in train detector")
    parser.add_argument("--stains", type=Path, required=True, help="pictures in reference stains")
    parser.add_argument("--cache", type=Path, help="default: OUT/cache")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", choices=[a.name for a in ABLATIONS], action="append", help="may repeat")
    parser.add_argument("--steps", type=int, default=330)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--edge", type=int, default=256, help="of a tile, px")
    options = parser.parse_args()
    options.cache = options.cache or options.out / "cache"
    vars(options).update(mpp=None, classes=None, complete=("yes",))
    use_available_threads()
    options.out.mkdir(parents=True, exist_ok=True)
    done = {row["name"] for row in read_rows(options.out / RESULTS, options.steps)}
    wanted = [a for a in ABLATIONS if a.name not in done and a.name in (options.only or [a.name])]
    if wanted:
        shared = (options.init, options.out, options.steps, options.batch, options.edge, pick_device("auto"))
        bench = Bench(read_sides(options), reference_stains(options.stains), *shared)
        for ablation in wanted:
            say(f"{ablation.name}:")
            add_row(options.out / RESULTS, bench.row(ablation))
            shutil.rmtree(options.out / ablation.name)
    print(table(read_rows(options.out / RESULTS, options.steps)))


if __name__ == "__main__":
    main()
