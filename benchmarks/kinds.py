"""Sclerosed glomeruli on contact sheets, to be sorted by eye into the three kinds, and how far two readings agree.

    python -m benchmarks.kinds sheets sheets/ --seed 1 --crops aidpath/images --labels aidpath/labels.csv \
        --slides regions-he --truth regions-he
    python -m benchmarks.kinds agreement docs/weights/kinds.csv
    python -m benchmarks.kinds apply docs/weights/kinds.csv sorted/ --labels aidpath/labels.csv --truth regions-he

`sheets` lays them out in the order of the seed and leaves order.csv (sheet, place, item) beside the pictures; an item
is `crops/NAME` or `slides/NAME@x,y` (level-0 px). `agreement` reads item, first, second and prints Cohen's kappa, over
all and per source. `apply` writes labels and truth again with the kind where both readings agree, for `gloinone train`.
"""

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import cv2
import numpy as np
from numpy.typing import NDArray

from gloinone.annotations.truth import find_truth, read_truth
from gloinone.geometry import ring_circle
from gloinone.labels import SCLEROSED
from gloinone.records import Pixels
from gloinone.training.crop_patches import SUFFIXES, read_labels, read_picture

COLUMNS, ROWS, EDGE_PX, HEAD_PX = 8, 5, 190, 18
AROUND = 1.7
"""Edge of what is shown of a region, in diameters: capsule and interstitium tell the kinds apart."""
KINDS = ("obsolescent", "solidified", "disappearing", "cannot say")


@click.group()
def program() -> None:
    """Sheets to sort, and the agreement of two readings."""


