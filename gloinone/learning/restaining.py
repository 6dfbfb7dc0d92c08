"""Training tissue in stains that are not its own: those of other slides, and of reference pictures."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gloinone.learning.augment import mix_densities
from gloinone.learning.stains import Basis, transfer
from gloinone.records import Pixels

RESTAINED_SHARE = 0.25
"""Of the tiles or crops of a training."""


@dataclass(frozen=True)
class StainPool:
    """Stains to choose from."""

    sources: tuple[tuple[Basis, ...], ...]
    """Of the slides of each source."""
    references: tuple[Basis, ...] = ()

    def shown(self, pixels: Pixels, own: Basis | None, share: float, rng: np.random.Generator) -> Pixels:
        """The tissue, so often in other stains; ``own``: those of its slide, None where they are not known."""
        if own is None or rng.random() >= share:
            return pixels
        return mix_densities(pixels, transfer(own, self._any(rng)))

    def _any(self, rng: np.random.Generator) -> Basis:
        """Those of any source, the references being one, as likely as of another; a slide's strengths vary."""
        among = int(rng.integers(len(self.sources) + bool(self.references)))
        bases = self.references if among == len(self.sources) else self.sources[among]
        basis = bases[int(rng.integers(len(bases)))]
        strength = np.array([*rng.uniform(0.75, 1.25, 2), 1.0], np.float32)
        return np.asarray(basis * strength[:, None], np.float32)


def stain_pool(
    sources: Sequence[str], stains: Sequence[Basis | None], references: Sequence[Basis] = ()
) -> StainPool:
    """Of slides, each with its source and its stains, and of reference pictures."""
    by_source: dict[str, list[Basis]] = {}
    for source, basis in zip(sources, stains, strict=True):
        if basis is not None:
            by_source.setdefault(source, []).append(basis)
    return StainPool(tuple(tuple(by_source[source]) for source in sorted(by_source)), tuple(references))
