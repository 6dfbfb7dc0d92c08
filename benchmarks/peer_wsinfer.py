"""Runs in an environment with WSInfer: its reading, its transform and its loop over batches. Prints seconds.

WSInfer 0.6.1 imports what zarr 3 no longer has: install "zarr<3" into that environment.

Example: python benchmarks/peer_wsinfer.py job.json    (written by benchmarks.peers)
"""

import json
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import torch
from wsinfer.modellib.data import WholeSlideImagePatches
from wsinfer.modellib.transforms import make_compose_from_transform_config
from wsinfer.wsi import set_backend
from wsinfer_zoo.client import TransformConfigurationItem


def main(job_file: str) -> None:
    """As wsinfer.modellib.run_inference does it, without its progress bar and its CSV."""
    job = json.loads(Path(job_file).read_text())
    torch.set_num_threads(job["threads"])
    set_backend("openslide")
    patches = Path(job["folder"]) / "patches.h5"
    with h5py.File(patches, "w") as file:
        coords = file.create_dataset("coords", data=np.array(job["places"]))
        coords.attrs["patch_size"], coords.attrs["patch_level"] = job["edge_l0"], 0
    model = torch.jit.load(job["network"]).eval()
    transform = make_compose_from_transform_config(
        [
            TransformConfigurationItem("Resize", {"size": job["edge_px"]}),
            TransformConfigurationItem("ToTensor", None),
        ]
    )
    start = time.monotonic()
    patches_of_slide = WholeSlideImagePatches(job["slide"], patches, transform)
    patches_of_slide.worker_init()
    for pictures, _ in torch.utils.data.DataLoader(patches_of_slide, batch_size=32):
        with torch.no_grad():
            torch.nn.functional.softmax(model(pictures), dim=1).numpy()
    print(time.monotonic() - start)


if __name__ == "__main__":
    main(sys.argv[1])
