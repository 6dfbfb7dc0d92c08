"""How unlike the training slides a slide looks to the classifier: which of its features tell, and how far is too far.

    python -m benchmarks.features --cache CACHE [--write]
    python -m benchmarks.features --run OUT SLIDES

CACHE is the --cache of a `train classifier` of the project's slides; those of docs/weights/validation.txt, and whatever
--val adds, are held out; drawn slides are left aside. For each stage of the network, from the first to the last: the
median distance of held-out slides as they are, blurred (sigma 5 px of a crop's 256) and with blue for red and green,
how often a faulty one lies farther than a sound one (AUC), and how many lie beyond the limit, the 99th percentile of
the sound. ``--write``: the first stage's numbers beside the shipped classifier, and the limit on its card.

OUT is a finished run of SLIDES. For each slide: the distance of up to 40 of its circles over the limit on the shipped
classifier's card, as they are and blue.
"""

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch

from benchmarks.flags import blurred
from gloinone.classification.build import build_classifier
from gloinone.classification.make import detected_crops
from gloinone.classification.predict import Classifier
from gloinone.evaluation.run_output import circles_of, read_summary, results
from gloinone.learning.device import use_available_threads
from gloinone.learning.fit import fit_picture
from gloinone.learning.patches import Patches, load_patches, some_of_each_slide
from gloinone.metrics import auc
from gloinone.records import Pixels
from gloinone.slide.crops import read_crops
from gloinone.slide.light import lit
from gloinone.slide.reader import open_slide
from gloinone.slide.resolution import Resolution
from gloinone.slide.tissue import tissue_overview
from gloinone.weights.card import card_to_json, read_card
from gloinone.weights.features import Floats, KnownFeatures, fit_features, load_features, save_features
from gloinone.weights.store import ModelPaths, find_model, load_state, model_dirs, write_whole

VALIDATION = Path(__file__).parents[1] / "docs/weights/validation.txt"
CIRCLES = 40
"""Of a slide of a run, at most."""
FAULTS: dict[str, Callable[[Pixels], Pixels]] = {
    "as it is": lambda crop: crop,
    "blue": lambda crop: np.ascontiguousarray(crop[..., [1, 2, 0]]),
    "blurred": lambda crop: blurred(crop, 5.0, 1.0),
}


def stages_of(classifier: Classifier, crops: list[Pixels]) -> list[Floats]:
    """(N, C) of each stage of the network, first to last."""
    network, card = classifier.network, classifier.card
    rows = []
    for crop in crops:
        image = fit_picture(crop, card.edge_px, card.channels).transpose(2, 0, 1)
        with torch.inference_mode():
            maps = network.backbone(network.normalise(torch.from_numpy(image.copy())[None]))
        rows.append([m.mean(dim=(2, 3))[0].double().numpy() for m in maps])
    return [np.array(stage) for stage in zip(*rows, strict=True)]


def slides_of(
    classifier: Classifier, patches: Patches, held_out: set[str]
) -> tuple[list[list[Floats]], dict[str, list[list[Floats]]]]:
    """Of each training slide its stages; of each held-out slide too, under each fault."""
    known: list[list[Floats]] = []
    faulty: dict[str, list[list[Floats]]] = {name: [] for name in FAULTS}
    for own in some_of_each_slide(patches):
        crops = detected_crops(patches, own)
        if {patches.slides[own[0]], patches.groups[own[0]]} & held_out:
            for name, fault in FAULTS.items():
                faulty[name].append(stages_of(classifier, [fault(crop) for crop in crops]))
        else:
            known.append(stages_of(classifier, crops))
    return known, faulty


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--run", type=Path, nargs=2, metavar=("OUT", "SLIDES"))
    parser.add_argument("--val", action="append", default=[])
    parser.add_argument("--drawn", default="drawn", help="sources whose name begins so are left aside")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    use_available_threads()
    cv2.setNumThreads(1)
    paths = find_model("classifier", "classifier", model_dirs())
    card = read_card(paths.card)
    classifier = build_classifier(card, load_state(paths, card), torch.device("cpu"))
    if options.run:
        known = load_features(paths, card)
        assert known is not None
        tell_run(classifier, known, *options.run)
    if options.cache:
        tell_stages(classifier, paths, options)


def tell_run(classifier: Classifier, known: KnownFeatures, out: Path, slides: Path) -> None:
    """A line per slide."""
    for name, _, rows in results(out, (summary := read_summary(out)), frozenset()):
        some = circles_of(rows[:: max(1, -(-len(rows) // CIRCLES))], "det_score")
        with open_slide(slides / name, name, Resolution(float(str(summary[name]["mpp"])), "csv")) as slide:
            gain = tissue_overview(slide).gain
            crops = [lit(crop.pixels, gain) for crop in read_crops(slide, some, 1) if crop is not None]
        far = [
            known.unlikeness(classifier.logits_and_features([FAULTS[fault](crop) for crop in crops])[1])
            for fault in ("as it is", "blue")
        ]
        said = ["-" if away is None else f"{away:.2f}" for away in far]
        print(f"{name}: {len(crops)} circles, {said[0]} of the limit, blue {said[1]}", flush=True)


def tell_stages(classifier: Classifier, paths: ModelPaths, options: argparse.Namespace) -> None:
    """Of all slides of the cache."""
    card = classifier.card
    held_out = set(VALIDATION.read_text("utf-8").split()) | set(options.val)
    known: list[list[Floats]] = []
    faulty: dict[str, list[list[Floats]]] = {name: [] for name in FAULTS}
    for path in sorted(options.cache.glob("patches-*.npz")):
        patches = load_patches(path)
        if patches.sources[0].startswith(options.drawn):
            continue
        more, more_faulty = slides_of(classifier, patches, held_out)
        known += more
        for name, slides in more_faulty.items():
            faulty[name] += slides
        print(f"{', '.join(sorted(set(patches.sources)))}: {len(more)} and {len(slides)} slides", flush=True)
    for stage in range(len(known[0])):
        sound = [slide[stage] for slide in faulty["as it is"]]
        fitted = fit_features([slide[stage] for slide in known], sound)
        assert fitted is not None
        far = {
            name: np.array([d for s in slides if (d := fitted.distance(s[stage])) is not None])
            for name, slides in faulty.items()
        }
        print(f"stage {stage + 1}, {fitted.mean.size} features, limit {fitted.limit:.3f}")
        for name, away in far.items():
            both = np.concatenate([far["as it is"], away])
            told = auc(both, np.arange(len(both)) >= len(far["as it is"]))
            over = int((away >= fitted.limit).sum())
            print(f"  {name:<10} median {np.median(away):.2f}, AUC {told:.3f}, {over} of {len(away)} beyond")
        if options.write and stage == 0:
            card = replace(card, feature_limit=round(fitted.limit, 4))
            save_features(paths, fitted, card)
            write_whole(paths.card, card_to_json(card).encode())


if __name__ == "__main__":
    main()
