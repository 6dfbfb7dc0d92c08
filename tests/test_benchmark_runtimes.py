"""Folding a batch norm changes how a network is computed, not what it says."""

import torch
from torch import nn

from benchmarks.runtimes import first, folded


def test_folded_batch_norms_are_gone_and_the_answer_stays() -> None:
    torch.manual_seed(0)
    inner = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.BatchNorm2d(4))
    network = nn.Sequential(inner, nn.Conv2d(4, 2, 1)).train()
    for _ in range(3):  # running means that are not those it starts with
        network(torch.randn(8, 3, 9, 9) * 3 + 1)
    network.eval()
    x = torch.randn(2, 3, 9, 9)
    with torch.inference_mode():
        before = network(x)
        after = folded(network)(x)
    assert [type(m) for m in inner] == [nn.Conv2d, nn.Identity, nn.ReLU, nn.BatchNorm2d]
    torch.testing.assert_close(after, before)


def test_the_first_output_is_found_in_whatever_holds_it() -> None:
    wanted = torch.ones(2, dtype=torch.bfloat16)
    assert first(((wanted, torch.zeros(1)),)).dtype == torch.float32
    assert first(((wanted, torch.zeros(1)),)).tolist() == [1.0, 1.0]
