"""``gloinone inspect``: what a slide is and what a run would read of it, from its overview alone."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gloinone.cli.errors import verbose_option
from gloinone.cores import available_cores
from gloinone.errors import ResolutionError, UsageError

if TYPE_CHECKING:
    from gloinone.slide.discover import SlidePath
    from gloinone.slide.reader import Slide
    from gloinone.slide.resolution import Resolution

CPU_SECONDS_PER_MEGAPIXEL = 1.0
"""Of one core: a tile read and pushed through the ResNet-34 CircleNet, measured on a processor that multiplies
bfloat16 in hardware; others take up to twice as long."""
CPU_SECONDS_PER_CIRCLE = 0.08
"""Of one core: a crop read and classified, and a third of the crops outlined; measured likewise."""
CIRCLES_PER_MM2 = 12
"""About three candidates for each of four glomeruli per mm2 of tissue (pas-a, pas-b)."""


@dataclass(frozen=True)
class Network:
    """What of the detector's card decides how much is read."""

    name: str
    mpp: float
    edge_px: int
    margin_um: float
    looks: float
    """How often it computes each pixel."""


USUAL = Network("none found; reckoned with the usual one", 2.0, 768, 224.0, 1 + 0.8**2 + 1.25**2)


@click.command()
@click.argument("slide", type=click.Path(path_type=Path))
@click.option("--mpp", type=float, help="Microns per pixel, if the file does not say it.")
@click.option(
    "--mpp-csv",
    type=click.Path(path_type=Path),
    help="Table with columns slide (any end of the path) and mpp; goes before what the file says.",
)
@verbose_option
def command(slide: Path, mpp: float | None, mpp_csv: Path | None, verbose: bool) -> None:
    """Say what a slide is and what a run would read of it.

    Format, size, levels, microns per pixel and where they come from, area of tissue, tiles to read, and
    roughly the time a run takes on this machine's processor. Only the slide's overview is read. Without microns per
    pixel it says what does not hang on them, and ends with exit status 2.

    Example: gloinone inspect biopsy.svs
    """
    from gloinone.slide.reader import open_slide
    from gloinone.slide.resolution import Resolution

    found = the_slide(slide)
    said = resolution_of(slide, found, mpp, mpp_csv)
    try:
        with open_slide(found.path, found.name, said) as opened:
            show(description(opened) + reading(opened, detector()))
    except ResolutionError:
        with open_slide(found.path, found.name, Resolution(1.0, "option")) as opened:
            show(description(opened, has_mpp=False))
        raise


def show(lines: list[tuple[str, str]]) -> None:
    """A line each."""
    for what, text in lines:
        click.echo(f"{what:<11} {text}")


def the_slide(path: Path) -> "SlidePath":
    """The one slide that was named: a file, or the folder of a DICOM series."""
    from gloinone.slide.discover import find_slides

    slides = find_slides(path).slides
    if len(slides) != 1:
        raise UsageError(f"{path}: a folder of {len(slides)} slides; name one of them")
    return slides[0]


def resolution_of(path: Path, found: "SlidePath", mpp: float | None, mpp_csv: Path | None) -> "Resolution":
    """What the user says of it. ``path``: as it was named, which may be the folder that holds the slide."""
    from gloinone.slide.discover import readable
    from gloinone.slide.resolution import check_mpp_option, read_mpp_csv, resolution_for

    table = None
    if mpp_csv is not None:
        named = Path(os.path.abspath(path))  # links stay, and .. goes
        folder = named if found.walked else named.parent
        table = read_mpp_csv(mpp_csv).for_path(found.name, f"{readable(folder.as_posix())}/{found.name}")
    return resolution_for(found.name, table, None if mpp is None else check_mpp_option(mpp))


def detector() -> Network:
    """The detector that a run would use, by its card; the usual numbers where none is installed."""
    from gloinone.errors import WeightsError
    from gloinone.weights.card import read_card
    from gloinone.weights.store import find_model, model_dirs

    try:
        card = read_card(find_model("detector", "detector", model_dirs()).card)
    except WeightsError:
        return USUAL
    if card.mpp is None or card.margin_um is None:
        raise WeightsError(f"card {card.name}: a detector's card states mpp and margin_um")
    looks = sum(scale**2 for scale in card.scales or (1.0,))
    return Network(card.identity, card.mpp, card.edge_px, card.margin_um, looks)


def description(slide: "Slide", has_mpp: bool = True) -> list[tuple[str, str]]:
    """What the file says; no pixels are read. ``has_mpp``: the slide's microns per pixel are known."""
    info = slide.info
    where = {"file": "from the file", "csv": "from --mpp-csv", "option": "from --mpp"}[info.mpp_source]
    millimetres = f"{info.um_from_l0(info.width) / 1000:.2f} x {info.um_from_l0(info.height) / 1000:.2f} mm"
    lines = [
        ("slide", info.name),
        ("format", info.vendor),
        ("size", f"{info.width} x {info.height} px" + (f", {millimetres}" if has_mpp else "")),
        ("mpp", f"{info.mpp:.4g} um/px, {where}" if has_mpp else "not known"),
    ]
    for index, (level, downsample) in enumerate(zip(slide.levels, info.level_downsamples, strict=True)):
        scale = f"{info.mpp * downsample:.4g} um/px" if has_mpp else f"downsample {downsample:.4g}"
        lines.append((f"level {index}", f"{level.width} x {level.height} px, {scale}"))
    if info.bounds is not None:
        x, y, width, height = info.bounds
        lines.append(("scanned", f"{width} x {height} px at {x}, {y}"))
    return lines


def reading(slide: "Slide", network: Network) -> list[tuple[str, str]]:
    """What the overview says: tissue, tiles and time."""
    from gloinone.slide.tiles import plan_cost, plan_tiles
    from gloinone.slide.tissue import tissue_mm2, tissue_overview

    overview = tissue_overview(slide)
    plan = plan_tiles(slide.info, overview, network.mpp, network.edge_px, network.margin_um)
    cost, area = plan_cost(plan, overview), tissue_mm2(overview, slide.info.mpp)
    tiles = f"{len(plan.tiles)} at {network.mpp:g} um/px"
    if cost is not None:
        share = cost.decoded_per_tissue * float(overview.tissue.mean())
        tiles += f"; {cost.network_per_tissue:.1f} times the tissue's area, {share:.0%} of the slide"
    seconds = expected_seconds(plan.network_px * network.looks, area)
    return [
        ("tissue", f"{area:.2f} mm2"),
        ("detector", network.name),
        ("tiles", tiles),
        ("time", f"about {duration(seconds)} on {available_cores()} processor core(s); much less on a GPU"),
    ]


def expected_seconds(network_px: float, tissue: float) -> float:
    """Rough wall time of a run on the processor; ``tissue`` in mm2."""
    work = network_px / 1e6 * CPU_SECONDS_PER_MEGAPIXEL
    work += tissue * CIRCLES_PER_MM2 * CPU_SECONDS_PER_CIRCLE
    return work / available_cores()


def duration(seconds: float) -> str:
    """In words.

    >>> [duration(s) for s in (0.2, 40, 200, 9000)]
    ['1 s', '40 s', '3 min', '2.5 h']
    """
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
