"""What a slide costs, against what cannot be avoided.

    python -m benchmarks.speed SLIDE

The lines it prints; times are medians of --repeat, with the networks loaded, unless they say otherwise:

  start-up                 a fresh `gloinone run` until it has read its first tile: imports, weights, overview; with
                           compiled bytecode; the processor's seconds
  tissue                   area of the undilated mask
  decoded/tissue           area of the slide under the planned tiles, each place counted once
  network/tissue           area that the planned tiles push through the detector, overlaps counted as often as pushed
  decode alone             reading the planned tiles, nothing else: pixels of the pyramid level per second
  detector alone           the same tiles through the detector, from memory: network pixels and tiles per second
  per circle               the classifier on a circle, the segmenter on one, from memory, and the sum of the two
  whole job                from opening the slide to the last file renamed
  steps                    of the last of them; of all but `write` the networks are a part
  ratio whole/plan         whole job against decoding + networks of what was planned, each alone (GPU: the larger)
  ratio whole/limit        the same against the tissue decoded once and pushed once, without any overlap or glass
  published schedule       every tile of the slide, half overlap, batch 1, float32, through PNG files, with our weights
  speed-up over published schedule   that against the whole job
  per cm2 of tissue        the whole job
  1, 2, 4, 8 slides        a run over so many copies of the slide, the next read ahead and the last written meanwhile:
                           seconds until the last is in place, area of tissue, and against as many times the first
  growth                   the line through these, by least squares: what a run costs once (its first slide is read and
                           its last written with nothing else at work), what each slide adds, and how far the measured
                           lie from the line at most; growth with tissue is linear where that is little. Through two
                           points a line always goes, so it takes three
  peak memory              of this process after all these jobs (GPU: and of the device)
"""

import argparse
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from benchmarks.first_tile import add_slide_options
from benchmarks.published import published_cost
from benchmarks.steps import READERS, circles_of, joined, measure_alone, median_of
from benchmarks.subject import Subject, subject_of
from gloinone.pipeline.atomic import sync_tree
from gloinone.pipeline.progress import Silent
from gloinone.pipeline.run_folder import run_folder
from gloinone.pipeline.run_slide import analyse
from gloinone.pipeline.save import SaveOptions, write_slide
from gloinone.pipeline.tasks import RunConfig
from gloinone.records import Overview, SlideResult, Status
from gloinone.slide.tiles import plan_cost, plan_tiles
from gloinone.slide.tissue import tissue_mm2, tissue_overview

LEAST_POINTS = 3
"""Through fewer some line always goes."""


def whole_job(subject: Subject) -> tuple[SlideResult, Mapping[str, float]]:
    """From opening the slide to the last file renamed; seconds of each step."""
    with TemporaryDirectory() as out:
        folder = Path(out) / "work"
        folder.mkdir()
        with subject.open() as slide:
            result = analyse(slide, subject.stages, lambda *_: None)
        start = time.monotonic()
        write_slide(folder, result, SaveOptions())
        sync_tree(folder)
        folder.rename(Path(out) / "done")
    return result, {**result.seconds, "write": time.monotonic() - start}


def report(subject: Subject, repeat: int, jobs: int, published_tiles: int) -> list[tuple[str, str]]:
    """All lines but that of the start-up."""
    on_gpu = subject.detector.device.type == "cuda"
    config = subject.detector.config
    whole_job(subject)  # the first one is not timed
    whole, (result, steps) = median_of(repeat, lambda: whole_job(subject))
    costs = {n: run_over_copies(subject, n) for n in (2**k for k in range(jobs.bit_length()))}
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
    classifier_ms = 1000 * alone.classify / max(1, alone.n_classified)
    segmenter_ms = 1000 * alone.segment / max(1, alone.n_segmented)
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
            f"{classifier_ms:.1f} ms classifier ({alone.n_classified}), "
            f"{segmenter_ms:.1f} ms segmenter ({alone.n_segmented}), {classifier_ms + segmenter_ms:.1f} ms both",
        ),
        ("whole job", f"{whole:.2f} s"),
        ("steps", ", ".join(f"{step} {seconds:.1f} s" for step, seconds in steps.items())),
        ("ratio whole/plan", f"{whole / planned:.2f}"),
        ("ratio whole/limit", f"{whole / limit:.2f}"),
        (
            "published schedule",
            f"{published.seconds:.1f} s for {published.n_tiles} tiles, {published.n_measured} of them measured",
        ),
        ("speed-up over published schedule", f"{published.seconds / whole:.1f}"),
        ("per cm2 of tissue", f"{whole / area * 100:.1f} s"),
        *growth(costs, area),
        ("peak memory", memory),
    ]


