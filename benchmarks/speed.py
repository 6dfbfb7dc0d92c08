"""What a slide costs, against what cannot be avoided.

    python -m benchmarks.speed SLIDE

The lines it prints; times are medians of --repeat, with the networks loaded:

  start-up                 a fresh process until the first tile has been read: imports, weights, overview
  tissue                   area of the undilated mask
  decoded/tissue           area of the slide under the planned tiles, each place counted once
  network/tissue           area that the planned tiles push through the detector, overlaps counted as often as pushed
  decode alone             reading the planned tiles, nothing else: pixels of the pyramid level per second
  detector alone           the same tiles through the detector, from memory: network pixels and tiles per second
  per circle               the classifier on a circle and the segmenter on one, from memory
  whole job                from opening the slide to the last file renamed
  ratio whole/plan         whole job against decoding + networks of what was planned, each alone (GPU: the larger)
  ratio whole/limit        the same against the tissue decoded once and pushed once, without any overlap or glass
  published schedule       every tile of the slide, half overlap, batch 1, float32, through PNG files, with our weights
  speed-up over published schedule   that against the whole job
  peak memory              of this process after the whole jobs (GPU: and of the device)
  per cm2 of tissue        the whole job
  1, 2, 4, 8 slides        so many whole jobs one after the other: seconds, and against as many times the first
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from benchmarks.published import published_cost
from benchmarks.steps import READERS, Subject, circles_of, joined, measure_alone
from gloinone.cli.inspect import resolution_of, the_slide
from gloinone.detection.build import build_detector
from gloinone.learning.device import pick_device
from gloinone.pipeline.atomic import sync_tree
from gloinone.pipeline.run_slide import Stages, analyse
from gloinone.pipeline.save import SaveOptions, write_slide
from gloinone.pipeline.stages import Networks, StagesConfig, load_stages
from gloinone.records import Overview, SlideResult
from gloinone.slide.reader import Slide, open_slide
from gloinone.slide.tiles import plan_cost, plan_tiles
from gloinone.slide.tissue import tissue_mm2, tissue_overview
from gloinone.weights.store import load_state


class EnoughError(Exception):
    """The first tile has been read."""


def whole_job(subject: Subject) -> SlideResult:
    """From opening the slide to the last file renamed."""
    with TemporaryDirectory() as out:
        folder = Path(out) / "work"
        folder.mkdir()
        with subject.open() as slide:
            result = analyse(slide, subject.stages, lambda *_: None)
        write_slide(folder, result, SaveOptions())
        sync_tree(folder)
        folder.rename(Path(out) / "done")
    return result


def report(subject: Subject, repeat: int, jobs: int, published_tiles: int) -> list[tuple[str, str]]:
    """All lines but that of the start-up."""
    on_gpu = subject.detector.device.type == "cuda"
    config = subject.detector.config
    result = whole_job(subject)  # the first one is not timed
    whole, finished = run_jobs(subject, jobs)
    memory = peak_memory(on_gpu)
    with subject.open() as slide:
        overview: Overview = tissue_overview(slide)
        plan = plan_tiles(slide.info, overview, config.mpp, config.edge_px, config.margin_um)
        cost = plan_cost(plan, overview)
        if cost is None:
            return [("tissue", "none: nothing to measure")]
        alone = measure_alone(subject, slide, plan, result, repeat)
        kept = circles_of([g.candidate.detection for g in result.glomeruli])
        circles = circles_of([c.detection for c in result.candidates])
        published = published_cost(slide, subject.networks, circles, kept, published_tiles)
        area = tissue_mm2(overview, slide.info.mpp)
    second = alone.classify + alone.segment
    planned = joined(alone.decode + alone.crops, alone.detect + second, on_gpu)
    limit = joined(
        alone.decode / cost.network_per_tissue + alone.crops,
        alone.detect / cost.network_per_tissue + second,
        on_gpu,
    )
    return [
        ("tissue", f"{area:.2f} mm2"),
        ("decoded/tissue", f"{cost.decoded_per_tissue:.2f}"),
        ("network/tissue", f"{cost.network_per_tissue:.2f}"),
        ("decode alone", f"{alone.level_px / alone.decode / 1e6:.1f} Mpx/s with {READERS} threads"),
        (
            "detector alone",
            f"{plan.network_px / alone.detect / 1e6:.2f} Mpx/s, {len(plan.tiles) / alone.detect:.2f} tiles/s "
            f"of {plan.network_px / len(plan.tiles) / 1e6:.2f} Mpx",
        ),
        (
            "per circle",
            f"{1000 * alone.classify / max(1, alone.n_classified):.1f} ms classifier ({alone.n_classified}), "
            f"{1000 * alone.segment / max(1, alone.n_segmented):.1f} ms segmenter ({alone.n_segmented})",
        ),
        ("whole job", f"{whole:.2f} s"),
        ("ratio whole/plan", f"{whole / planned:.2f}"),
        ("ratio whole/limit", f"{whole / limit:.2f}"),
        (
            "published schedule",
            f"{published.seconds:.1f} s for {published.n_tiles} tiles, {published.n_measured} of them measured",
        ),
        ("speed-up over published schedule", f"{published.seconds / whole:.1f}"),
        ("peak memory", memory),
        ("per cm2 of tissue", f"{whole / area * 100:.1f} s"),
        *growth(finished),
    ]


def run_jobs(subject: Subject, jobs: int) -> tuple[float, list[float]]:
    """Median seconds of a whole job, and when each of them had ended."""
    finished: list[float] = []
    start = time.monotonic()
    for _ in range(jobs):
        whole_job(subject)
        finished.append(time.monotonic() - start)
    return statistics.median(np.diff([0.0, *finished])), finished


def growth(finished: Sequence[float]) -> list[tuple[str, str]]:
    """A line for 1, 2, 4, ... slides."""
    counts = [2**k for k in range(len(finished).bit_length()) if 2**k <= len(finished)]
    return [
        (
            f"{n} slides",
            f"{finished[n - 1]:.2f} s, {finished[n - 1] / (n * finished[0]):.2f} of {n} times one",
        )
        for n in counts
    ]


def peak_memory(on_gpu: bool) -> str:
    """Of this process so far."""
    text = f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB"
    return text + (f", {torch.cuda.max_memory_allocated() / 1e9:.2f} GB on the device" if on_gpu else "")


def start_up(arguments: Sequence[str]) -> float:
    """Seconds of a fresh process until it has read its first tile."""
    root = Path(__file__).resolve().parents[1]
    command = [sys.executable, "-m", "benchmarks.speed", *arguments, "--until-first-tile"]
    paths = os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])
    start = time.monotonic()
    subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": paths})
    return time.monotonic() - start


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("slide", type=Path)
    made.add_argument("--device", default="auto", help="as of gloinone run")
    made.add_argument("--mpp", type=float, help="microns per pixel, if the file does not say it")
    made.add_argument("--mpp-csv", type=Path, help="table with columns slide and mpp")
    made.add_argument("--models", type=Path, action="append", default=[], help="look for weights here first")
    made.add_argument("--repeat", type=int, default=3, help="times that each step alone is measured (3)")
    made.add_argument("--jobs", type=int, default=8, help="whole jobs, one after the other (8)")
    made.add_argument(
        "--published-tiles",
        type=int,
        default=200,
        help="tiles of the published schedule that are really done; the rest is reckoned from them (200)",
    )
    made.add_argument("--until-first-tile", action="store_true", help=argparse.SUPPRESS)
    return made


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    given = parser().parse_args(arguments)
    found = the_slide(given.slide)
    resolution = resolution_of(found.name, given.mpp, given.mpp_csv)
    networks = Networks(StagesConfig(device=given.device, models=tuple(given.models)))
    stages, networks.device = load_stages(networks)

    def opened() -> Slide:
        return open_slide(found.path, found.name, resolution)

    if given.until_first_tile:
        stop_at_first_tile(opened, stages)
        return
    print(f"{found.name} on {networks.device}")
    print(f"start-up: {start_up(sys.argv[1:] if arguments is None else arguments):.1f} s")
    card = networks.model_cards["detector"]
    state = load_state(networks.paths["detector"], card)
    detector = build_detector(card, state, pick_device(given.device))
    subject = Subject(opened, networks, replace(stages, detect=detector.detect), detector)
    for name, value in report(subject, given.repeat, given.jobs, given.published_tiles):
        print(f"{name}: {value}")


def stop_at_first_tile(opened: Callable[[], Slide], stages: Stages) -> None:
    """What a run does until then."""

    def enough(done: int, total: int) -> None:
        raise EnoughError

    with opened() as slide, suppress(EnoughError):
        stages.detect(stages.read(slide, tissue_overview(slide)), enough)


if __name__ == "__main__":
    main()
