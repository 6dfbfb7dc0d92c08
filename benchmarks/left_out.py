"""A hospital that neither detector nor classifier ever saw: both trained on all other sources, run and scored on it.

    python -m benchmarks.left_out hubmap DATA --out OUT

DATA is the folder that docs/weights.md calls $D; the sources are hubmap, biopsies-he, h1, h2, fields, aidpath-tiles and
two drawn slides, and the first four or fields can be left out. The detector starts from ImageNet weights; the
classifier, too, and its non-glomeruli are that detector's false circles on the slides it was trained on. Nothing that
ships has a say in either but the choice of slides. Each command is printed before it is run; a second call goes on
where the first was stopped. The scores lie in OUT/scores.
"""

import argparse
import csv
import shlex
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gloinone.cli.names import read_names

WEIGHTS = Path(__file__).parents[1] / "docs/weights"
UNLABELLED = WEIGHTS / "unlabelled.csv"
VALIDATION = WEIGHTS / "validation.txt"
CROPS_VALIDATION = ("SAS_21883_001", "SAS_21937_001", "SESCAM_6_0", "SESCAM_9_0", "VUHSK_1352", "VUHSK_1432")
"""Slides of aidpath-crops to choose the classifier by."""
PICTURES = (".tif", ".jpg", ".png")
DRAWN, TILES = "drawn", "aidpath-tiles"
TILES_MPP = "0.5"
SILVER = "03"
"""Of stain-references: the first letters of the one that a detector without fields must not have seen."""
DRAWN_LEARNED = ("drawn-01", "drawn-02")


@dataclass(frozen=True)
class Source:
    """Slides of one hospital, within DATA."""

    folder: str
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
    table: Path | None
    """For --mpp-csv."""

    def options(self) -> list[str]:
        """For a training."""
        table = str(self.table or "-")
        return ["--slides", str(self.slides), "--truth", str(self.truth), "--mpp-csv", table]


def lay_out(name: str, data: Path, out: Path) -> Folder:
    """Links to a source's slides, with its truth and the table of its resolutions."""
    source, slides = SOURCES[name], out / name
    slides.mkdir(parents=True, exist_ok=True)
    found = sorted(path for path in (data / source.folder).iterdir() if path.name.startswith(source.prefix))
    pictures = [path for path in found if path.suffix in PICTURES]
    for path in pictures:
        if not (slides / path.name).is_symlink():
            (slides / path.name).symlink_to(path.resolve())
    rows = list(resolutions(data / source.folder / "slides.csv", {path.name for path in pictures}))
    if name == TILES:
        rows = [(path.name, TILES_MPP, path.stem) for path in pictures]
    if rows:
        write_table(out / f"{name}.csv", rows)
    return Folder(slides, data / source.truth, out / f"{name}.csv" if rows else None)


def resolutions(path: Path, names: set[str]) -> Iterable[tuple[str, str, str]]:
    """Slide, mpp and patient of those slides; nothing where the slides say it themselves."""
    if path.is_file():
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                if row["slide"] in names:
                    yield row["slide"], row["mpp"], row["patient"]


