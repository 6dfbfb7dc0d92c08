"""Runs in an environment with TIAToolbox: its reader at the network's mpp, and batches. Prints seconds.

Example: python benchmarks/peer_tiatoolbox.py job.json    (written by benchmarks.peers)
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import torch
from tiatoolbox.wsicore.wsireader import WSIReader


class Patches(torch.utils.data.Dataset[torch.Tensor]):
    """What its own datasets do for each patch."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.job = job
        self.reader = WSIReader.open(job["slide"], mpp=(job["slide_mpp"],) * 2)

    def __len__(self) -> int:
        return len(self.job["places"])

    def __getitem__(self, index: int) -> torch.Tensor:
        """(3, E, E) 0..1."""
        size = (self.job["edge_px"],) * 2
        place = tuple(self.job["places"][index])
        patch = self.reader.read_rect(place, size, resolution=self.job["mpp"], units="mpp")
        return torch.from_numpy(patch).permute(2, 0, 1).float() / 255


def main(job_file: str) -> None:
    """As its patch predictor does it, without its progress bar and its store."""
    job = json.loads(Path(job_file).read_text())
    torch.set_num_threads(job["threads"])
    model = torch.jit.load(job["network"]).eval()
    start = time.monotonic()
    for pictures in torch.utils.data.DataLoader(Patches(job), batch_size=32):
        with torch.inference_mode():
            torch.nn.functional.softmax(model(pictures), dim=1).numpy()
    print(time.monotonic() - start)


if __name__ == "__main__":
    main(sys.argv[1])
