"""What a detector gains on some slides by being adapted to each of them, and by looking more than once.

    python -m benchmarks.adapting MODEL CACHE --slide pas-a.tif --prior none --prior 4 --floor 0.02
    python -m benchmarks.adapting MODEL CACHE --slide pas-a.tif --prior 4 --scales 1 --scales 1,0.8,1.25 --floor 0.02

MODEL is a folder with weights.safetensors and card.json, CACHE that of a `gloinone train detector` which read the
slides; held-out ones are in it too. Each prior is a `norm_prior` of the card (none: as taught), each of the scales its
`scales` (the card's unless given). The detector alone, with the cache's ignored circles: AP50, AP .50:.90, the score of
the best F1, by which low scores can be told, and seconds of the processor.
"""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

from gloinone.detection.build import build_detector, detect_config
from gloinone.detection.cases import Case, load_case
from gloinone.detection.predict import Detector
from gloinone.detection.validate import predict_case, score
from gloinone.errors import UsageError
from gloinone.learning.device import pick_device
from gloinone.weights.card import read_card
from gloinone.weights.store import ModelPaths, load_state


def cached(cache: Path, names: Sequence[str]) -> list[Case]:
    """The newest entry of each name, in their order. Raises UsageError for a name that is not there."""
    keys = {}
    for path in sorted(cache.glob("[!.]*.json"), key=lambda path: path.stat().st_mtime_ns):
        keys[json.loads(path.read_text(encoding="utf-8"))["name"]] = path.stem
    if missing := [name for name in names if name not in keys]:
        raise UsageError(
            f"{cache}: has no {', '.join(missing)}; it has {', '.join(sorted(keys)) or 'nothing'}"
        )
    found = [load_case(cache, keys[name]) for name in names]
    return [case for case in found if case is not None]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("cache", type=Path)
    parser.add_argument("--slide", action="append", required=True)
    parser.add_argument("--prior", action="append", required=True)
    parser.add_argument("--scales", action="append")
    parser.add_argument("--floor", type=float, help="least score of a circle; the card's unless given")
    given = parser.parse_args(arguments)
    paths = ModelPaths(given.model)
    card = read_card(paths.card)
    cases = cached(given.cache, given.slide)
    taught = build_detector(card, load_state(paths, card), pick_device("auto"))
    print(f"{len(cases)} slides, {sum(len(case.circles) for case in cases)} glomeruli")
    print(f"{'prior':>8} {'scales':>14} {'AP50':>6} {'AP':>6} {'best at':>8} {'s':>6}")
    floor = taught.config.floor if given.floor is None else given.floor
    usual = ",".join(f"{scale:g}" for scale in taught.config.scales)
    for said, looks in product(given.prior, given.scales or [usual]):
        prior = None if said == "none" else float(said)
        scales = tuple(float(scale) for scale in looks.split(","))
        asked = replace(card, floor=floor, deepest_floor=None, norm_prior=prior, scales=scales)
        detector = Detector(taught.network, detect_config(asked), taught.device)
        began = time.process_time()
        found = score([predict_case(case, detector) for case in cases])
        spent = time.process_time() - began
        print(f"{said:>8} {looks:>14} {found.ap50:6.3f} {found.ap:6.3f} {found.best_score:8.3f} {spent:6.0f}")


if __name__ == "__main__":
    main()
