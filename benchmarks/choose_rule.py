"""Which score rule, which cut and which threshold: a table over all of them, on slides kept for choosing.

    gloinone run validation/ out/ --min-score 0 --no-masks --no-crops
    python -m benchmarks.choose_rule out/ truth/ --unlabelled docs/weights/unlabelled.csv

Run it on validation slides only: what is chosen in view of a slide is no longer measured on it. Per rule and cut:
threshold and kept_log_odds for the card, and with them AP50, AP .50:.90, recall, precision and F1. F1 is nearly flat
around its best, so the threshold is the median of the best ones on 200 draws of as many slides, with replacement,
unless --threshold names another one. Glomeruli that nobody outlined count as false, which makes it too high;
--unlabelled lists those that are to be ignored.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from gloinone.annotations.columns import CIRCLES
from gloinone.annotations.csv_text import Value, read_table
from gloinone.annotations.tables import PROBABILITY_COLUMNS
from gloinone.annotations.truth import find_truth, read_truth
from gloinone.annotations.unlabelled import read_unlabelled
from gloinone.labels import SCORE_COMBINATIONS, combined_score, p_nonglomerular
from gloinone.levelling import mean_log_odds, raised, shift_of
from gloinone.metrics import CircleImage, at_threshold, average_precision, best_f1, mean_average_precision

CUTS = (0.5, 0.8, 0.9, 0.95, 0.98, 1.01)
"""Of p_nonglomerular; the last keeps everything."""
DRAWS = 200


@dataclass(frozen=True)
class Ranked:
    """A slide's circles that a rule does not drop."""

    image: CircleImage
    """With the scores of the rule."""
    det_scores: NDArray[np.float64]
    """(N,) of the same circles."""

    def kept(self, threshold: float, shift: float = 0.0) -> list[float]:
        """`det_score` of those that reach it, their scores raised by so much."""
        reach = [raised(float(score), shift) >= threshold for score in self.image.predicted[:, 3]]
        return [float(score) for score in self.det_scores[reach]]

    def levelled(self, threshold: float, usual: float) -> CircleImage:
        """With the scores that a run would give the circles."""
        shift = shift_of(partial(self.kept, threshold), usual)
        circles = self.image.predicted.copy()
        circles[:, 3] = [raised(float(score), shift) for score in circles[:, 3]]
        return replace(self.image, predicted=circles)


def ranked(rows: Sequence[Mapping[str, Value]], truth: CircleImage, combination: str, cut: float) -> Ranked:
    """What a rule makes of a slide's circles; ``truth``: with any circles."""
    circles, det_scores = [], []
    for row in rows:
        p = [float(str(row[c])) for c in PROBABILITY_COLUMNS]
        if p_nonglomerular(p) < cut:
            det_scores.append(float(str(row["det_score"])))
            score = combined_score(det_scores[-1], p, combination)
            circles.append([*(float(str(row[c])) for c in ("x", "y", "radius")), score])
    return Ranked(replace(truth, predicted=np.array(circles).reshape(-1, 4)), np.array(det_scores))


def truth_of(slide: str, folder: Path, unlabelled: Mapping[str, NDArray[np.float64]]) -> CircleImage:
    """Nothing found, what is to be found, and what is ignored: ``unlabelled`` (name -> (N, 3) circles) too."""
    known = read_truth(find_truth(slide, folder))
    more = unlabelled.get(slide, unlabelled.get(PurePosixPath(slide).name, np.zeros((0, 3))))
    ignored = np.concatenate([known.ignored_circles(), more])
    return CircleImage(np.zeros((0, 4)), known.circles(), ignored)


def steady_threshold(images: Sequence[CircleImage]) -> float:
    """Median of the thresholds of best F1 on redrawn slides, the same draws each time."""
    rng = np.random.default_rng(0)
    draws = rng.integers(len(images), size=(DRAWS, len(images)))
    return float(np.median([best_f1([images[i] for i in draw])[0] for draw in draws]))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="OUT of a run")
    parser.add_argument("truth", type=Path, help="folder of truth files named as the slides")
    parser.add_argument("--threshold", type=float, help="use this one, choose rule and cut alone")
    parser.add_argument(
        "--unlabelled", type=Path, help="CSV slide,x,y,radius of glomeruli without an outline"
    )
    given = parser.parse_args()
    unlabelled = read_unlabelled(given.unlabelled) if given.unlabelled else {}
    tables = {
        path.parent.relative_to(given.out / "slides").as_posix(): read_table(path, CIRCLES)
        for path in sorted((given.out / "slides").rglob("circles.csv"))
    }
    truths = {name: truth_of(name, given.truth, unlabelled) for name in tables}
    print(f"{len(tables)} slides")
    print(
        f"{'rule':10} {'cut':>4} {'threshold':>9} {'kept_log_odds':>13} {'AP50':>6} {'AP':>6} {'recall':>6} "
        f"{'precision':>9} {'F1':>6}"
    )
    for combination in SCORE_COMBINATIONS:
        for cut in CUTS:
            slides = [ranked(rows, truths[name], combination, cut) for name, rows in tables.items()]
            images = [slide.image for slide in slides]
            threshold = steady_threshold(images) if given.threshold is None else given.threshold
            usual = mean_log_odds([score for slide in slides for score in slide.kept(threshold)])
            if usual is not None:
                images = [slide.levelled(threshold, usual) for slide in slides]
            at = at_threshold(images, threshold)
            f1 = 2 * at.recall * at.precision / max(at.recall + at.precision, 1e-9)
            print(
                f"{combination:10} {cut:4.2f} {threshold:9.3f} {'' if usual is None else f'{usual:.3f}':>13} "
                f"{average_precision(images):6.3f} {mean_average_precision(images):6.3f} {at.recall:6.3f} "
                f"{at.precision:9.3f} {f1:6.3f}"
            )


if __name__ == "__main__":
    main()
