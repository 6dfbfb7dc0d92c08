"""Which patients are held out, so that no patient and no slide is on both sides of a split."""

import hashlib
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gloinone.errors import UsageError

NOBODY = "none"
"""Given as --val: nothing is held out, and nothing is measured."""


@dataclass(frozen=True)
class Origins:
    """Of N items: where each comes from."""

    patients: Sequence[str]
    slides: Sequence[str]
    sources: Sequence[str]
    pictures: Sequence[str] = ()
    """What each shows, hashed, so that a copy under another name is found; none: not looked at."""


def held_out(origins: Origins, named: frozenset[str] | None, option: str = "--val") -> NDArray[np.bool_]:
    """(N,) True for all items of the patients that are named, themselves or by one of their slides.

    ``named`` None: a fifth of the patients. Raises UsageError for names that do not exist, where nothing is left,
    and where a slide, or a copy of one, is on both sides.
    """
    chosen = a_fifth(origins.patients) if named is None else patients_named(origins, named - {NOBODY}, option)
    return out_of(origins, chosen, option)


def left_out_patients(origins: Origins, named: frozenset[str]) -> frozenset[str]:
    """The patients of --leave-out, of whom only the names are known: nothing of theirs is to be read.

    Raises UsageError for names that do not exist, and where a slide is on both sides.
    """
    chosen = patients_named(origins, named, "--leave-out")
    _refuse_leaks(
        origins, np.array([patient in chosen for patient in origins.patients], np.bool_), "--leave-out"
    )
    return frozenset(chosen)


def patients_named(origins: Origins, wanted: AbstractSet[str], option: str) -> set[str]:
    """The patients that are named, themselves or by one of their slides, with or without its suffix.

    Raises UsageError for names that nothing has.
    """
    names = [
        {patient, slide, Path(slide).stem}
        for patient, slide in zip(origins.patients, origins.slides, strict=True)
    ]
    if unknown := sorted(wanted - set[str]().union(*names)):
        known = ", ".join(sorted(set(origins.patients))[:20])
        raise UsageError(f"{option}: no slide or patient named {', '.join(unknown)}; patients: {known}")
    return {p for p, own in zip(origins.patients, names, strict=True) if wanted & own}


def join_origins(parts: Sequence[Origins]) -> Origins:
    """All of them, in order, without what they show."""
    return Origins(
        [patient for part in parts for patient in part.patients],
        [slide for part in parts for slide in part.slides],
        [source for part in parts for source in part.sources],
    )


def out_of(origins: Origins, chosen: AbstractSet[str], option: str) -> NDArray[np.bool_]:
    """(N,) True for all items of exactly these patients; refuses what leaks, as ``held_out`` does."""
    is_out = np.array([patient in chosen for patient in origins.patients], np.bool_)
    if len(is_out) and is_out.all():
        raise UsageError(f"{option} leaves nothing to train on; name fewer patients")
    _refuse_leaks(origins, is_out, option)
    return is_out


def a_fifth(patients: Sequence[str]) -> set[str]:
    """A fifth of the patients, at least one of two; the same whatever is trained on them and with which seed.

    >>> len(a_fifth([f"p{i}" for i in range(10)])), a_fifth(["alone"])
    (2, set())
    """
    names = sorted(set(patients), key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    return set(names[: max(1, round(len(names) / 5))]) if len(names) > 1 else set()


def _refuse_leaks(origins: Origins, is_out: NDArray[np.bool_], option: str) -> None:
    slides = np.array(
        [f"{source}/{slide}" for source, slide in zip(origins.sources, origins.slides, strict=True)]
    )
    if both := sorted(set(slides[is_out]) & set(slides[~is_out])):
        raise UsageError(f"{', '.join(both[:5])}: on both sides of {option}; give the slide one patient")
    if not origins.pictures:
        return
    shown = {
        picture: slide for picture, slide, out in zip(origins.pictures, slides, is_out, strict=True) if out
    }
    for picture, slide, out in zip(origins.pictures, slides, is_out, strict=True):
        if not out and picture in shown:
            raise UsageError(
                f"{slide} shows the same as {shown[picture]}, which {option} holds out; "
                "remove one of them, or give both the same patient"
            )


def picture_hash(pixels: NDArray[np.uint8], step: int) -> str:
    """Of every so many pixels."""
    thinned = np.ascontiguousarray(pixels[::step, ::step])
    return hashlib.sha256(f"{pixels.shape}".encode() + thinned.tobytes()).hexdigest()
