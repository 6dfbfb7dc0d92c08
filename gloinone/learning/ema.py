"""Exponential moving average of a network's weights: what is validated and shipped."""

import copy

import torch
from torch import Tensor, nn


class WeightAverage:
    """Keeps a slow copy of a network; early steps count more, so that the start is forgotten."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.steps = 0
        self.network = copy.deepcopy(network).eval()
        for parameter in self.network.parameters():
            parameter.requires_grad_(False)

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """After each optimiser step."""
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        ours = self.network.state_dict()
        for name, theirs in network.state_dict().items():
            if theirs.dtype.is_floating_point:
                ours[name].lerp_(theirs, 1 - decay)
            else:
                ours[name].copy_(theirs)

    def state_dict(self) -> dict[str, Tensor | int | dict[str, Tensor]]:
        """For an exact resume."""
        return {"steps": self.steps, "network": self.network.state_dict()}

    def load_state_dict(self, state: dict[str, object]) -> None:
        """What `state_dict` gave."""
        steps, weights = state["steps"], state["network"]
        assert isinstance(steps, int)
        assert isinstance(weights, dict)
        self.steps = steps
        self.network.load_state_dict(weights)
