"""Whether the classifier's disagreement with itself tells which glomeruli are wrong, and what asking it costs.

    python -m benchmarks.spread OUT TRUTH [--groups slides.csv]

OUT is a finished run with its crops. The classifier sees every kept glomerulus in the four views of `--tta`; printed
is the area under the curve of risk and coverage by what is known without that (near_cut), by how far the views'
answers lie apart, by both together, and by near_cut of the views' mean; less is better.
"""

import argparse
import time
from pathlib import Path

import cv2
import numpy as np

from gloinone.annotations.tables import PROBABILITY_COLUMNS
from gloinone.classification.build import build_classifier
from gloinone.classification.scores import sclerosed_share
from gloinone.detection.views import TTA_VIEWS, View
from gloinone.evaluation.groups import read_groups
from gloinone.evaluation.risk import Doubted, area_under_risk, doubted_of_run
from gloinone.evaluation.run_output import Row, load_run
from gloinone.evaluation.tables import scored
from gloinone.labels import ClassRule
from gloinone.learning.device import pick_device, use_available_threads
from gloinone.metrics import Floats
from gloinone.pipeline.distrust import nearness
from gloinone.pipeline.stages import Networks, StagesConfig
from gloinone.records import Candidate, Detection, Pixels, Window
from gloinone.weights.store import load_state


def seen(picture: Pixels, view: View) -> Pixels:
    """Of a square."""
    turned = np.rot90(picture, view.turns)
    return np.ascontiguousarray(turned[:, ::-1] if view.mirrored else turned)


def near(row: Row, p: Floats, min_score: float, rule: ClassRule) -> float:
    """near_cut of a glomerulus if the classifier had said ``p``."""
    said = Candidate(
        Detection(0, 0, 1, float(str(row["det_score"]))),
        tuple(float(v) for v in p),  # type: ignore[arg-type]
        float(str(row["score"])),
        str(row["class"]),
        Window(0, 0, 1, 1, 1, 1),
    )
    return nearness(said, min_score, rule)


def tell(doubted: Doubted, views: Floats, networks: Networks) -> None:
    """``views``: (V, N, 5)."""
    rule = networks.model_cards["classifier"].class_rule
    assert rule is not None
    shares = np.array([sclerosed_share(p) for p in views])
    spread = np.maximum(np.ptp(views[:, :, 4], axis=0), np.ptp(shares, axis=0))
    first = doubted.rank("near_cut")
    mean = views.mean(axis=0)
    ranks = {
        "random order": np.zeros(len(first)),
        "near_cut": first,
        "spread of the views": spread,
        "the larger of both": np.maximum(first, spread),
        "near_cut + spread": first + spread,
        "near_cut of the views' mean": np.array(
            [near(row, p, networks.min_score, rule) for row, p in zip(doubted.rows, mean, strict=True)]
        ),
    }
    for name, rank in ranks.items():
        row = scored(name, lambda i, r=rank: area_under_risk(doubted.wrong[i], r[i]), doubted.groups)  # type: ignore[misc]
        less = scored(
            name,
            lambda i, r=rank: (
                area_under_risk(doubted.wrong[i], r[i]) - area_under_risk(doubted.wrong[i], first[i])
            ),  # type: ignore[misc]
            doubted.groups,
        )
        print(
            f"{name:<30} {row.value:.3f} ({row.low:.3f} to {row.high:.3f}); "
            f"less near_cut {less.value:+.3f} ({less.low:+.3f} to {less.high:+.3f})"
        )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("truth", type=Path)
    parser.add_argument("--groups", type=Path)
    options = parser.parse_args()
    use_available_threads()
    networks = Networks(StagesConfig())
    card = networks.model_cards["classifier"]
    classifier = build_classifier(card, load_state(networks.paths["classifier"], card), pick_device("cpu"))
    doubted = doubted_of_run(load_run(options.out, options.truth, groups=read_groups(options.groups)))
    files = [options.out / str(row["crop"]) for row in doubted.rows]
    crops = [np.asarray(cv2.imread(str(file), cv2.IMREAD_COLOR_RGB), np.uint8) for file in files]
    began = time.process_time()
    views = [classifier.probabilities([seen(crop, view) for crop in crops]) for view in TTA_VIEWS]
    seconds = (time.process_time() - began) / len(TTA_VIEWS) / len(crops)
    of_run = np.array([[float(str(row[name])) for name in PROBABILITY_COLUMNS] for row in doubted.rows])
    print(
        f"{len(crops)} glomeruli, {int(doubted.wrong.sum())} wrong; a view of one costs {1000 * seconds:.0f} ms"
    )
    print(f"the first view is the run's to within {np.abs(views[0] - of_run).max():.6f}")
    tell(doubted, np.array(views), networks)


if __name__ == "__main__":
    main()
