"""The key of --pseudonyms: which slide is called S0001, S0002, ...; the one file that holds both names.

A row is never changed, so a slide keeps its name for as long as the key is kept. Numbers are given at random
among the slides that are new: in the order of their names they would say something of the names.
"""

import csv
import io
import random
import re
import stat
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from gloinone.errors import OutputError, UsageError
from gloinone.pipeline.atomic import reason, write_atomic
from gloinone.pipeline.claims import Claims
from gloinone.pipeline.layout import SLIDES
from gloinone.pipeline.slide_list import read_list
from gloinone.records import Origin
from gloinone.slide.discover import SlidePath

COLUMNS = ["pseudonym", "slide"]
PSEUDONYM = re.compile(r"S(\d{4,})", re.ASCII)
ONLY_OWNER = 0o600
"""Mode of a new key; one that is there keeps its own."""
POLL_S = 0.2


def rename(slides: Iterable[SlidePath], called: Mapping[str, str]) -> tuple[SlidePath, ...]:
    """Slides under their pseudonyms and sorted by these: the order of their names is gone too."""
    renamed = (replace(slide, name=called[slide.name]) for slide in slides)
    return tuple(sorted(renamed, key=lambda slide: slide.name))


def disguise(origins: Mapping[str, Origin]) -> dict[str, Origin]:
    """By pseudonym of the slide: a patient is called by the lowest number of the slides, P0003 of S0003 and S0007.

    Slides that come later have higher numbers, so the name stays for as long as the key and the table do.

    >>> disguise({"S0007": Origin("Ann", "PAS"), "S0003": Origin("Ann")})["S0007"]
    Origin(patient='P0003', stain='PAS')
    """
    lowest: dict[str, str] = {}
    for slide in sorted(origins, key=lambda pseudonym: int(pseudonym[1:])):
        lowest.setdefault(origins[slide].patient, f"P{slide[1:]}")
    return {
        slide: replace(origin, patient=lowest[origin.patient] if origin.patient else "")
        for slide, origin in origins.items()
    }


def check_key_place(key: Path, source: Path, out: Path) -> None:
    """Raises UsageError for a key that would lie among the slides or the results, or in no folder."""
    places = {key.resolve(), key.parent.resolve() / key.name}
    for folder, what in ((out, "the results"), (source, "the slides")):
        if any(place.is_relative_to(folder.resolve()) for place in places):
            raise UsageError(
                f"{key}: lies with {what}, in {folder}; keep the key apart from both, e.g. --pseudonyms keys/KEY.csv"
            )
    if key.is_dir() or not key.parent.is_dir():
        problem = "is a folder" if key.is_dir() else "its folder is not there"
        raise UsageError(f"{key}: {problem}; name a file in a folder that exists")


def give_pseudonyms(
    key: Path, source: Path, out: Path, names: Iterable[str], keep: bool = True
) -> Mapping[str, str]:
    """Slides -> their pseudonyms; those of new slides are added to the key if ``keep`` says so.

    Raises UsageError for a damaged or misplaced key, and for one that does not know what lies in OUT: under another
    key the same pseudonym is another slide. OutputError for a key that cannot be written.
    """
    check_key_place(key, source, out)
    # looked at before the key is read, which may grow meanwhile
    there = {folder.name for folder in (out / SLIDES).glob("[!.]*") if folder.is_dir()}
    there |= {slide.name for slide in read_list(out) or ()}
    known = read_key(key)
    strange = there - set(known.values())
    if strange:
        raise UsageError(
            f"{out}: holds slides that {key} did not name ({len(strange)} of them); restore the key they were "
            "made with, or give another folder for the results"
        )
    new = [name for name in names if name not in known]
    if not new:
        return known
    return _extend(key, new) if keep else known | _number(known, new)


def read_key(key: Path) -> dict[str, str]:
    """Slides -> pseudonyms; empty where there is no key yet. Raises UsageError with the line that is damaged."""
    try:
        text = key.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UsageError(f"{key}: cannot be read ({reason(error)}); make it readable") from error
    except UnicodeDecodeError as error:
        raise _damaged(key, 1, "the text is not UTF-8") from error
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    known: dict[str, str] = {}
    given: set[str] = set()
    try:
        if next(lines, []) != COLUMNS or not text.endswith("\n"):
            raise _damaged(key, 1, f"it does not begin with {','.join(COLUMNS)} or its end is missing")
        for cells in lines:
            if len(cells) != 2 or not PSEUDONYM.fullmatch(cells[0]) or not cells[1]:
                raise _damaged(key, lines.line_num, "not a pseudonym such as S0001 and a slide")
            pseudonym, slide = cells
            if pseudonym in given or slide in known:
                raise _damaged(key, lines.line_num, "a pseudonym or a slide is listed twice")
            given.add(pseudonym)
            known[slide] = pseudonym
    except csv.Error as error:
        raise _damaged(key, lines.line_num, str(error)) from error
    return known


def _damaged(key: Path, line: int, problem: str) -> UsageError:
    return UsageError(f"{key}, line {line}: {problem}; restore the key from a copy, or name a new one")


def _extend(key: Path, names: list[str]) -> Mapping[str, str]:
    """Add slides to the key, unless another run just did; one run at a time."""
    claims = Claims(key.parent)
    try:
        while True:
            with claims.hold(f".{key.name}", key.name) as claim:
                if claim is not None:
                    known = read_key(key)
                    known |= _number(known, [name for name in names if name not in known])
                    mode = stat.S_IMODE(key.stat().st_mode) if key.exists() else ONLY_OWNER
                    if claim.is_ours():
                        write_atomic(key.resolve(), _text(known).encode(), mode)
                        return known
            time.sleep(POLL_S)
    except (OSError, OutputError) as error:
        cause = error.__cause__ or error
        problem = reason(cause) if isinstance(cause, OSError) else str(cause)
        raise OutputError(
            f"{key}: cannot be written ({problem}); it needs a folder where this user may write (in a container: "
            "mount the folder, not the file)"
        ) from error


def _number(known: Mapping[str, str], new: list[str]) -> dict[str, str]:
    """Pseudonyms for new slides, from the highest number on that was ever given."""
    first = 1 + max((int(pseudonym[1:]) for pseudonym in known.values()), default=0)
    shuffled = random.SystemRandom().sample(new, len(new))
    return {name: f"S{number:04d}" for number, name in enumerate(shuffled, start=first)}


def _text(known: Mapping[str, str]) -> str:
    text = io.StringIO(newline="")
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(COLUMNS)
    rows.writerows((pseudonym, slide) for slide, pseudonym in known.items())
    return text.getvalue()
