"""A hospital that neither detector nor classifier ever saw: both trained on all other sources, run and scored on it.

    python -m benchmarks.left_out hubmap DATA --init resnet34.safetensors --out OUT

DATA is the folder that docs/weights.md calls $D. Its sources are hubmap, biopsies-he, h1, h2, fields (one of these is
left out) and aidpath-tiles; two drawn slides are added. The detector starts from ImageNet weights, the classifier from
the detector's backbone; its non-glomeruli are the detector's false circles on the slides it was trained on. The
validation slides choose the threshold of both together. Each command is printed before it is run; a second call goes on
where the first was stopped. The scores lie in OUT/scores.

docs/weights/unlabelled.csv, found with detectors that saw all hospitals, says which glomeruli of the training slides
nobody outlined; of the hospital left out it gives every score a second time, with its circles ignored.
"""

import argparse
import csv
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from gloinone.cli.names import read_names

WEIGHTS = Path(__file__).parents[1] / "docs/weights"
UNLABELLED = WEIGHTS / "unlabelled.csv"
VALIDATION = WEIGHTS / "validation.txt"
CROPS_VALIDATION = ("SAS_21883_001", "SAS_21937_001", "SESCAM_6_0", "SESCAM_9_0", "VUHSK_1352", "VUHSK_1432")
"""Slides of aidpath-crops to choose the classifier by."""
PICTURES = (".tif", ".jpg", ".png")
TILES, TILES_MPP = "aidpath-tiles", "0.5"
DRAWN, DRAWN_LEARNED = "drawn", ("drawn-01", "drawn-02")
SILVER = "03"
"""Of stain-references: how the one begins that nothing must have seen where fields are left out."""


@dataclass(frozen=True)
class Source:
    """Slides of one hospital, within DATA."""

    slides: str
    truth: str
    prefix: str = ""
    """Of the names of its slides."""


SOURCES = {
    "hubmap": Source("hubmap-wsi", "hubmap-wsi"),
    "biopsies-he": Source("biopsies-he", "biopsies-he"),
    "h1": Source("regions-he", "regions-he", "h1-"),
    "h2": Source("regions-he", "regions-he", "h2-"),
    "fields": Source("fields", "fields"),
    TILES: Source("aidpath-tiles/images", "aidpath-tiles/masks"),
}
HOSPITALS = tuple(name for name in SOURCES if name != TILES)


@dataclass(frozen=True)
class Folder:
    """A source laid out as the commands take it."""

    slides: Path
    truth: Path
    table: Path | None = None
    """For --mpp-csv; None: the slides say it themselves."""


@dataclass(frozen=True)
class Step:
    """A command of the chain."""

    command: tuple[str, ...]
    done: Path | None = None
    """There when it need not be called again; None: it resumes by itself."""

    def call(self) -> None:
        """Print and run it. Raises CalledProcessError where it fails."""
        if self.done is not None and self.done.exists():
            return
        print(shlex.join(self.command), flush=True)
        name, *options = self.command
        module = "gloinone.cli.main" if name == "gloinone" else name
        subprocess.run([sys.executable, "-m", module, *options], check=True)


@dataclass(frozen=True)
class Plan:
    """What is trained how, and where it is written."""

    out: Path
    init: Path
    steps: int
    classifier_steps: int
    seed: int
    crops: Path
    """aidpath-crops."""
    stains: Path
    validation: tuple[str, ...]
    """Slides and patients to choose by."""


def link(paths: Iterable[Path], folder: Path) -> Path:
    """The folder, with links to these files alone."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in paths:
        if not (folder / path.name).is_symlink():
            (folder / path.name).symlink_to(path.resolve())
    return folder


def pictures(folder: Path, prefix: str = "") -> list[Path]:
    """Of slides or stains, sorted."""
    return sorted(p for p in folder.iterdir() if p.suffix in PICTURES and p.name.startswith(prefix))


def lay_out(name: str, data: Path, out: Path) -> Folder:
    """Links to a source's slides, and the table of their resolutions and patients."""
    source = SOURCES[name]
    slides = pictures(data / source.slides, source.prefix)
    folder = link(slides, out / name)
    if name == TILES:
        rows = [(path.name, TILES_MPP, path.stem) for path in slides]
    else:
        rows = list(resolutions(data / source.slides / "slides.csv", {path.name for path in slides}))
    if not rows:
        return Folder(folder, data / source.truth)
    return Folder(folder, data / source.truth, write_table(out / f"{name}.csv", rows))


def write_table(path: Path, rows: Iterable[tuple[str, str, str]]) -> Path:
    """As --mpp-csv takes it."""
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([("slide", "mpp", "patient"), *rows])
    return path


def resolutions(table: Path, slides: set[str]) -> Iterator[tuple[str, str, str]]:
    """Slide, mpp and patient of these slides; nothing where there is no table."""
    if table.is_file():
        with table.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                if row["slide"] in slides:
                    yield row["slide"], row["mpp"], row["patient"]


def draw(folder: Path) -> Folder:
    """The drawn slides that are learned from."""
    everything = folder.with_name("drawn-all")
    Step(("benchmarks.draw_training_slides", str(everything)), done=folder).call()
    if everything.is_dir():
        link((p for p in everything.iterdir() if p.name.startswith(DRAWN_LEARNED)), folder)
    return Folder(folder, folder)


