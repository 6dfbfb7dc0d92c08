"""What the trainings of classifier and segmenter share: crops cut from patches, the recipe, how results are told."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gloinone.learning.augment import ColourConfig, augment_colour
from gloinone.learning.patches import FramingConfig, Patches, cut_pixels, framing, some_of_each_slide
from gloinone.learning.restaining import RESTAINED_SHARE, StainPool, stain_pool
from gloinone.learning.stains import Basis, stain_basis
from gloinone.learning.training import Recipe

STAIN_STEP = 4
"""A slide's stains are told from every so many px of its patches, in x and in y."""
AS_DETECTED = FramingConfig(scale=(0.9, 1.1), shift=0.06, aspect=1.0, turn=False)
"""Circles as a detector finds them; median circle IoU about 0.85."""
MEAN = (122.782, 117.001, 104.298)
"""Of the CC0 ResNet-34 that trainings start from, RGB 0..255."""
STD = (256.0, 256.0, 256.0)


@dataclass(frozen=True)
class Looks:
    """How differently the same patch is shown each time."""

    framing: FramingConfig
    colour: ColourConfig


AS_TRAINED = Looks(FramingConfig(), ColourConfig())


@dataclass(frozen=True)
class PatchSet:
    """Three parts that share no patient and no slide."""

    train: Patches
    validation: Patches
    """Calibrates, and chooses the best weights."""
    test: Patches
    """Is scored and nothing else."""
    left_out: frozenset[str] = frozenset()
    """Patients of whom nothing was even read."""

    @property
    def split(self) -> str:
        """For the card."""
        parts = (self.validation.groups, self.test.groups, self.left_out)
        names = [", ".join(sorted(set(part))) or "none" for part in parts]
        return f"validation: {names[0]}; test, never trained on: {names[1]}; left out: {names[2]}"

    def each(self, kept: Callable[[Patches], Patches]) -> "PatchSet":
        """The same of what is kept of each part."""
        return replace(self, train=kept(self.train), validation=kept(self.validation), test=kept(self.test))

    @property
    def held_out(self) -> tuple[Patches, str]:
        """What weights are compared on, and its name."""
        return (self.test, "test patients") if len(self.test) else (self.validation, "held-out patients")


def patch_recipe(
    steps: int,
    batch: int = 16,
    peak_rate: float = 3e-4,
    seed: int = 0,
    validate_every: int | None = None,
    average_decay: float = 0.99,
) -> Recipe:
    """Of both trainings; they validate four times unless told otherwise."""
    return Recipe(
        steps=steps,
        batch=batch,
        peak_rate=peak_rate,
        warmup_steps=max(1, steps // 20),
        average_decay=average_decay,
        max_gradient=5.0,
        validate_every=validate_every or max(1, -(-steps // 4)),
        save_every=50,
        seed=seed,
    )


@dataclass(frozen=True)
class Draw:
    """The crops of one step."""

    images: NDArray[np.uint8]
    """(B, 3, E, E), each framed and coloured anew."""
    numbers: NDArray[np.intp]
    """(B,) of their patches."""
    affines: tuple[NDArray[np.float64], ...]
    """How each was cut."""


@dataclass(frozen=True)
class PatchStains:
    """What patches are stained with, and what they may be shown in."""

    own: tuple[Basis | None, ...]
    """Of each patch's slide."""
    pool: StainPool


def patch_stains(patches: Patches, references: Sequence[Basis] = ()) -> PatchStains:
    """The stains of each slide, from some of its patches, and those of reference pictures."""
    of_slide: dict[str, Basis | None] = {}
    sources = []
    for numbers in some_of_each_slide(patches):
        of_slide[patches.slides[numbers[0]]] = stain_basis(
            patches.pixels[numbers][:, ::STAIN_STEP, ::STAIN_STEP]
        )
        sources.append(patches.sources[numbers[0]])
    pool = stain_pool(sources, list(of_slide.values()), references)
    return PatchStains(tuple(of_slide[slide] for slide in patches.slides), pool)


def cut_crops(
    patches: Patches,
    numbers: NDArray[np.intp],
    edge_px: int,
    rng: np.random.Generator,
    looks: Looks,
    stains: PatchStains | None = None,
) -> Draw:
    """One crop of each of these patches, framed and coloured at random; with ``stains`` some in those of others."""
    images = np.empty((len(numbers), edge_px, edge_px, 3), np.uint8)
    affines = []
    for i, number in enumerate(numbers):
        affines.append(framing(float(patches.radius[number]), edge_px, rng, looks.framing))
        pixels = cut_pixels(patches.pixels[number], affines[-1], edge_px)
        if stains:
            pixels = stains.pool.shown(pixels, stains.own[number], RESTAINED_SHARE, rng)
        images[i] = augment_colour(pixels, rng, looks.colour)
    return Draw(np.ascontiguousarray(images.transpose(0, 3, 1, 2)), numbers, tuple(affines))


def as_detected(patches: Patches, number: int, edge_px: int, seed: int = 0) -> NDArray[np.float64]:
    """(2, 3) affine of a patch's crop as if a detector had found its circle; the same every time."""
    return framing(float(patches.radius[number]), edge_px, np.random.default_rng((seed, number)), AS_DETECTED)


def patches_identity(parts: PatchSet, settings: str, references: Sequence[Basis] = ()) -> str:
    """Same for the same crops, settings and stains to show them in."""
    digest = hashlib.sha256(settings.encode())
    for patches in (parts.train, parts.validation):
        digest.update("\n".join(patches.labels + patches.slides).encode())
        for pictures in (patches.pixels, patches.masks):
            digest.update(np.ascontiguousarray(pictures[:, ::16, ::16]).tobytes())
    for basis in references:
        digest.update(basis.tobytes())
    return digest.hexdigest()


def by_source(patches: Patches, on: str) -> Iterator[tuple[str, NDArray[np.intp]]]:
    """What is reported on: all patches and then those of each source, with their numbers."""
    names = sorted(set(patches.sources))
    for name in names if len(names) == 1 else ["", *names]:
        own = [i for i, source in enumerate(patches.sources) if name in ("", source)]
        yield f"{on}, {name or 'all sources'}", np.array(own, np.intp)
