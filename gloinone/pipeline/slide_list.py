"""OUT/slides.txt: the slides that shards divide among them, found once.

A folder that grows while shards run therefore shifts nothing. A line per slide, each a JSON object: no name can
break a line, and bytes that are no Unicode survive as escapes. Paths are relative to IN, because IN may be mounted
elsewhere on another machine.
"""

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from gloinone.errors import OutputError, UsageError
from gloinone.pipeline.atomic import reason, write_atomic
from gloinone.pipeline.claims import Claims
from gloinone.pipeline.layout import CLAIMS, SLIDE_LIST
from gloinone.records import UNSAID, Origin
from gloinone.slide.discover import SlidePath

POLL_S = 0.2
ANEW = "write another with `gloinone list --again`"


def write_list(
    source: Path,
    out: Path,
    slides: Sequence[SlidePath],
    again: bool = False,
    hide_paths: bool = False,
    origins: Mapping[str, Origin] | None = None,
) -> bool:
    """Write the list unless there is one, or in any case ``again``; False if it was there.

    Of several processes that come at once one writes. ``hide_paths``: names, which are pseudonyms, stand for paths.
    ``origins``: by name, so that the patient of a slide is known before any run has come to it. Raises OutputError.
    """
    path = out / SLIDE_LIST
    if hide_paths:
        slides = [SlidePath(source / s.name, s.name, s.walked, (source / s.name,)) for s in slides]
    said = origins or {}
    lines = (_line(source, slide, said.get(slide.name, UNSAID)) + "\n" for slide in slides)
    data = "".join(lines).encode("ascii")
    while again or not path.exists():
        with Claims(out / CLAIMS).hold("list", SLIDE_LIST) as claim:
            if claim is not None and (again or not path.exists()):
                write_atomic(path, data)
                return True
        time.sleep(POLL_S)
    return False


def complete_list(out: Path, origins: Mapping[str, Origin]) -> None:
    """Write patients and stains that came to be known into the list; its slides and their order stay.

    What a run is told goes before what the list says; where it is told nothing of a slide, that stays. Raises
    OutputError, UsageError for a damaged list.
    """
    path = out / SLIDE_LIST

    def completed() -> bytes | None:
        """None where nothing is to be changed."""
        entries = [
            (slide, said, _over(said, origins.get(slide.name, UNSAID))) for slide, said in _entries(out)
        ]
        if all(said == told for _, said, told in entries):
            return None
        return "".join(_line(Path(), slide, told) + "\n" for slide, _, told in entries).encode("ascii")

    while origins and path.exists() and completed() is not None:
        with Claims(out / CLAIMS).hold("list", SLIDE_LIST) as claim:
            if claim is not None:
                if (data := completed()) is not None:  # as it is now that nobody else changes it
                    write_atomic(path, data)
                return
        time.sleep(POLL_S)


def _over(said: Origin, told: Origin) -> Origin:
    return Origin(told.patient or said.patient, told.stain or said.stain)


def read_list(out: Path) -> tuple[SlidePath, ...] | None:
    """The list's slides, with paths relative to IN; None without a list. Raises UsageError if it is damaged."""
    return tuple(slide for slide, _ in _entries(out)) if (out / SLIDE_LIST).exists() else None


def listed_origins(out: Path) -> dict[str, Origin]:
    """Patient and stain of each slide of the list by its name, as far as they were known when it was written."""
    return {slide.name: origin for slide, origin in _entries(out)} if (out / SLIDE_LIST).exists() else {}


def _entries(out: Path) -> Iterator[tuple[SlidePath, Origin]]:
    path = out / SLIDE_LIST
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise OutputError(f"{path}: cannot be read ({reason(error)}); mend that and run again") from error
    for number, line in enumerate(lines, 1):
        try:
            yield _parse(json.loads(line))
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{path}, line {number}: cannot be understood; {ANEW}") from error


def place_in(
    source: Path, slides: Sequence[SlidePath], found: Sequence[SlidePath] = ()
) -> tuple[SlidePath, ...]:
    """The list's slides as they lie in IN; those of a name that was ``found`` there as they were.

    Raises UsageError if not one is there: then it is the folder that is missing, and no slide must fail for it.
    """
    by_name = {slide.name: slide for slide in found}
    placed = tuple(
        by_name.get(slide.name)
        or replace(slide, path=source / slide.path, files=tuple(source / file for file in slide.files))
        for slide in slides
    )
    if placed and not any(os.path.lexists(slide.path) for slide in placed):
        raise UsageError(
            f"{source}: holds none of the {len(placed)} slides of {SLIDE_LIST}; give the folder of which that list "
            f"was made, or {ANEW}"
        )
    return placed


def _line(source: Path, slide: SlidePath, origin: Origin) -> str:
    return json.dumps(
        {
            "slide": slide.name,
            "path": str(slide.path.relative_to(source)),
            "files": [str(file.relative_to(source)) for file in slide.files],
            "walked": slide.walked,
            **{column: text for column, text in vars(origin).items() if text},
        }
    )


def _parse(said: Mapping[str, Any]) -> tuple[SlidePath, Origin]:
    files = tuple(Path(file) for file in said["files"])
    if not isinstance(said["slide"], str) or not files:
        raise ValueError("no slide")
    slide = SlidePath(Path(said["path"]), said["slide"], bool(said["walked"]), files)
    return slide, Origin(str(said.get("patient", "")), str(said.get("stain", "")))
