"""Whether a device really computes, and what it is: a driver or a GPU that is too old shows only then."""

from dataclasses import dataclass

import torch

from gloinone.learning.device import autocast, describe_device


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
    return Probe(True, describe_device(device))
