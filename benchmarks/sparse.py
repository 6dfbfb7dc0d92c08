"""Memory and cost on a slide of 100,000 x 80,000 px of which 5 % are tissue, against the same tissue close together.

    python -m benchmarks.sparse FOLDER

Draws a section once, and writes it many times into each of two slides: a large one, whose glass is the same blank tile
everywhere, and one just large enough. Each goes through the whole job in a process of its own. The lines it prints:

  NAME                 size, area of tissue by the mask and its share, glomeruli found of those planted
  NAME peak memory     of the process, networks included
  NAME whole job       networks loaded, of the clock and of the processor; and per mm2 of tissue
  per mm2 against the small canvas   cost of the large one against the small one, of the processor
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from benchmarks.first_tile import add_slide_options
from benchmarks.speed import whole_job
from benchmarks.subject import subject_of
from gloinone.drawn.config import SceneConfig
from gloinone.drawn.scene import draw
from gloinone.drawn.tiff_file import Picture, TiffFile
from gloinone.drawn.write import TILE_PX, encoded_tiles, jpeg, pyramid
from gloinone.records import Pixels

MPP = 0.25
LARGE_PX = (100_000, 80_000)
TISSUE_SHARE = 0.05
DRAWN_MPP = 1.0
"""The section is drawn at it and enlarged: a slide is decoded as fast, and drawn in a minute."""
WHOLE_LEVEL_PX = 8192
"""Levels no wider than this are made as one picture; the copies lie so that larger ones are whole tiles of it."""
STEP_PX = TILE_PX * 16
QUALITY = 80


@dataclass(frozen=True)
class Section:
    """What is drawn once."""

    pixels: Pixels
    """Level 0; its sides are multiples of STEP_PX."""
    n_glomeruli: int
    tissue_mm2: float


def draw_section(scene: SceneConfig) -> Section:
    """The scene, enlarged to MPP and padded with its glass to whole steps."""
    drawing = draw(scene)
    scale = drawing.mpp / MPP
    height, width = (round(side * scale) for side in drawing.pixels.shape[:2])
    pixels = np.asarray(cv2.resize(drawing.pixels, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)
    below, right = -height % STEP_PX, -width % STEP_PX
    pixels = np.pad(pixels, ((0, below), (0, right), (0, 0)), mode="edge")
    return Section(pixels, len(drawing.glomeruli), drawing.tissue_mm2)


def places_in(size: tuple[int, int], section: Section, count: int) -> list[tuple[int, int]]:
    """x, y of ``count`` copies on a canvas, spread evenly, none over another."""
    height, width = section.pixels.shape[:2]
    columns, rows = size[0] // width, size[1] // height
    if columns * rows < count:
        raise ValueError(f"{count} sections of {width} x {height} px do not fit {size[0]} x {size[1]}")
    cells = [(column, row) for row in range(rows) for column in range(columns)]
    chosen = [cells[i * len(cells) // count] for i in range(count)]
    pitch = size[0] // columns // STEP_PX * STEP_PX, size[1] // rows // STEP_PX * STEP_PX
    return [(column * pitch[0], row * pitch[1]) for column, row in chosen]


def write_copies(
    path: Path, section: Section, size: tuple[int, int], places: Sequence[tuple[int, int]]
) -> None:
    """A pyramidal TIFF, halved from level to level, of copies of a section on glass; each tile is encoded once."""
    glass = section.pixels[0, 0]
    levels = pyramid(section.pixels, 2)
    with TiffFile(path, big=True) as tiff:
        for number in range(len(levels)):
            width, height = size[0] >> number, size[1] >> number
            own = [(x >> number, y >> number) for x, y in places]
            if width > WHOLE_LEVEL_PX:
                tiles = _sparse_tiles(levels[number], glass, (width, height), own)
            else:
                canvas = np.full((height, width, 3), glass, np.uint8)
                for x, y in own:
                    part = canvas[y : y + len(levels[number]), x : x + levels[number].shape[1]]
                    part[:] = levels[number][: part.shape[0], : part.shape[1]]
                tiles = encoded_tiles(canvas, QUALITY)
            description = "gloinone drawn slide"
            picture = Picture(width, height, TILE_PX, description, MPP * 2**number, is_reduced=number > 0)
            tiff.write(picture, tiles)


def _sparse_tiles(
    level: Pixels, glass: Pixels, size: tuple[int, int], places: Sequence[tuple[int, int]]
) -> Iterator[bytes]:
    """Tiles in reading order; places and the section's sides are multiples of a tile's."""
    blank = jpeg(np.full((TILE_PX, TILE_PX, 3), glass, np.uint8), QUALITY)
    across, down = level.shape[1] // TILE_PX, level.shape[0] // TILE_PX
    encoded = list(encoded_tiles(level, QUALITY))
    at = {
        (x // TILE_PX + i, y // TILE_PX + j): encoded[j * across + i]
        for x, y in places
        for j in range(down)
        for i in range(across)
    }
    for row in range(-(-size[1] // TILE_PX)):
        for column in range(-(-size[0] // TILE_PX)):
            yield at.get((column, row), blank)


def measured(slide: Path, device: str) -> Mapping[str, float]:
    """The whole job in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.sparse", str(slide), "--measure", "--device", device]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    answer: Mapping[str, float] = json.loads(said.splitlines()[-1])
    return answer


