"""Whether a device really computes, and what it is: a driver or a GPU that is too old shows only then."""

from dataclasses import dataclass

import torch

from gloinone.learning.device import autocast, available_threads, precision_of


@dataclass(frozen=True)
class Probe:
    """What a trial computation showed."""

    works: bool
    text: str
    """The device in words, or what went wrong, in one line."""


def probe(device: torch.device) -> Probe:
    """Runs one small convolution in the precision that a job would use, and checks its result."""
    torch.manual_seed(0)
    image, kernel = torch.rand(1, 8, 32, 32), torch.rand(8, 8, 3, 3)
    expected = torch.nn.functional.conv2d(image, kernel)  # float32, CPU
    try:
        with torch.inference_mode(), autocast(device):
            found = torch.nn.functional.conv2d(image.to(device), kernel.to(device)).float().cpu()
    except RuntimeError as error:
        first_line = str(error).strip().splitlines()[0]
        return Probe(False, f"{device} is there but does not compute: {first_line}")
    if not torch.allclose(found, expected, rtol=0.05):
        return Probe(False, f"{device} computes wrong numbers")
    precision = str(precision_of(device)).removeprefix("torch.")
    if device.type == "cuda":
        card = torch.cuda.get_device_properties(device)
        return Probe(True, f"{device} {card.name}, {card.total_memory / 2**30:.0f} GiB, {precision}")
    return Probe(True, f"cpu, {available_threads()} threads, {precision}")
