"""The label-fraction table: a linear probe on frozen features, with fewer and fewer of the labels.

    python -m benchmarks.paper_labels --crops crops/images --labels crops/labels.csv --outside SAS --edge 96 \\
        --start scratch=none --start ImageNet=resnet34.safetensors --start SimSiam=models/my-backbone --out table/

Normal against sclerosed, or with --level five all classes that the labels name. The patients are dealt out among
folds; each fold's probe learns from a part of the other patients' crops, so many of every class as their share says and
at least one, and is scored on the fold, and on the centre --outside, of which nothing was learned from. For each number
of labels several draws are made and pooled. confusion-START.csv counts, with all labels, what each class was called.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from gloinone.errors import UsageError
from gloinone.evaluation.classification import Calls
from gloinone.evaluation.levels import LEVELS, STATE, Level
from gloinone.evaluation.tables import Cell, Evaluation, Table, scored
from gloinone.learning.backbones import Normalise, ResNetFeatures
from gloinone.learning.batches import fixed_batches
from gloinone.learning.device import autocast, pick_device, use_available_threads
from gloinone.learning.folds import folds_of
from gloinone.learning.patch_training import MEAN, STD, as_detected
from gloinone.learning.patches import Patches, cut_pixels, patch_origins
from gloinone.pipeline.atomic import write_atomic
from gloinone.training.crop_patches import read_crop_folder
from gloinone.weights.starting import start

Floats = NDArray[np.float64]
Numbers = NDArray[np.intp]
PROBED = {level.name: level for level in LEVELS if level.name in ("state", "five")}


@dataclass(frozen=True)
class Plan:
    """How the probes learn."""

    fractions: tuple[float, ...] = (100, 25, 10, 5, 1)
    """Percent of the labels."""
    folds: int = 5
    draws: int = 5
    """For each fraction under 100."""


@dataclass(frozen=True)
class Set:
    """N crops as a probe sees them."""

    level: Level
    features: Floats
    """(N, C)."""
    truth: Numbers
    """(N,) number of the level's class."""
    patients: tuple[str, ...]

    def take(self, numbers: Numbers) -> "Set":
        """Those of the given numbers; one may come several times."""
        patients = tuple(self.patients[i] for i in numbers)
        return Set(self.level, self.features[numbers], self.truth[numbers], patients)

    def called(self, probabilities: Floats) -> Calls:
        """These crops with (N, K) probabilities, each called the likeliest class."""
        given = probabilities.argmax(axis=1)
        return Calls(self.level, probabilities, given, self.truth, self.patients, self.patients)


@dataclass(frozen=True)
class Probed:
    """What probes with so many labels made of the crops."""

    labels: int
    """That a probe had, mean of all probes."""
    inside: Calls
    """Every crop of the folds, once for each draw."""
    outside: tuple[Calls, ...]
    """The left-out centre, once for each probe."""

    def cells(self) -> list[Cell]:
        """Labels, then balanced accuracy, macro F1 and left-out AUC with their intervals over patients."""
        patients = self.outside[0].groups

        def left_out_auc(numbers: Numbers) -> float:
            return float(np.mean([calls.take(numbers).mean_auc() for calls in self.outside]))

        rows = [
            scored("", lambda i: self.inside.take(i).balanced_accuracy(), self.inside.groups),
            scored("", lambda i: self.inside.take(i).macro_f1(), self.inside.groups),
            scored("", left_out_auc, patients),
        ]
        return [self.labels, *(v for row in rows for v in (row.value, row.low, row.high))]


def features_of(
    patches: Patches, init: str, backbone: str, edge_px: int, device: torch.device
) -> tuple[Floats, float]:
    """(N, C) pooled features of each crop as a detector would frame it, and the CPU seconds a crop took."""
    torch.manual_seed(0)
    network = ResNetFeatures(backbone)
    start(network, network, init, "backbone")
    whole = torch.nn.Sequential(Normalise(MEAN, STD), network).eval().to(device)
    rows, before = [], time.process_time()
    for numbers in fixed_batches(range(len(patches)), 16):
        crops = [cut_pixels(patches.pixels[i], as_detected(patches, i, edge_px), edge_px) for i in numbers]
        images = torch.from_numpy(np.stack(crops).transpose(0, 3, 1, 2).copy()).to(device)
        with torch.inference_mode(), autocast(device):
            rows.append(whole(images)[-1].float().mean(dim=(2, 3)).double().cpu().numpy())
    return np.concatenate(rows), (time.process_time() - before) / len(patches)


def draw_labels(truth: Numbers, percent: float, rng: np.random.Generator) -> Numbers:
    """Numbers of the crops whose label is known: that share of every class, at least one."""
    chosen = []
    for kind in np.unique(truth):
        own = np.flatnonzero(truth == kind)
        chosen.append(rng.permutation(own)[: max(1, round(len(own) * percent / 100))])
    return np.sort(np.concatenate(chosen))


def probe(learn: Set, others: Sequence[Set]) -> list[Floats]:
    """(N, K) probabilities of each of the other sets; 0 for a class that there was nothing to learn of."""
    model = make_pipeline(
        StandardScaler(), LogisticRegression(C=0.01, class_weight="balanced", max_iter=1000)
    )
    model.fit(learn.features, learn.truth)
    found = []
    for other in others:
        found.append(np.zeros((len(other.truth), len(learn.level.classes))))
        found[-1][:, np.unique(learn.truth)] = model.predict_proba(other.features)
    return found