def write_table(path: Path, rows: Iterable[tuple[str, str, str]]) -> None:
    """As --mpp-csv takes it."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("slide", "mpp", "patient"))
        writer.writerows(rows)


def validation_of(names: Iterable[str], left_out: Iterable[str]) -> list[str]:
    """Slides and patients to choose by; ``left_out``: file names of the hospital's slides.

    >>> validation_of(["biopsy-008", "h1-s4", "p20"], ["h1-s3-r1.jpg", "h1-s4-r1.jpg"])
    ['biopsy-008', 'p20']
    """
    slides = tuple(left_out)
    return [name for name in sorted(names) if not any(slide.startswith(name) for slide in slides)]


def stains_without(left_out: str, data: Path, out: Path) -> Path:
    """Pictures of stains; none of silver where fields, which are silver and trichrome, are left out."""
    stains = data / "stain-references"
    if left_out != "fields":
        return stains
    folder = out / "stains"
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(stains.iterdir()):
        if path.suffix in PICTURES and not path.name.startswith(SILVER):
            link = folder / path.name
            if not link.is_symlink():
                link.symlink_to(path.resolve())
    return folder


def call(*command: str) -> None:
    """Print and run it, and stop where it fails."""
    print(shlex.join(command), flush=True)
    program = "from gloinone.cli.main import main; main()"
    start = ["-c", program] if command[0] == "gloinone" else ["-m", command[0]]
    subprocess.run([sys.executable, *start, *command[1:]], check=True)


def draw(folder: Path) -> Folder:
    """The drawn slides that a detector learns from."""
    if not folder.is_dir():
        everything = folder.with_name("drawn-all")
        call("benchmarks.draw_training_slides", str(everything))
        folder.mkdir()
        for path in sorted(everything.iterdir()):
            if path.name.split(".")[0] in DRAWN_LEARNED:
                (folder / path.name).symlink_to(path.resolve())
    return Folder(folder, folder, None)


def repeated(option: str, values: Iterable[str]) -> list[str]:
    """The option once for each value."""
    return [word for value in values for word in (option, value)]


@dataclass(frozen=True)
class Chain:
    """The commands, each with its place in the folder."""

    given: argparse.Namespace
    learned: dict[str, Folder]
    shared: list[str]
    """Options of both trainings."""

    @property
    def out(self) -> Path:
        """Where everything is written."""
        out: Path = self.given.out
        return out

    def training(self, task: str, names: Sequence[str], steps: int, rate: str, *more: str) -> Path:
        """The trained model's folder; what is finished is not done again."""
        model = self.out / task
        if not (model / "card.json").is_file():
            folders = [word for name in names for word in self.learned[name].options()]
            fixed = [
                "--init",
                str(self.given.init),
                "--rate",
                rate,
                "--steps",
                str(steps),
                "--validate-every",
                str(steps),
            ]
            place = ["--seed", str(self.given.seed), "--out", str(model)]
            call("gloinone", "train", task, *folders, *self.shared, *fixed, *place, *more)
        return model

    def run(self, folder: Folder, out: Path, *more: str) -> Path:
        """A run's results; done slides are not done again."""
        table = ["--mpp-csv", str(folder.table)] if folder.table else []
        call("gloinone", "run", str(folder.slides), str(out), *table, "--no-crops", "--no-masks", *more)
        return out


def main() -> None:
    """Train both without the hospital, run, score."""
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
    folders = {name: lay_out(name, given.data, given.out / "sources") for name in SOURCES}
    scored = folders.pop(given.source)
    real = list(folders)
    folders[DRAWN] = draw(given.out / "sources" / DRAWN)
    names = validation_of(read_names((str(VALIDATION),)), (path.name for path in scored.slides.iterdir()))
    shared = [
        *("--complete", "yes", "--unlabelled", str(UNLABELLED)),
        *("--stains", str(stains_without(given.source, given.data, given.out))),
        *repeated("--val", names),
    ]
    chain = Chain(given, folders, shared)
    detector = chain.training("detector", list(folders), given.steps, "6e-4", "--edge", "288")
    found = [
        str(chain.run(folders[name], given.out / "found" / name, "--detector", str(detector)))
        for name in real
    ]
    crops = given.data / "aidpath-crops"
    classifier = chain.training(
        *("classifier", list(folders), given.classifier_steps, "3e-4"),
        *(
            "--crops",
            str(crops / "images"),
            "--labels",
            str(crops / "labels.csv"),
            "--masks",
            str(crops / "masks"),
        ),
        *repeated("--val", CROPS_VALIDATION),
        *repeated("--false-circles", [*found, "-"]),
        *("--backbone", "resnet34", "--edge", "160"),
    )
    results = chain.run(
        scored, given.out / "results", "--detector", str(detector), "--classifier", str(classifier)
    )
    call(
        *("gloinone", "evaluate", "run", str(results), str(scored.truth)),
        *("--unlabelled", str(UNLABELLED), "--out", str(given.out / "scores")),
    )


if __name__ == "__main__":
    main()
