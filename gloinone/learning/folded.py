"""Normalisations that a file of weights left folded into a scale and a shift.

Weights that were converted for use alone, as those of dlib's ResNet-34 are, have batch normalisations that subtract
nothing and divide by one: what they subtracted and divided by stands in their scale and shift. In use that is the same
network. In training it is another one, since a batch is normalised once more: of the ImageNet ResNet-34 that trainings
here start from nothing was left beyond its first stage. So before the first step the network looks at a few batches,
and what its normalisations would have measured becomes theirs. In use it stays the same network.
"""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

Norms = Sequence[nn.BatchNorm2d]


def folded_norms(backbone: nn.Module) -> Norms:
    """Those of a backbone that never saw a picture as it stands, yet is not new; none if it is not to be trained."""
    norms = [module for module in backbone.modules() if isinstance(module, nn.BatchNorm2d)]
    measured_nothing = all(_is_constant(n.running_mean, 0) and _is_constant(n.running_var, 1) for n in norms)
    new = all(_is_constant(norm.weight, 1) and _is_constant(norm.bias, 0) for norm in norms)
    return norms if measured_nothing and not new and all(n.weight.requires_grad for n in norms) else ()


def _is_constant(values: Tensor | None, constant: float) -> bool:
    return values is None or bool((values == constant).all())


class _Moments:
    """Of what comes into a normalisation, over batches."""

    def __init__(self) -> None:
        self.pictures = 0
        self.mean = torch.zeros(())
        self.square = torch.zeros(())

    def __call__(self, norm: nn.Module, given: tuple[Tensor]) -> None:
        x = given[0].double()  # (B, C, H, W)
        share = len(x) / (self.pictures + len(x))
        self.mean = torch.lerp(self.mean.to(x), x.mean((0, 2, 3)), share)
        self.square = torch.lerp(self.square.to(x), x.square().mean((0, 2, 3)), share)
        self.pictures += len(x)

    @property
    def variance(self) -> Tensor:
        """(C,)."""
        return (self.square - self.mean.square()).clamp(min=0)


@torch.no_grad()
def unfold(network: nn.Module, norms: Norms, passes: Iterable[object]) -> None:
    """Give ``norms`` the moments of what they see while ``passes``, a generator of forward passes, is gone through."""
    seen = [_Moments() for _ in norms]
    hooks = [norm.register_forward_pre_hook(moments) for norm, moments in zip(norms, seen, strict=True)]
    mode = network.training
    network.eval()
    for _ in passes:
        pass
    network.train(mode)
    for hook in hooks:
        hook.remove()
    for norm, moments in zip(norms, seen, strict=True):
        _measured(norm, moments.mean, moments.variance)


def _measured(norm: nn.BatchNorm2d, mean: Tensor, variance: Tensor) -> None:
    """The same function of its input, which is normalised by these."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight.double() / (1 + norm.eps) ** 0.5
    norm.bias.add_(scale * mean)
    norm.weight.copy_(scale * (variance + norm.eps).sqrt())
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(variance)