def probed(inside: Set, outside: Set, folds: Sequence[frozenset[str]], percent: float, plan: Plan) -> Probed:
    """Probes with so many percent of the labels, one for each draw and fold."""
    found, items, beyond, sizes = [], [], [], []
    for draw in range(1 if percent == 100 else plan.draws):
        for number, patients in enumerate(folds):
            is_out = np.array([patient in patients for patient in inside.patients])
            rest, test = inside.take(np.flatnonzero(~is_out)), np.flatnonzero(is_out)
            rng = np.random.default_rng((draw, number, round(percent * 100)))
            learn = rest.take(draw_labels(rest.truth, percent, rng))
            here, there = probe(learn, [inside.take(test), outside])
            found.append(here)
            items.append(test)
            beyond.append(outside.called(there))
            sizes.append(len(learn.patients))
    pooled = inside.take(np.concatenate(items)).called(np.concatenate(found))
    return Probed(round(float(np.mean(sizes))), pooled, tuple(beyond))


def confusion_table(start: str, calls: Calls) -> Table:
    """A row for each class that occurs, a column for what it was called."""
    counts = calls.confusion()
    rows = [(name, *row.tolist()) for name, row in zip(calls.level.classes, counts, strict=True) if row.sum()]
    return Table(
        f"confusion-{start}", f"{start}, all labels: called", ("truth", *calls.level.classes), tuple(rows)
    )


def label_tables(
    patches: Patches, level: Level, outside: str, starts: dict[str, str], network: tuple[str, int], plan: Plan
) -> list[Table]:
    """A row for each start and fraction, then each start's confusion; ``network``: backbone and edge of its input, px.

    Crops whose label the level does not know take no part.
    """
    truth = np.array([level.index(label) for label in patches.labels], np.intp)
    patches, truth = patches.take(np.flatnonzero(truth >= 0)), truth[truth >= 0]
    is_outside = np.array([source == outside for source in patches.sources])
    if is_outside.all() or not is_outside.any():
        raise UsageError(f"--outside {outside}: the centres are {', '.join(sorted(set(patches.sources)))}")
    here, there = np.flatnonzero(~is_outside), np.flatnonzero(is_outside)
    folds = list(folds_of(patch_origins(patches.take(here)), str(plan.folds)).values())
    rows: list[tuple[Cell, ...]] = []
    confusions = []
    for name, init in starts.items():
        features, seconds = features_of(patches, init, *network, pick_device("auto"))
        everything = Set(level, features, truth, patches.groups)
        inside, beyond = everything.take(here), everything.take(there)
        for percent in plan.fractions:
            result = probed(inside, beyond, folds, percent, plan)
            rows.append((name, f"{percent:g}", *result.cells(), seconds * result.labels))
            print(" ".join(f"{c:.3f}" if isinstance(c, float) else str(c) for c in rows[-1]), flush=True)
            if percent == 100:
                confusions.append(confusion_table(name, result.inside))
    measures = [
        c for what in ("balanced accuracy", "macro F1", "left-out AUC") for c in (what, "low", "high")
    ]
    columns = ("start", "labels %", "labels", *measures, "CPU s an epoch")
    title = f"Linear probe, {level.title}, {network[0]} at {network[1]} px, outside {outside}"
    return [Table("labels", title, columns, tuple(rows)), *confusions]


def main() -> None:
    """Print the table, and write it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--crops", type=Path, required=True, help="folder of tight crops")
    parser.add_argument("--labels", type=Path, required=True, help="CSV of name, label, slide, centre")
    parser.add_argument("--outside", required=True, help="centre that is only scored")
    parser.add_argument(
        "--start", action="append", required=True, metavar="NAME=INIT", help="as --init of a training"
    )
    parser.add_argument("--level", choices=PROBED, default=STATE.name, help="what is told apart")
    parser.add_argument("--backbone", default="resnet34")
    parser.add_argument("--edge", type=int, default=224, help="of the network's input, px")
    parser.add_argument(
        "--fractions", type=float, nargs="+", default=Plan.fractions, help="percent of the labels"
    )
    parser.add_argument("--folds", type=int, default=Plan.folds)
    parser.add_argument("--draws", type=int, default=Plan.draws, help="of every fraction under 100")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--out", type=Path, required=True, help="folder for labels.csv and scores.md")
    given = parser.parse_args()
    use_available_threads(given.threads)
    patches = read_crop_folder(given.crops, given.labels, None)
    starts = dict(start.split("=", 1) for start in given.start)
    plan = Plan(tuple(given.fractions), given.folds, given.draws)
    network = (given.backbone, given.edge)
    tables = label_tables(patches, PROBED[given.level], given.outside, starts, network, plan)
    for table in tables:
        write_atomic(given.out / f"{table.name}.csv", table.csv_bytes())
    text = Evaluation("Label fractions", tuple(tables)).markdown()
    write_atomic(given.out / "scores.md", text.encode())
    print(text)


if __name__ == "__main__":
    main()
