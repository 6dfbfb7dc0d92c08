"""A method without networks for the tests of run_folder: what it finds follows from the slide's name alone.

Also a program, so that tests can kill it: see ``main``.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import tifffile

from gloinone.annotations.columns import TABLES
from gloinone.annotations.csv_text import read_table
from gloinone.geometry import circle_ring, ring_mask
from gloinone.labels import NORMAL, OBSOLESCENT
from gloinone.pipeline.interrupts import Interrupted, Interrupts
from gloinone.pipeline.measure import measure_glomerulus
from gloinone.pipeline.progress import Silent
from gloinone.pipeline.run_folder import Outcome, run_folder
from gloinone.pipeline.state import Json
from gloinone.pipeline.tasks import Analyse, RunConfig, Shard
from gloinone.records import (
    Candidate,
    Crop,
    Detection,
    Glomerulus,
    Outline,
    Overview,
    Piece,
    SlideResult,
    Window,
)
from gloinone.slide.reader import Slide

EDGE_PX = 512
MPP = 0.5
STEPS = 4


def write_slide_file(path: Path, seed: int = 0) -> Path:
    """A small tiled TIFF that OpenSlide opens."""
    path.parent.mkdir(parents=True, exist_ok=True)
    y, x, channel = np.indices((EDGE_PX, EDGE_PX, 3))
    pixels = (120 + x // 8 + y // 16 + 10 * channel + seed % 20).astype(np.uint8)  # smooth: fast to compress
    tifffile.imwrite(path, pixels, tile=(256, 256), photometric="rgb", metadata=None, software=False)
    return path


@dataclass
class FakeMethod:
    """Counts how often it is loaded and which slides it saw."""

    pause_s: float = 0.0
    wrong: Mapping[str, BaseException] = field(default_factory=dict)
    """By name of a slide: what happens when it is analysed."""
    on_slide: Callable[[Slide], None] = lambda slide: None
    models: dict[str, str] = field(default_factory=lambda: {"detector": "fake@0123456789ab"})
    settings: dict[str, Json] = field(default_factory=lambda: {"min_score": None})
    cards: dict[str, dict[str, object]] = field(default_factory=dict)
    loads: int = 0
    seen: list[str] = field(default_factory=list)

    @property
    def device(self) -> str:
        return "cpu" if self.loads else ""

    def load(self) -> Analyse:
        self.loads += 1
        return lambda slide: FakeBegun(self, slide)

    def analyse(self, slide: Slide, on_tile: Callable[[int, int], None]) -> SlideResult:
        self.seen.append(slide.info.name)
        self.on_slide(slide)
        for step in range(STEPS):
            time.sleep(self.pause_s)
            on_tile(step + 1, STEPS)
        if slide.info.name in self.wrong:
            raise self.wrong[slide.info.name]
        return fake_result(slide)


@dataclass
class FakeBegun:
    """Nothing is read ahead."""

    method: FakeMethod
    slide: Slide

    def finish(self, on_tile: Callable[[int, int], None]) -> SlideResult:
        return self.method.analyse(self.slide, on_tile)

    def close(self) -> None:
        """Nothing to close."""


def fake_result(slide: Slide) -> SlideResult:
    """One to four glomeruli, how many and where by the slide's name."""
    info = slide.info
    digest = hashlib.sha256(info.name.encode()).digest()
    glomeruli = tuple(_glomerulus(slide, i + 1, digest[i]) for i in range(1 + digest[9] % 4))
    read = slide.overview(8.0)
    tissue = np.ones(read.pixels.shape[:2], np.bool_)
    return SlideResult(
        info,
        Overview(read.window, read.pixels, tissue),
        0.0655,
        1.0,
        tuple(g.candidate for g in glomeruli),
        tuple(replace(g, piece=1) for g in glomeruli),
        seconds={"detect": 0.1},
        pieces=(Piece(1, 0, 0, info.width, info.height, 0.0655, core=1, level=1),),
        piece_map=tissue.astype(np.uint16),
    )


