"""Which patients are held out, so that no patient and no slide is on both sides of a split."""

import hashlib
from collections import defaultdict
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

    def without(self, patients: AbstractSet[str]) -> "Origins":
        """All but the items of these, without what they show."""
        kept = [
            row
            for row in zip(self.patients, self.slides, self.sources, strict=True)
            if row[0] not in patients
        ]
        return Origins(*(list(column) for column in zip(*kept, strict=True))) if kept else Origins([], [], [])


def held_out(origins: Origins, named: frozenset[str] | None, option: str = "--val") -> NDArray[np.bool_]:
    """(N,) True for all items of the patients that are named, themselves or by one of their slides.

    ``named`` None: ``a_fifth``. Raises UsageError for names that do not exist, where nothing is left,
    and where a slide, or a copy of one, is on both sides.
    """
    chosen = a_fifth(origins) if named is None else patients_named(origins, named - {NOBODY}, option)
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


def a_fifth(origins: Origins) -> set[str]:
    """A fifth of the patients of every source; where all are too small for that, of all together, at least one of two.

    The same whatever is trained on a source, with which seed, and beside which other sources: who is held out of the
    detector is held out of the classifier, too.

    >>> ten = [f"p{i}" for i in range(10)]
    >>> len(a_fifth(Origins(ten, ten, ["a"] * 10))), a_fifth(Origins(["alone"], ["s"], ["a"]))
    (2, set())
    """
    of_source = defaultdict[str, set[str]](set)
    for patient, source in zip(origins.patients, origins.sources, strict=True):
        of_source[source].add(patient)
    chosen = set[str]().union(*(_first(own, round(len(own) / 5)) for own in of_source.values()))
    everybody = set(origins.patients)
    return chosen or (_first(everybody, 1) if len(everybody) > 1 else set())


def _first(names: AbstractSet[str], number: int) -> set[str]:
    """So many, in an order that the names alone decide."""
    return set(sorted(names, key=lambda name: hashlib.sha256(name.encode()).hexdigest())[:number])


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
