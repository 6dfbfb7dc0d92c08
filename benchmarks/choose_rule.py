"""Which score rule, which cut and which threshold: a table over all of them, on slides kept for choosing.

    gloinone run validation/ out/ --min-score 0 --no-masks --no-crops
    python -m benchmarks.choose_rule out/ truth/

Run it on validation slides only: what is chosen in view of a slide is no longer measured on it. Per rule and cut:
threshold and kept_log_odds for the card, and with them AP50, AP .50:.90, recall, precision and F1. F1 is nearly flat
around its best, so the threshold is the median of the best ones on 200 draws of as many slides, with replacement,
unless --threshold names another one.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from gloinone.annotations.columns import CIRCLES
from gloinone.annotations.csv_text import Value, read_table
from gloinone.annotations.tables import PROBABILITY_COLUMNS
from gloinone.annotations.truth import find_truth, read_truth
from gloinone.labels import SCORE_COMBINATIONS, combined_score, p_nonglomerular
from gloinone.levelling import Level, kept_log_odds, raised, shift_of
from gloinone.metrics import CircleImage, at_threshold, average_precision, best_f1, mean_average_precision

CUTS = (0.5, 0.8, 0.9, 0.95, 0.98, 1.01)
"""Of p_nonglomerular; the last keeps everything."""
DRAWS = 200


def ranked(rows: Sequence[Mapping[str, Value]], truth: Path, combination: str, cut: float) -> CircleImage:
    """A slide's circles that a rule keeps, with its scores."""
    circles = []
    for row in rows:
        p = [float(str(row[c])) for c in PROBABILITY_COLUMNS]
        if p_nonglomerular(p) < cut:
            score = combined_score(float(str(row["det_score"])), p, combination)
            circles.append([*(float(str(row[c])) for c in ("x", "y", "radius")), score])
    known = read_truth(truth)
    return CircleImage(np.array(circles).reshape(-1, 4), known.circles(), known.ignored_circles())


def steady_threshold(images: Sequence[CircleImage]) -> float:
    """Median of the thresholds of best F1 on redrawn slides, the same draws each time."""
    rng = np.random.default_rng(0)
    draws = rng.integers(len(images), size=(DRAWS, len(images)))
    return float(np.median([best_f1([images[i] for i in draw])[0] for draw in draws]))


def levelled(image: CircleImage, level: Level) -> CircleImage:
    """With the scores that a run would give its circles."""
    scores = image.predicted[:, 3].tolist()
    shift = shift_of(scores, level)
    circles = image.predicted.copy()
    circles[:, 3] = [raised(score, shift) for score in scores]
    return replace(image, predicted=circles)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="OUT of a run")
    parser.add_argument("truth", type=Path, help="folder of truth files named as the slides")
    parser.add_argument("--threshold", type=float, help="use this one, choose rule and cut alone")
    given = parser.parse_args()
    tables = {
        path.parent.relative_to(given.out / "slides").as_posix(): read_table(path, CIRCLES)
        for path in sorted((given.out / "slides").rglob("circles.csv"))
    }
    truths = {name: find_truth(name, given.truth) for name in tables}
    print(f"{len(tables)} slides")
    print(
        f"{'rule':10} {'cut':>4} {'threshold':>9} {'kept_log_odds':>13} {'AP50':>6} {'AP':>6} {'recall':>6} "
        f"{'precision':>9} {'F1':>6}"
    )
    for combination in SCORE_COMBINATIONS:
        for cut in CUTS:
            images = [ranked(rows, truths[name], combination, cut) for name, rows in tables.items()]
            threshold = steady_threshold(images) if given.threshold is None else given.threshold
            usual = kept_log_odds(np.concatenate([image.predicted[:, 3] for image in images]), threshold)
            if usual is not None:
                images = [levelled(image, Level(threshold, usual)) for image in images]
            at = at_threshold(images, threshold)
            f1 = 2 * at.recall * at.precision / max(at.recall + at.precision, 1e-9)
            print(
                f"{combination:10} {cut:4.2f} {threshold:9.3f} {'' if usual is None else f'{usual:.3f}':>13} "
                f"{average_precision(images):6.3f} {mean_average_precision(images):6.3f} {at.recall:6.3f} "
                f"{at.precision:9.3f} {f1:6.3f}"
            )


if __name__ == "__main__":
    main()