def _glomerulus(slide: Slide, number: int, byte: int) -> Glomerulus:
    cx, cy, radius = 100.0 + byte % 90, 90.0 * number, 40.0
    window = Window(cx - 65, cy - 65, 130, 130, 256, 256)
    crop = Crop(window, slide.read_window(window.x, window.y, window.width, window.height, 256, 256).pixels)
    sclerosed = byte % 2 == 0
    label = OBSOLESCENT if sclerosed else NORMAL
    p = (0.1, 0.8, 0.05, 0.03, 0.02) if sclerosed else (0.9, 0.05, 0.02, 0.01, 0.02)
    candidate = Candidate(Detection(cx, cy, radius, 0.9), p, 0.88, label, window)
    ring = circle_ring(cx, cy, radius)
    mask = ring_mask(window.image_from_l0(ring), 256, 256)
    return measure_glomerulus(number, candidate, Outline(ring, "mask", False, mask, window), crop, slide.info)


def config_for(source: Path, out: Path, **options: object) -> RunConfig:
    """A run with an mpp, since the slides carry none."""
    return RunConfig(source, out, **{"mpp": MPP, **options})  # type: ignore[arg-type]


def run(source: Path, out: Path, method: FakeMethod | None = None, **options: object) -> Outcome:
    """A run in this process."""
    return run_folder(config_for(source, out, **options), method or FakeMethod())


def read_rows(path: Path) -> list[dict[str, object]]:
    """Of one of our tables."""
    return [dict(row) for row in read_table(path, TABLES[path.name][0])]


def tree(out: Path) -> dict[str, bytes]:
    """Every file of OUT by its path, times, logs, the record of the run and hashes of what was there before aside."""
    files = {p.relative_to(out).as_posix(): p.read_bytes() for p in sorted(out.rglob("*")) if p.is_file()}
    for name in files:
        if name.endswith("state.json"):
            files[name] = json.dumps({**json.loads(files[name]), "times": None, "earlier": None}).encode()
        if name == "report.html":
            files[name] = re.sub(rb'<p class="soft">gloinone.*?</p>', b"", files[name])
    return {name: data for name, data in files.items() if not name.endswith(("log.txt", "run.json"))}


def unfinished(out: Path) -> list[Path]:
    """What should not be there after a run."""
    return [*(out / ".work").glob("*"), *(out / ".claims").glob("*"), *out.rglob(".gloinone-*")]


def start(slides: Path, out: Path, pause_s: float, *more: str) -> "subprocess.Popen[str]":
    """A run in a process of its own; ``more`` as in ``main``."""
    program = [sys.executable, __file__, str(slides), str(out), str(pause_s), *more]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    return subprocess.Popen(program, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def line_of(process: "subprocess.Popen[str]") -> str:
    """The next slide that is at work."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


@dataclass(frozen=True)
class Held(Silent):
    """Holds a run between its start and its first slide, until there is a file."""

    go: Path

    def start(self, slides: int) -> None:
        print("no slide yet", flush=True)
        while not self.go.exists():
            time.sleep(0.01)


def main(source: str, out: str, pause_s: str, shard: str = "0/1", *flags: str) -> int:
    """One run; prints each slide as it is begun. Flags: ``overwrite``; ``hold``: until there is a ``go`` beside OUT."""
    index, count = map(int, shard.split("/"))
    method = FakeMethod(float(pause_s), on_slide=lambda slide: print(slide.info.name, flush=True))
    options = {"shard": Shard(index, count) if count > 1 else None, "overwrite": "overwrite" in flags}
    try:
        with Interrupts() as interrupts:
            config = config_for(Path(source), Path(out), **options)
            progress = Held(Path(out).with_name("go")) if "hold" in flags else None
            return run_folder(config, method, progress, interrupts).exit_status
    except Interrupted as interrupted:
        return 128 + interrupted.number


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
