"""Names that other people give their layers and classes, mapped to ours by a small table."""

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gloinone.annotations.region import Region
from gloinone.errors import AnnotationError
from gloinone.labels import CLASSES, GLOMERULUS, SCLEROSED

IGNORE = "ignore"
"""Neither truth nor background."""
COMPLETE = "region"
"""A rectangle or polygon within which every glomerulus is outlined."""
KNOWN = (*CLASSES, SCLEROSED, GLOMERULUS, IGNORE, COMPLETE)
UNNAMED = "(no name)"


@dataclass(frozen=True)
class ClassNames:
    """Their names -> ours."""

    path: Path | None = None
    """Of the table; None: names are ours already."""
    ours: Mapping[str, str] | None = None
    """By name as in the table, without regard to case."""
    otherwise: str | None = None
    """Ours for every other name; None: there is none."""

    def named(self, region: Region) -> Region | None:
        """The region under our name, or None where its name is not known."""
        if self.ours is None:
            found = region.label if region.label in KNOWN else self.otherwise
        else:
            names = (region.label or UNNAMED, f"Layer {region.properties.get('layer')}")
            known = (self.ours[n] for name in names if (n := name.strip().casefold()) in self.ours)
            found = next(known, self.otherwise)
        return None if found is None else replace(region, label=found)

    def check(self, regions: Sequence[Region], where: str) -> None:
        """AnnotationError that lists all names with their numbers, where one of them is not known."""
        counts = Counter(region.label or UNNAMED for region in regions)
        unknown = sorted({region.label or UNNAMED for region in regions if self.named(region) is None})
        if not unknown:
            return
        listed = ", ".join(f"{name!r} {count}" for name, count in sorted(counts.items()))
        mend = (
            f"add them to {self.path}"
            if self.path
            else "rename the layers, or pass --classes FILE, a CSV with the columns name,class"
        )
        raise AnnotationError(
            f"{where}: unknown class names {', '.join(map(repr, unknown))}; all names: {listed}; {mend}; "
            f"classes are {', '.join(KNOWN)}"
        )


def read_class_names(path: Path) -> ClassNames:
    """A CSV with the columns name and class; AnnotationError with the line where it cannot be understood."""
    ours: dict[str, str] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, skipinitialspace=True)
            for row in reader:
                name, known = (row["name"] or "").strip(), (row["class"] or "").strip()
                if known not in KNOWN:
                    raise ValueError(f"line {reader.line_num}: {known!r} is none of {', '.join(KNOWN)}")
                if ours.setdefault((name or UNNAMED).casefold(), known) != known:
                    raise ValueError(f"line {reader.line_num}: {name!r} stands there twice")
    except (OSError, KeyError, ValueError, csv.Error) as error:
        raise AnnotationError(
            f"{path}: not a table of classes ({error}); give a CSV with the columns name,class"
        ) from error
    if not ours:
        raise AnnotationError(f"{path}: an empty table of classes; give a CSV with the columns name,class")
    return ClassNames(path, ours)
