"""Folds of a cross-validation: every patient is left out once, with all that is theirs."""

import hashlib
import re
from collections import defaultdict

from gloinone.errors import UsageError
from gloinone.learning.holdout import Origins

BY_SOURCE = "source"


def folds_of(origins: Origins, how: str) -> dict[str, frozenset[str]]:
    """Name of each fold -> the patients it leaves out.

    ``how``: a number of folds, among which the patients of every source are dealt out, the same for every seed; or
    `source`: one fold for every source. Raises UsageError.
    """
    sources = defaultdict[str, set[str]](set)
    for patient, source in zip(origins.patients, origins.sources, strict=True):
        sources[patient].add(source)
    if how == BY_SOURCE:
        return _by_source(sources)
    number = int(how) if how.isdecimal() else 0
    if not 2 <= number <= len(sources):
        raise UsageError(
            f"--folds {how}: give a number from 2 to that of the patients ({len(sources)}), or {BY_SOURCE}"
        )
    dealt = sorted(sources, key=lambda p: (sorted(sources[p]), hashlib.sha256(p.encode()).hexdigest()))
    return {f"fold-{i + 1}": frozenset(dealt[i::number]) for i in range(number)}


def _by_source(sources: dict[str, set[str]]) -> dict[str, frozenset[str]]:
    if both := sorted(patient for patient, own in sources.items() if len(own) > 1):
        raise UsageError(
            f"--folds {BY_SOURCE}: {', '.join(both[:5])} in more than one source, so that no source can be left out "
            "whole; give a number of folds"
        )
    names = sorted(set[str]().union(*sources.values()))
    if len(names) < 2:
        raise UsageError(
            f"--folds {BY_SOURCE}: all is of one source ({', '.join(names)}); sources are the folders of --slides "
            "and the centres of --crops; give a number of folds"
        )
    folds: dict[str, frozenset[str]] = {}
    for name in names:
        fold = "without-" + re.sub(r"[^\w.-]", "_", name)
        while fold in folds:  # "Site 1" beside "Site_1"
            fold += "_"
        folds[fold] = frozenset(p for p, own in sources.items() if name in own)
    return folds