class Ends(Silent):
    """When the last slide of a run was in place."""

    def __init__(self) -> None:
        self.start_s = time.monotonic()
        self.seconds = 0.0

    def end(self, name: str, status: Status, text: str) -> None:
        """Raises RuntimeError unless it was done."""
        if status != "done":
            raise RuntimeError(f"{name}: {status} ({text})")
        self.seconds = time.monotonic() - self.start_s


def run_over_copies(subject: Subject, count: int) -> float:
    """Seconds from the beginning of a run until the last of its slides was in place."""
    slide, resolution = subject.slide.path, subject.resolution
    with TemporaryDirectory() as folder:
        source, table = Path(folder) / "in", Path(folder) / "mpp.csv"
        source.mkdir()
        names = [f"{number}{slide.suffix}" for number in range(count)]
        for name in names:  # a link to what is there already would be the same slide
            (shutil.copytree if slide.is_dir() else shutil.copy)(slide, source / name)
        table.write_text("slide,mpp\n" + "".join(f"{name},{resolution.mpp}\n" for name in names))
        config = RunConfig(source, Path(folder) / "out", mpp=resolution.mpp)
        ends = Ends()
        run_folder(
            replace(config, mpp_csv=table) if resolution.source == "csv" else config, subject.networks, ends
        )
    return ends.seconds


def growth(costs: Mapping[int, float], area_mm2: float) -> list[tuple[str, str]]:
    """A line for each number of slides, and what they say together; ``costs``: seconds by number."""
    lines = [
        (f"{n} slides", f"{cost:.2f} s, {n * area_mm2:.1f} mm2, {cost / (n * costs[1]):.2f} of {n} times one")
        for n, cost in costs.items()
    ]
    if len(costs) >= LEAST_POINTS:
        once, each, deviation = line_through(costs)
        per_cm2 = each / area_mm2 * 100
        words = f"{once:.1f} s and {each:.1f} s a slide ({per_cm2:.1f} s per cm2), at most {100 * deviation:.1f} % off"
        lines.append(("growth", words))
    return lines


def line_through(costs: Mapping[int, float]) -> tuple[float, float, float]:
    """Seconds of a run however many slides it has, those of each slide, and the largest deviation.

    The last as a share of the measured.
    """
    counts, measured = np.array(list(costs)), np.array(list(costs.values()))
    each, once = np.polyfit(counts, measured, 1)
    return float(once), float(each), float(np.abs((once + each * counts) / measured - 1).max())


def peak_memory(on_gpu: bool) -> str:
    """Of this process so far."""
    text = f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB"
    return text + (f", {torch.cuda.max_memory_allocated() / 1e9:.2f} GB on the device" if on_gpu else "")


def start_up(given: argparse.Namespace) -> str:
    """Median of fresh processes until the first tile has been read; the first one, not timed, compiles bytecode."""
    root = Path(__file__).resolve().parents[1]
    command = [sys.executable, "-m", "benchmarks.first_tile", str(given.slide), "--device", given.device]
    for name, values in (("--mpp", [given.mpp]), ("--mpp-csv", [given.mpp_csv]), ("--models", given.models)):
        command += [word for value in values if value is not None for word in (name, str(value))]
    paths = os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])
    env = {**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": ""}
    subprocess.run(command, check=True, env=env)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds, _ = median_of(given.repeat, lambda: subprocess.run(command, check=True, env=env))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return f"{seconds:.1f} s, {busy / given.repeat:.1f} s of the processor"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_slide_options(made)
    made.add_argument("--repeat", type=int, default=3, help="times that each thing is measured (3)")
    made.add_argument(
        "--jobs",
        type=int,
        default=8,
        help="copies of the slide in the largest run over several; those of 1, 2, 4, ... before it (8)",
    )
    made.add_argument(
        "--published-tiles",
        type=int,
        default=200,
        help="tiles of the published schedule that are really done; the rest is reckoned from them (200)",
    )
    return made


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    given = parser().parse_args(arguments)
    subject = subject_of(given)
    print(f"{subject.slide.name} on {subject.networks.device}")
    print(f"start-up: {start_up(given)}", flush=True)
    for name, value in report(subject, given.repeat, given.jobs, given.published_tiles):
        print(f"{name}: {value}")


if __name__ == "__main__":
    main()
