"""Pictures of single glomeruli with wide surroundings: trainings cut from them what the job would see.

A patch is a square around a circle (the glomerulus meant, or something that is none), scaled so that the crop
the job would read of that circle has an edge of ``CROP_IN_PATCH_PX``. A training frames each patch a little
differently every time, because the detector's circles are not perfect, and because sources that come tightly
cut must not be told from others by their framing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from gloinone.errors import UsageError
from gloinone.labels import NONGLOMERULAR
from gloinone.learning.holdout import Origins, held_out, picture_hash
from gloinone.learning.whole import written_whole

PATCH_PX = 320
CROP_IN_PATCH_PX = 200
"""A crop of the unjittered circle, in the patch."""
SPREAD = PATCH_PX / CROP_IN_PATCH_PX
UNKNOWN = 255
"""Mask value where nobody said what is there."""
SOME_OF_A_SLIDE = 12
"""Patches that tell a slide's stains and features; their mean moves little with more."""
_WORDS = ("labels", "groups", "slides", "sources")


@dataclass(frozen=True, eq=False)
class Patches:
    """N patches; the circle's centre is the patch's centre."""

    pixels: NDArray[np.uint8]
    """(N, P, P, 3) RGB."""
    masks: NDArray[np.uint8]
    """(N, P, P) 1 inside the outline of the glomerulus in the centre, 0 outside, UNKNOWN elsewhere."""
    radius: NDArray[np.float64]
    """(N,) of the circle, patch px."""
    labels: tuple[str, ...]
    """One of labels.CLASSES, or `sclerosed`, or `glomerulus`."""
    groups: tuple[str, ...]
    """Patient: never on both sides of a split."""
    slides: tuple[str, ...]
    sources: tuple[str, ...]
    """Folder, centre or stain: what results are reported by."""

    def __post_init__(self) -> None:
        sizes = {len(v) for v in (self.pixels, self.masks, self.radius, self.labels, self.groups)}
        if sizes != {len(self.slides)} or len(self.sources) != len(self.slides):
            raise ValueError(f"patches of different numbers: {sorted(sizes)}")

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, keep: NDArray[np.intp]) -> "Patches":
        """Those of the given numbers, in that order."""

        def words(values: Sequence[str]) -> tuple[str, ...]:
            return tuple(values[i] for i in keep)

        return Patches(
            self.pixels[keep], self.masks[keep], self.radius[keep],
            words(self.labels), words(self.groups), words(self.slides), words(self.sources),
        )  # fmt: skip


def join_patches(parts: Sequence[Patches]) -> Patches:
    """All of them, in order."""

    def words(name: str) -> tuple[str, ...]:
        return tuple(word for part in parts for word in getattr(part, name))

    if not parts:
        raise UsageError("no training crops at all; pass --slides and --truth, or --crops")
    return Patches(
        np.concatenate([p.pixels for p in parts]),
        np.concatenate([p.masks for p in parts]),
        np.concatenate([p.radius for p in parts]),
        words("labels"), words("groups"), words("slides"), words("sources"),
    )  # fmt: skip


def save_patches(path: Path, patches: Patches) -> None:
    """Uncompressed .npz, whole or not at all."""
    words: dict[str, Any] = {n: np.array(getattr(patches, n), np.str_) for n in _WORDS}
    with written_whole(path) as aside:
        np.savez(aside, pixels=patches.pixels, masks=patches.masks, radius=patches.radius, **words)


def load_patches(path: Path) -> Patches:
    """What ``save_patches`` wrote."""
    with np.load(path, allow_pickle=False) as data:
        words = [tuple(str(w) for w in data[n]) for n in _WORDS]
        return Patches(data["pixels"], data["masks"], data["radius"], *words)


def split_patches(
    patches: Patches, named: frozenset[str] | None, option: str = "--val"
) -> tuple[Patches, Patches]:
    """Training and held-out patches; ``named``: slides or patients, None for a fifth. Refuses what leaks."""
    return part_patches(patches, held_out(patch_origins(patches), named, option))


def part_patches(patches: Patches, is_out: NDArray[np.bool_]) -> tuple[Patches, Patches]:
    """Those that are not and those that are; ``is_out``: (N,)."""
    return patches.take(np.flatnonzero(~is_out)), patches.take(np.flatnonzero(is_out))


