"""The label-fraction table: a linear probe on frozen features, with fewer and fewer of the labels.

    python -m benchmarks.paper_labels --crops crops/images --labels crops/labels.csv --outside SAS --edge 96 \\
        --start scratch=none --start ImageNet=resnet34.safetensors --start SimSiam=models/my-backbone --out table/

Normal against sclerosed. The patients are dealt out among folds; each fold's probe learns from a part of the other
patients' crops, so many of either class as their share says and at least one, and is scored on the fold, and on the
centre --outside, of which nothing was learned from. For each number of labels several draws are made and pooled.
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

from gloinone.classification.make import two_classes
from gloinone.classification.scores import balanced_accuracy
from gloinone.errors import UsageError
from gloinone.evaluation.tables import Cell, Evaluation, Score, Table, scored
from gloinone.labels import SCLEROSED
from gloinone.learning.backbones import Normalise, ResNetFeatures
from gloinone.learning.batches import fixed_batches
from gloinone.learning.device import autocast, pick_device, use_available_threads
from gloinone.learning.folds import folds_of
from gloinone.learning.patch_training import MEAN, STD, as_detected
from gloinone.learning.patches import Patches, cut_pixels, patch_origins
from gloinone.metrics import auc
from gloinone.pipeline.atomic import write_atomic
from gloinone.training.crop_patches import read_crop_folder
from gloinone.weights.starting import start

Floats = NDArray[np.float64]
Numbers = NDArray[np.intp]


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
    """Crops as a probe sees them."""

    features: Floats
    """(N, C)."""
    is_sclerosed: NDArray[np.bool_]
    patients: tuple[str, ...]

    def take(self, numbers: Numbers) -> "Set":
        """Those of the given numbers."""
        patients = tuple(self.patients[i] for i in numbers)
        return Set(self.features[numbers], self.is_sclerosed[numbers], patients)


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


def draw_labels(is_sclerosed: NDArray[np.bool_], percent: float, rng: np.random.Generator) -> Numbers:
    """Numbers of the crops whose label is known: that share of either class, at least one."""
    chosen = []
    for kind in (False, True):
        own = np.flatnonzero(is_sclerosed == kind)
        chosen.append(rng.permutation(own)[: max(1, round(len(own) * percent / 100))])
    return np.sort(np.concatenate(chosen))


def probe(learn: Set, others: Sequence[Set]) -> list[Floats]:
    """(N,) probability of sclerosis of each of the other sets."""
    model = make_pipeline(
        StandardScaler(), LogisticRegression(C=0.01, class_weight="balanced", max_iter=1000)
    )
    model.fit(learn.features, learn.is_sclerosed)
    return [model.predict_proba(other.features)[:, 1] for other in others]


def macro_f1(called: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """Mean of both classes' 2 hits / (called + truth); nan where one does not occur."""
    if truth.all() or not truth.any():
        return float("nan")
    both = [2 * (c & t).sum() / (c.sum() + t.sum()) for c, t in ((called, truth), (~called, ~truth))]
    return float(np.mean(both))


def probed(
    inside: Set, outside: Set, folds: Sequence[frozenset[str]], percent: float, plan: Plan
) -> list[Cell]:
    """Labels a probe had, then balanced accuracy, F1 and left-out AUC with their intervals."""
    found, items, beyond, sizes = [], [], [], []
    for draw in range(1 if percent == 100 else plan.draws):
        for number, patients in enumerate(folds):
            is_out = np.array([patient in patients for patient in inside.patients])
            rest, test = inside.take(np.flatnonzero(~is_out)), np.flatnonzero(is_out)
            rng = np.random.default_rng((draw, number, round(percent * 100)))
            learn = rest.take(draw_labels(rest.is_sclerosed, percent, rng))
            here, there = probe(learn, [inside.take(test), outside])
            found.append(here)
            items.append(test)
            beyond.append(there)
            sizes.append(len(learn.patients))
    pooled = inside.take(np.concatenate(items))
    called, truth = np.concatenate(found) >= 0.5, pooled.is_sclerosed

    def left_out_auc(i: Numbers) -> float:
        return float(np.mean([auc(scores[i], outside.is_sclerosed[i]) for scores in beyond]))

    rows = [
        scored("", lambda i: balanced_accuracy(called[i], truth[i]), pooled.patients),
        scored("", lambda i: macro_f1(called[i], truth[i]), pooled.patients),
        scored("", left_out_auc, outside.patients),
    ]
    return [round(float(np.mean(sizes))), *(v for row in rows for v in _values(row))]


def _values(score: Score) -> tuple[float, float, float]:
    return score.value, score.low, score.high


def label_table(
    patches: Patches, outside: str, starts: dict[str, str], network: tuple[str, int], plan: Plan
) -> Table:
    """A row for each start and fraction; ``network``: backbone and edge of its input, px."""
    is_outside = np.array([source == outside for source in patches.sources])
    if is_outside.all() or not is_outside.any():
        raise UsageError(f"--outside {outside}: the centres are {', '.join(sorted(set(patches.sources)))}")
    here, there = np.flatnonzero(~is_outside), np.flatnonzero(is_outside)
    folds = list(folds_of(patch_origins(patches.take(here)), str(plan.folds)).values())
    rows: list[tuple[Cell, ...]] = []
    for name, init in starts.items():
        features, seconds = features_of(patches, init, *network, pick_device("auto"))
        everything = Set(features, np.array([w == SCLEROSED for w in patches.labels]), patches.groups)
        inside, beyond = everything.take(here), everything.take(there)
        for percent in plan.fractions:
            cells = probed(inside, beyond, folds, percent, plan)
            rows.append((name, f"{percent:g}", *cells, seconds * float(cells[0])))
            print(" ".join(f"{c:.3f}" if isinstance(c, float) else str(c) for c in rows[-1]), flush=True)
    measures = [
        c for what in ("balanced accuracy", "macro F1", "left-out AUC") for c in (what, "low", "high")
    ]
    columns = ("start", "labels %", "labels", *measures, "CPU s an epoch")
    title = f"Linear probe, normal against sclerosed, {network[0]} at {network[1]} px, outside {outside}"
    return Table("labels", title, columns, tuple(rows))


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
    patches = two_classes(read_crop_folder(given.crops, given.labels, None))
    starts = dict(start.split("=", 1) for start in given.start)
    plan = Plan(tuple(given.fractions), given.folds, given.draws)
    table = label_table(patches, given.outside, starts, (given.backbone, given.edge), plan)
    write_atomic(given.out / "labels.csv", table.csv_bytes())
    write_atomic(given.out / "scores.md", Evaluation("Label fractions", (table,)).markdown().encode())
    print(table.markdown())


if __name__ == "__main__":
    main()
