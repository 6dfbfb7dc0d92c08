"""Which of the files that came back are a reader's answer, and of which slide each is."""

import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gloinone.errors import UsageError

SUFFIXES = (".geojson.gz", ".geojson", ".xml")
SHOWN = 5
"""Files that are named; of more only the number is told."""
_STEPPED_ASIDE = re.compile(r"\.new\d*$")
"""An export calls its file a.new.xml, a.new2.xml ... where somebody edited a.xml."""


@dataclass(frozen=True)
class Answers:
    """The files that count, and how many do not."""

    files: Mapping[str, Path]
    """By slide."""
    n_untouched: int
    """As the machine wrote them."""
    strangers: tuple[Path, ...]
    """Of no slide."""

    def told_strangers(self) -> str:
        """The first of them by name; empty where there is none."""
        more = len(self.strangers) - SHOWN
        shown = ", ".join(map(str, self.strangers[:SHOWN]))
        return f"{shown} and {more} more" if more > 0 else shown


def corrected_files(given: Sequence[Path]) -> list[Path]:
    """The files, and all in the folders, whose suffix is one of XML or GeoJSON; hidden ones aside."""
    found: list[Path] = []
    for path in given:
        below = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
        named = [file for file in below if file.name.endswith(SUFFIXES) and not file.name.startswith(".")]
        if not path.is_dir() and not named:
            raise UsageError(f"{path}: neither .xml nor .geojson; give what ImageScope or QuPath saved")
        found += named
    return found


def choose_answers(
    files: Sequence[Path],
    names: Collection[str],
    written: Mapping[str, Collection[str]] | None = None,
    untouched: bool = False,
) -> Answers:
    """One file for each of these slides that has any.

    ``written``: by slide, sha256 of what the machine wrote. A file that is still so is no answer, or, with
    ``untouched``, that of a slide without another. Raises UsageError for a file of several slides, for two answers
    of one slide, and where there is no answer at all.
    """
    read: dict[str, Path] = {}
    agreed: dict[str, Path] = {}
    strangers: list[Path] = []
    n_untouched = 0
    for file in files:
        name = slide_of(file, names)
        if name is None:
            strangers.append(file)
        elif _sha256(file) in (written or {}).get(name, ()):
            agreed.setdefault(name, file)
            n_untouched += 1
        elif name in read:
            raise UsageError(
                f"{name}: corrected in {read[name]} and in {file}; two files of one slide, give one"
            )
        else:
            read[name] = file
    answers = Answers(agreed | read if untouched else read, n_untouched, tuple(strangers))
    if answers.files:
        return answers
    if n_untouched:
        raise UsageError(
            f"{n_untouched} files, all as the machine wrote them: no reader's answer; give those that were corrected, "
            "or pass --untouched if a reader looked and found nothing to change"
        )
    if strangers:
        raise UsageError(
            f"{answers.told_strangers()}: fits no slide; corrected files are named as the slides are"
        )
    raise UsageError("no XML or GeoJSON in what was given; give the files that were corrected")


def slide_of(file: Path, names: Collection[str]) -> str | None:
    """The slide of the same name, told apart by folders where several have it; None: there is none.

    Where no slide is called a.new, a.new.xml is of slide a. Raises UsageError for a file of several slides.
    """
    stem = _stem(file)
    alike = _called(stem, names) or _called(_STEPPED_ASIDE.sub("", stem), names)
    best = max((_shared(file, name) for name in alike), default=0)
    nearest = [name for name in alike if _shared(file, name) == best]
    if len(nearest) > 1:
        raise UsageError(
            f"{file}: fits {len(nearest)} slides ({', '.join(nearest[:3])}); put it into a folder called as theirs"
        )
    return nearest[0] if nearest else None


def _called(stem: str, names: Collection[str]) -> list[str]:
    return [name for name in names if stem in (Path(name).stem, Path(name).name)]


def _stem(file: Path) -> str:
    suffix = next(suffix for suffix in SUFFIXES if file.name.endswith(suffix))
    return file.name.removesuffix(suffix)


def _shared(file: Path, name: str) -> int:
    """Last folders that a file's path and a slide's have in common; those of OUT end with the slide's own name."""
    folders, own = file.resolve().parent.parts, Path(name).parts
    if folders[-len(own) :] == own:
        return len(own) + 1
    parents = own[:-1]
    return next((n for n in range(len(parents), 0, -1) if folders[-n:] == parents[-n:]), 0)


def _sha256(file: Path) -> str:
    """Hex digest; empty for a file that cannot be read, of which its reader will say why."""
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return ""
