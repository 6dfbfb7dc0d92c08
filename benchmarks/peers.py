"""The same tissue through WSInfer and TIAToolbox, beside ours.

    python -m benchmarks.peers SLIDE --wsinfer PYTHON --tiatoolbox PYTHON

PYTHON is the interpreter of an environment in which that program is installed, with a torch no newer than ours; one
that is left out is not measured. All three read the same places, those of a plain grid over the tissue without overlap,
at the mpp of our detector, and run the same network over them: our detector with its weights, as TorchScript. The peers
read as their own programs do (WSInfer from level 0, TIAToolbox from the nearest level), in float32 and batches as they
come by default (32); ours is what `gloinone run` does up to the circles, with the overlap that it needs. No network is
loaded within the time. The lines it prints, one for each program:

  NAME: S s, A mm2 of the grid, T s per 100 mm2
"""

import argparse
import json
import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.first_tile import add_slide_options
from benchmarks.subject import Subject, subject_of
from gloinone.records import Overview
from gloinone.slide.tissue import tissue_overview

HERE = Path(__file__).resolve().parent
PEERS = ("wsinfer", "tiatoolbox")


class OneNumber(nn.Module):
    """The detector as a classifier of tiles: the peers' programs take no other."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, E, E) 0..1 -> (B, 2): the highest of the heat map, and its opposite."""
        heat = self.network(x * 255)[0].flatten(1).amax(1)
        return torch.stack([heat, -heat], 1)


def grid_over_tissue(overview: Overview, edge_l0: float) -> NDArray[np.int64]:
    """(N, 2) x, y in level-0 px of the squares of a plain grid that hold tissue."""
    places = []
    for y in np.arange(0, overview.window.height, edge_l0):
        for x in np.arange(0, overview.window.width, edge_l0):
            corners = overview.window.image_from_l0(np.array([[x, y], [x + edge_l0, y + edge_l0]]))
            (left, top), (right, bottom) = corners.round().astype(int)
            if overview.tissue[top:bottom, left:right].any():
                places.append((round(x), round(y)))
    return np.array(places, np.int64).reshape(-1, 2)


def ours(subject: Subject) -> float:
    """Seconds from opening the slide to its circles."""
    start = time.monotonic()
    with subject.open() as slide:
        subject.detector.detect(subject.detector.read(slide, tissue_overview(slide)), lambda *_: None)
    return time.monotonic() - start


def peer(name: str, python: Path, job: Path) -> float | None:
    """Seconds, as the program in the other environment measures them; None where it ends with an error."""
    command = [str(python), str(HERE / f"peer_{name}.py"), str(job)]
    env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    ended = subprocess.run(command, check=False, env=env, stdout=subprocess.PIPE, text=True)
    return float(ended.stdout.splitlines()[-1]) if ended.returncode == 0 else None


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_slide_options(parser)
    parser.set_defaults(device="cpu")
    for name in PEERS:
        parser.add_argument(f"--{name}", type=Path, metavar="PYTHON", help=f"interpreter that has {name}")
    given = parser.parse_args(arguments)
    subject = subject_of(given)
    config = subject.detector.config
    with subject.open() as slide:
        info = slide.info
        overview = tissue_overview(slide)
    edge_l0 = config.edge_px * config.mpp / info.mpp
    places = grid_over_tissue(overview, edge_l0)
    area = len(places) * (config.edge_px * config.mpp / 1000) ** 2
    with TemporaryDirectory() as folder:
        weights, job = Path(folder) / "network.pt", Path(folder) / "job.json"
        example = torch.zeros(1, 3, config.edge_px, config.edge_px)
        network = OneNumber(subject.detector.network).eval().float()
        with torch.inference_mode():
            torch.jit.trace(network, example, check_trace=False).save(weights)
        said = {
            "slide": str(subject.slide.path.resolve()),
            "network": str(weights),
            "folder": folder,
            "mpp": config.mpp,
            "slide_mpp": info.mpp,
            "edge_px": config.edge_px,
            "edge_l0": round(edge_l0),
            "places": places.tolist(),
            "threads": torch.get_num_threads(),
        }
        job.write_text(json.dumps(said))
        ours(subject)  # the first one is not timed
        tell("gloinone", ours(subject), area)
        for name in PEERS:
            if (python := getattr(given, name)) is not None:
                tell(name, peer(name, python, job), area)


def tell(name: str, seconds: float | None, area_mm2: float) -> None:
    """A line, at once: the next program may take long."""
    if seconds is None:
        print(
            f"{name}: does not run in the environment that was named; its own words stand above", flush=True
        )
        return
    per_area = seconds / area_mm2 * 100
    print(
        f"{name}: {seconds:.1f} s, {area_mm2:.1f} mm2 of the grid, {per_area:.0f} s per 100 mm2", flush=True
    )


if __name__ == "__main__":
    main()
