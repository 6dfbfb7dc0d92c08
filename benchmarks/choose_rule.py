"""Which score rule, which cut and which threshold: a table over all of them, on slides kept for choosing.

    gloinone run validation/ out/ --min-score 0 --no-masks --no-crops
    python -m benchmarks.choose_rule out/ truth/ --unlabelled docs/weights/unlabelled.csv

Run it on validation slides only: what is chosen in view of a slide is no longer measured on it. Per rule and cut:
threshold and kept_log_odds for the card, and with them AP50, AP .50:.90, recall, precision and F1. F1 is nearly flat
around its best, so the threshold is the median of the best ones on 200 draws of as many slides, with replacement,
unless --threshold names another one. With --classifier and --detector what the classifier's own rule gets goes on
the detector's card: the threshold that a training leaves there is of the detector alone. Glomeruli that nobody outlined
count as false, which makes it too high; --unlabelled lists those that are to be ignored.
"""

import argparse
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
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
from gloinone.pipeline.stages import decision_of
from gloinone.weights.card import card_to_json, read_card
from gloinone.weights.store import ModelPaths, write_whole

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


@dataclass(frozen=True)
class Chosen:
    """A rule's threshold, and the scores that a run with it would have."""

    threshold: float
    kept_log_odds: float | None
    images: tuple[CircleImage, ...]

    def row(self, combination: str, cut: float) -> str:
        """Of the table."""
        usual = "" if self.kept_log_odds is None else f"{self.kept_log_odds:.3f}"
        at = at_threshold(self.images, self.threshold)
        f1 = 2 * at.recall * at.precision / max(at.recall + at.precision, 1e-9)
        return (
            f"{combination:10} {cut:4.2f} {self.threshold:9.3f} {usual:>13} {average_precision(self.images):6.3f} "
            f"{mean_average_precision(self.images):6.3f} {at.recall:6.3f} {at.precision:9.3f} {f1:6.3f}"
        )


def choose(slides: Sequence[Ranked], threshold: float | None) -> Chosen:
    """``threshold``: instead of the steady one."""
    images = [slide.image for slide in slides]
    at = steady_threshold(images) if threshold is None else threshold
    usual = mean_log_odds([score for slide in slides for score in slide.kept(at)])
    levelled = images if usual is None else [slide.levelled(at, usual) for slide in slides]
    return Chosen(at, usual, tuple(levelled))


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
    parser.add_argument("--classifier", type=Path, help="its folder: the rule and cut on its card alone")
    parser.add_argument(
        "--detector", type=Path, help="its folder: the threshold and kept_log_odds go on its card"
    )
    given = parser.parse_args()
    if given.detector and not given.classifier:
        parser.error("--detector: whose rule? name the classifier with --classifier")
    rules: Iterable[tuple[str, float]] = product(SCORE_COMBINATIONS, CUTS)
    if given.classifier:
        rule, combination = decision_of(read_card(ModelPaths(given.classifier).card))
        rules = [(combination, rule.nonglomerular_cut)]
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
    for combination, cut in rules:
        slides = [ranked(rows, truths[name], combination, cut) for name, rows in tables.items()]
        chosen = choose(slides, given.threshold)
        print(chosen.row(combination, cut))
    if given.detector:
        paths = ModelPaths(given.detector)
        card = replace(read_card(paths.card), threshold=chosen.threshold, kept_log_odds=chosen.kept_log_odds)
        write_whole(paths.card, card_to_json(card).encode())


if __name__ == "__main__":
    main()
