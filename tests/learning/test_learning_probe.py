"""A trial computation tells a device that works from one that does not."""

import pytest
import torch

from gloinone.learning import probe as probe_module
from gloinone.learning.probe import probe


def test_the_processor_works() -> None:
    result = probe(torch.device("cpu"))
    assert result.works
    assert result.text.startswith("cpu")


def test_a_device_that_does_not_compute_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_module, "autocast", lambda _: torch.autocast("cpu", dtype=torch.bfloat16))
    result = probe(torch.device("meta"))  # a device without numbers
    assert not result.works
    assert "\n" not in result.text


@pytest.mark.gpu
def test_the_gpu_works() -> None:
    result = probe(torch.device("cuda"))
    assert result.works
    assert "GiB" in result.text