def some_of_each_slide(patches: Patches) -> Iterator[NDArray[np.intp]]:
    """Numbers of up to SOME_OF_A_SLIDE patches of each slide, from all over it."""
    slides = np.array(patches.slides)
    for name in dict.fromkeys(patches.slides):
        own = np.flatnonzero(slides == name)
        yield own[:: -(-len(own) // SOME_OF_A_SLIDE)]


def patch_origins(patches: Patches) -> Origins:
    """Where each comes from, and what it shows."""
    # Backgrounds may look alike; glomeruli do not
    pictures = [
        f"{i} is none" if label == NONGLOMERULAR else picture_hash(pixels, 8)
        for i, (label, pixels) in enumerate(zip(patches.labels, patches.pixels, strict=True))
    ]
    return Origins(patches.groups, patches.slides, patches.sources, pictures)


@dataclass(frozen=True)
class FramingConfig:
    """How far a training's crop may lie from the perfect one."""

    scale: tuple[float, float] = (0.8, 1.25)
    """Of the circle's radius."""
    shift: float = 0.15
    """Of the circle's radius, in x and in y."""
    aspect: float = 1.15
    turn: bool = True
    """By any angle, and mirrored."""


def framing(
    radius: float, edge_px: int, rng: np.random.Generator | None, config: FramingConfig
) -> NDArray[np.float64]:
    """(2, 3) affine: patch px from crop px, both with pixel centres at whole numbers (cv2's convention).

    Without a generator: the crop as the job reads it of the true circle.
    """
    scale, shift, aspect, angle, mirror = 1.0, np.zeros(2), 1.0, 0.0, 1.0
    if rng is not None:
        scale = float(np.exp(rng.uniform(*np.log(config.scale))))
        shift = rng.uniform(-config.shift, config.shift, 2) * radius
        aspect = float(np.exp(rng.uniform(-1, 1) * np.log(config.aspect) / 2))
        if config.turn:
            # Right angles half of the time: they resample nothing away
            angle = float(rng.integers(4)) * np.pi / 2 + float(rng.random() < 0.5) * rng.uniform(0, np.pi / 2)
            mirror = float(rng.choice([-1.0, 1.0]))
    context = CROP_IN_PATCH_PX / 2 - radius
    step = 2 * (radius * scale + context) / edge_px  # patch px per crop px
    cos, sin = np.cos(angle), np.sin(angle)
    linear = step * np.array([[cos, -sin], [sin, cos]]) @ np.diag([aspect * mirror, 1 / aspect])
    centre = PATCH_PX / 2 - 0.5 + shift
    offset = centre - linear @ np.full(2, edge_px / 2 - 0.5)
    return np.column_stack([linear, offset])


def cut_pixels(patch: NDArray[np.uint8], affine: NDArray[np.float64], edge_px: int) -> NDArray[np.uint8]:
    """(P, P, 3) -> (edge, edge, 3); what lies outside the patch is mirrored."""
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    size = (edge_px, edge_px)
    crop = cv2.warpAffine(patch, affine, size, flags=flags, borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(crop, np.uint8)


def cut_mask(mask: NDArray[np.uint8], affine: NDArray[np.float64], edge_px: int) -> NDArray[np.uint8]:
    """(P, P) -> (edge, edge); what lies outside the patch is UNKNOWN."""
    flags = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
    size = (edge_px, edge_px)
    border = cv2.BORDER_CONSTANT
    cut = cv2.warpAffine(mask, affine, size, flags=flags, borderMode=border, borderValue=(UNKNOWN,))
    return np.asarray(cut, np.uint8)


def balanced_shares(patches: Patches) -> NDArray[np.float64]:
    """(N,) probability of each patch in a draw: every source and label by the root of its number."""
    cells = [f"{source} {label}" for source, label in zip(patches.sources, patches.labels, strict=True)]
    _, cell, count = np.unique(cells, return_inverse=True, return_counts=True)
    share = 1 / np.sqrt(count[cell])
    return np.asarray(share / share.sum(), np.float64)