@program.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--seed", default=0, show_default=True, help="Of the order.")
@click.option("--crops", type=click.Path(path_type=Path, exists=True), help="Folder of single glomeruli.")
@click.option("--labels", type=click.Path(path_type=Path, exists=True), help="Their name and label.")
@click.option("--slides", type=click.Path(path_type=Path, exists=True), help="Folder of plain regions.")
@click.option("--truth", type=click.Path(path_type=Path, exists=True), help="Their outlines.")
def sheets(
    out: Path, seed: int, crops: Path | None, labels: Path | None, slides: Path | None, truth: Path | None
) -> None:
    """Draw the sheets."""
    items: list[tuple[str, Pixels]] = []
    if crops and labels:
        items += _crops(crops, labels)
    if slides and truth:
        items += _regions(slides, truth)
    if not items:
        raise click.UsageError("nothing sclerosed; give --crops with --labels, or --slides with --truth")
    order = np.random.default_rng(seed).permutation(len(items))
    out.mkdir(parents=True, exist_ok=True)
    per_sheet = COLUMNS * ROWS
    with (out / "order.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["sheet", "place", "item"])
        for sheet in range(-(-len(items) // per_sheet)):
            shown = [items[i] for i in order[sheet * per_sheet : (sheet + 1) * per_sheet]]
            writer.writerows([sheet, place, name] for place, (name, _) in enumerate(shown))
            cv2.imwrite(str(out / f"sheet-{sheet:02d}.png"), _sheet([p for _, p in shown])[..., ::-1])
    click.echo(f"{out}: {len(items)} sclerosed glomeruli on {sheet + 1} sheets")


@program.command()
@click.argument("readings", type=click.Path(path_type=Path, exists=True))
def agreement(readings: Path) -> None:
    """Print kappa and the counts."""
    rows = _rows(readings)
    for source in ("", *sorted({row["item"].split("/")[0] for row in rows})):
        counts = confusion([row for row in rows if row["item"].startswith(source)])
        agreed = "  ".join(f"{kind} {counts[i, i]}" for i, kind in enumerate(KINDS))
        click.echo(
            f"{source or 'all'}: n {counts.sum()}, kappa {kappa(counts):.3f}, "
            f"without 'cannot say' n {counts[:3, :3].sum()}, kappa {kappa(counts[:3, :3]):.3f}; agreed: {agreed}"
        )


@program.command()
@click.argument("readings", type=click.Path(path_type=Path, exists=True))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--labels", type=click.Path(path_type=Path, exists=True), required=True, help="Of the crops.")
@click.option(
    "--truth", type=click.Path(path_type=Path, exists=True), required=True, help="GeoJSON of the regions."
)
def apply(readings: Path, out: Path, labels: Path, truth: Path) -> None:
    """Write labels.csv and the GeoJSON again, with the kinds on which both readings agree."""
    kinds = agreed(_rows(readings))
    out.mkdir(parents=True, exist_ok=True)
    rows = _rows(labels)
    with (out / "labels.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(row | {"label": kinds.get(f"crops/{row['name']}", row["label"])} for row in rows)
    changed = sum(f"crops/{row['name']}" in kinds for row in rows)
    for path in sorted(truth.glob("*.geojson")):
        document = json.loads(path.read_text(encoding="utf-8"))
        for feature in document["features"]:
            cx, cy, _ = ring_circle(np.array(feature["geometry"]["coordinates"][0], np.float64)[:-1])
            kind = kinds.get(f"slides/{path.stem}@{cx:.0f},{cy:.0f}")
            if kind:
                feature["properties"]["classification"]["name"] = kind
                changed += 1
        (out / path.name).write_text(json.dumps(document), encoding="utf-8")
    click.echo(f"{out}: {changed} of {len(kinds)} agreed kinds written")


def agreed(rows: Sequence[dict[str, str]]) -> dict[str, str]:
    """Kind of each item that both readings name alike."""
    return {row["item"]: row["first"] for row in rows if row["first"] == row["second"] != KINDS[3]}


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def confusion(rows: Sequence[dict[str, str]]) -> NDArray[np.int64]:
    """(4, 4) first reading by second."""
    counts = np.zeros((len(KINDS), len(KINDS)), np.int64)
    for row in rows:
        counts[KINDS.index(row["first"]), KINDS.index(row["second"])] += 1
    return counts


def kappa(counts: NDArray[np.int64]) -> float:
    """Cohen's kappa of a square confusion matrix; nan where chance alone would agree."""
    total = counts.sum()
    if not total:
        return float("nan")
    chance = float(counts.sum(axis=0) @ counts.sum(axis=1)) / float(total) ** 2
    return (float(np.trace(counts)) / float(total) - chance) / (1 - chance) if chance < 1 else float("nan")


def _crops(folder: Path, labels: Path) -> Iterator[tuple[str, Pixels]]:
    for row in read_labels(labels):
        if row["label"] == SCLEROSED:
            yield f"crops/{row['name']}", read_picture(folder, row["name"])


def _regions(slides: Path, truth: Path) -> Iterator[tuple[str, Pixels]]:
    for path in sorted(p for p in slides.iterdir() if p.suffix.lower() in SUFFIXES):
        known = read_truth(find_truth(path.name, truth))
        picture = read_picture(slides, path.stem)
        for region in known.glomeruli:
            if region.label == SCLEROSED:
                cx, cy, radius = ring_circle(region.ring)
                yield f"slides/{path.stem}@{cx:.0f},{cy:.0f}", _around(picture, cx, cy, radius * AROUND)


def _around(picture: Pixels, cx: float, cy: float, reach: float) -> Pixels:
    """The square of that reach about a place, mirrored beyond the border."""
    pad = int(reach) + 1
    wide = cv2.copyMakeBorder(picture, pad, pad, pad, pad, cv2.BORDER_REFLECT_101)
    x0, y0 = round(cx - reach) + pad, round(cy - reach) + pad
    edge = round(2 * reach)
    return np.asarray(wide[y0 : y0 + edge, x0 : x0 + edge], np.uint8)


def _sheet(pictures: Sequence[Pixels]) -> Pixels:
    sheet = np.full((ROWS * (EDGE_PX + HEAD_PX), COLUMNS * (EDGE_PX + 4), 3), 255, np.uint8)
    for place, picture in enumerate(pictures):
        y, x = place // COLUMNS * (EDGE_PX + HEAD_PX), place % COLUMNS * (EDGE_PX + 4)
        how = cv2.INTER_AREA if picture.shape[0] > EDGE_PX else cv2.INTER_CUBIC
        tile = cv2.resize(picture, (EDGE_PX, EDGE_PX), interpolation=how)
        sheet[y + HEAD_PX : y + HEAD_PX + EDGE_PX, x : x + EDGE_PX] = tile
        cv2.putText(
            sheet,
            str(place),
            (x + 2, y + HEAD_PX - 4),
            cv2.FONT_HERSHEY_SIMPLEX,
            0.5,
            (0, 0, 0),
            1,
            cv2.LINE_AA,
        )
    return sheet


if __name__ == "__main__":
    program()
