"""Layouts of state dicts that other programs published: recognised by their keys, and taken whole or not at all."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gloinone.errors import WeightsError
from gloinone.weights.card import ModelCard, Task
from gloinone.weights.starting import shapes

COUNTER = "num_batches_tracked"
"""Of batch norms; not used in prediction, and not in files of torch 0.4."""


@dataclass(frozen=True)
class ImportOptions:
    """What the file does not say and the card needs."""

    name: str
    """Of the model."""
    created_by: str
    licence: str
    mpp: float | None = None
    """Of a detector, microns per pixel; None: as published."""
    labels: tuple[str, ...] | None = None
    """Of a classifier's outputs, in their order; None: as published."""


@dataclass(frozen=True)
class PublishedLayout:
    """One kind of file."""

    what: str
    task: Task
    marker: str
    """A key that no other layout has."""
    card: Callable[[Mapping[str, Tensor], ImportOptions], ModelCard]
    build: Callable[[ModelCard], nn.Module]
    unused: tuple[str, ...] = ()
    """Beginnings of keys that the published network holds and never uses."""
    rename: Callable[[str], str] = str
    """Key in the file -> key in our network."""


def recognise(state: Mapping[str, Tensor], layouts: Sequence[PublishedLayout], where: str) -> PublishedLayout:
    """The layout of a state dict. Raises WeightsError for one that is not known."""
    for layout in layouts:
        if layout.marker in state:
            return layout
    known = ", ".join(layout.what for layout in layouts)
    first = ", ".join(list(state)[:3])
    raise WeightsError(
        f"{where}: weights of an unknown layout (its first names: {first}); known: {known}; give the file as its "
        "program saved it"
    )


def fitted(
    state: Mapping[str, Tensor], layout: PublishedLayout, card: ModelCard, where: str
) -> dict[str, Tensor]:
    """The weights as the card's network takes them: every key of it, none but the known unused ones beside.

    Raises WeightsError that names what is missing, unknown or of another shape.
    """
    with torch.device("meta"):
        expected = shapes(layout.build(card).state_dict())
    found = {layout.rename(key): value for key, value in state.items() if not key.startswith(layout.unused)}
    counters = {key: torch.zeros((), dtype=torch.int64) for key in expected if key.endswith(COUNTER)}
    whole = {**counters, **found}
    missing = sorted(expected.keys() - whole.keys())
    unknown = sorted(whole.keys() - expected.keys())
    actual = shapes(whole)
    other = sorted(key for key in expected.keys() & actual.keys() if actual[key] != expected[key])
    if missing or unknown or other:
        wrong = [
            f"{len(keys)} {what} ({', '.join(keys[:3])})"
            for what, keys in (("missing", missing), ("unknown", unknown), ("of another shape", other))
            if keys
        ]
        raise WeightsError(
            f"{where}: looks like {layout.what}, but does not fit it: {'; '.join(wrong)}; give the published file"
        )
    return whole