def measure(given: argparse.Namespace) -> None:
    """Print what one whole job took, as JSON."""
    subject = subject_of(given)
    clock, processor = time.monotonic(), time.process_time()
    result, _ = whole_job(subject)
    said = {
        "seconds": time.monotonic() - clock,
        "processor": time.process_time() - processor,
        "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
        "tissue_mm2": result.tissue_mm2,
        "found": result.n_glomeruli,
    }
    print(json.dumps(said))


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw, measure, print, and remove what was drawn."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_slide_options(parser)
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.measure:
        measure(given)
        return
    folder: Path = given.slide
    folder.mkdir(parents=True, exist_ok=True)
    scene = SceneConfig(
        4000, 3000, normal=14, obsolescent=3, solidified=3, disappearing=2, seed=11, mpp=DRAWN_MPP
    )
    section = draw_section(scene)
    wanted_mm2 = TISSUE_SHARE * LARGE_PX[0] * LARGE_PX[1] * (MPP / 1000) ** 2
    count = max(1, round(wanted_mm2 / section.tissue_mm2))
    height, width = section.pixels.shape[:2]
    small = (width * count, height)
    costs = {}
    for name, size in (("large", LARGE_PX), ("small", small)):
        path = folder / f"{name}.tif"
        start = time.monotonic()
        write_copies(path, section, size, places_in(size, section, count))
        took = time.monotonic() - start
        said = measured(path, given.device)
        area_mm2 = size[0] * size[1] * (MPP / 1000) ** 2
        print(
            f"{name}: {size[0]} x {size[1]} px, {path.stat().st_size / 1e9:.2f} GB written in {took:.0f} s, "
            f"{said['tissue_mm2']:.1f} mm2 of tissue, {said['tissue_mm2'] / area_mm2:.1%}, "
            f"{said['found']:.0f} glomeruli of {count * section.n_glomeruli}"
        )
        print(f"{name} peak memory: {said['peak_gb']:.2f} GB")
        costs[name] = said["processor"] / said["tissue_mm2"]
        print(
            f"{name} whole job: {said['seconds']:.1f} s, {said['processor']:.1f} s of the processor, "
            f"{costs[name]:.2f} s of it per mm2",
            flush=True,
        )
        path.unlink()
    print(f"per mm2 against the small canvas: {costs['large'] / costs['small']:.2f}")


if __name__ == "__main__":
    main()