def validation_of(names: Iterable[str], left_out: Iterable[str]) -> tuple[str, ...]:
    """Slides and patients to choose by; ``left_out``: file names of the hospital's slides.

    >>> validation_of(["biopsy-008", "h1-s4", "p20"], ["h1-s3-r1.jpg", "h1-s4-r1.jpg"])
    ('biopsy-008', 'p20')
    """
    slides = tuple(left_out)
    return tuple(name for name in sorted(names) if not any(slide.startswith(name) for slide in slides))


def repeated(option: str, values: Iterable[str]) -> list[str]:
    """The option once for each value."""
    return [word for value in values for word in (option, value)]


def together(names: tuple[str, ...], sources: Iterable[Folder], out: Path) -> Folder:
    """Links to these slides of all sources, and their truth."""
    rows: list[tuple[str, str, str]] = []
    slides, truth = out / "validation", out / "validation-truth"
    for source in sources:
        link((p for p in pictures(source.slides) if p.name.startswith(names)), slides)
        link(
            (p for p in source.truth.iterdir() if p.suffix == ".geojson" and p.name.startswith(names)), truth
        )
        if source.table:
            rows += resolutions(source.table, {path.name for path in slides.iterdir()})
    return Folder(slides, truth, write_table(out / "validation.csv", rows))


def training(
    task: str, plan: Plan, learned: Mapping[str, Folder], init: Path, steps: int, rate: str, *more: str
) -> Step:
    """Of a detector or classifier on these sources."""
    folders = [
        word
        for folder in learned.values()
        for word in (
            *("--slides", str(folder.slides), "--truth", str(folder.truth)),
            *("--mpp-csv", str(folder.table or "-")),
        )
    ]
    model = plan.out / task
    command = (
        *("gloinone", "train", task, *folders, "--complete", "yes", "--unlabelled", str(UNLABELLED)),
        *("--stains", str(plan.stains), *repeated("--val", plan.validation), "--init", str(init)),
        *("--rate", rate, "--steps", str(steps), "--validate-every", str(steps), "--seed", str(plan.seed)),
        *("--out", str(model), *more),
    )
    return Step(command, done=model / "card.json")


def running(folder: Folder, out: Path, *more: str) -> Step:
    """A run on a source."""
    table = ["--mpp-csv", str(folder.table)] if folder.table else []
    return Step(("gloinone", "run", str(folder.slides), str(out), *table, "--no-crops", "--no-masks", *more))


def chain(plan: Plan, learned: Mapping[str, Folder], scored: Folder) -> Iterator[Step]:
    """Train both, run and score them; ``learned``: the drawn slides too."""
    detector, classifier = plan.out / "detector", plan.out / "classifier"
    yield training("detector", plan, learned, plan.init, plan.steps, "6e-4", "--edge", "288")
    found = {name: plan.out / "found" / name for name in learned if name != DRAWN}
    for name, out in found.items():
        yield running(learned[name], out, "--detector", str(detector))
    crops = (
        *("--crops", str(plan.crops / "images"), "--labels", str(plan.crops / "labels.csv")),
        *("--masks", str(plan.crops / "masks"), *repeated("--val", CROPS_VALIDATION)),
        *repeated("--false-circles", (str(found.get(name, "-")) for name in learned)),
        *("--edge", "160", "--backbone", "resnet34"),
    )
    yield training("classifier", plan, learned, detector, plan.classifier_steps, "3e-4", *crops)
    judged = together(plan.validation, learned.values(), plan.out / "sources")
    chosen, results = plan.out / "chosen", plan.out / "results"
    both = ("--detector", str(detector), "--classifier", str(classifier))
    yield running(judged, chosen, "--min-score", "0", *both)
    # A copy: a card that changed would make the runs above those of another detector
    suited = shutil.copytree(
        detector, plan.out / "suited", dirs_exist_ok=True, ignore=shutil.ignore_patterns("cache")
    )
    both = ("--detector", str(suited), "--classifier", str(classifier))
    choice = ("benchmarks.choose_rule", str(chosen), str(judged.truth), "--unlabelled", str(UNLABELLED))
    yield Step((*choice, *both))
    yield running(scored, results, *both)
    command = ("gloinone", "evaluate", "run", str(results), str(scored.truth))
    yield Step((*command, "--unlabelled", str(UNLABELLED), "--out", str(plan.out / "scores")))


def main() -> None:
    """Lay the sources out and go through the chain."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", choices=HOSPITALS, help="is left out")
    parser.add_argument("data", type=Path, help="the folder of the sources")
    parser.add_argument("--init", type=Path, required=True, help="ImageNet weights of a ResNet-34")
    parser.add_argument("--steps", type=int, default=1600, help="of the detector; default: %(default)s")
    parser.add_argument(
        "--classifier-steps", type=int, default=700, help="of the classifier; default: %(default)s"
    )
    parser.add_argument("--seed", type=int, default=0, help="of both trainings; default: %(default)s")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    sources = {name: lay_out(name, given.data, given.out / "sources") for name in SOURCES}
    scored = sources.pop(given.source)
    sources[DRAWN] = draw(given.out / "sources" / DRAWN)
    stains = pictures(given.data / "stain-references")
    if given.source == "fields":
        stains = [path for path in stains if not path.name.startswith(SILVER)]
    plan = Plan(
        given.out,
        given.init,
        given.steps,
        given.classifier_steps,
        given.seed,
        crops=given.data / "aidpath-crops",
        stains=link(stains, given.out / "stains"),
        validation=validation_of(read_names((str(VALIDATION),)), (p.name for p in scored.slides.iterdir())),
    )
    for step in chain(plan, sources, scored):
        step.call()


if __name__ == "__main__":
    main()
