"""Which slides lie in a folder, each once, in sorted order, and what was passed over and why.

A slide's name is its path relative to the input folder, with forward slashes. Bytes that are no UTF-8 and
control characters stand in it as ``\\xe9``, so that every table can hold it; the path keeps them. No name is a
folder of another's, because each names a folder of results.
"""

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from gloinone.errors import UsageError
from gloinone.slide.companions import companions
from gloinone.slide.dicom import read_dicom_header

OPENSLIDE_SUFFIXES = frozenset(
    (".svs", ".svslide", ".tif", ".tiff", ".btf", ".qptiff", ".ndpi", ".mrxs", ".scn", ".bif", ".vms", ".vmu")
)
OTHER_SLIDE_SUFFIXES = frozenset((".czi", ".zvi", ".vsi", ".isyntax"))
"""OpenSlide may not open them: a slide that fails and says so is better than one that is passed over."""
PLAIN_SUFFIXES = frozenset((".png", ".jpg", ".jpeg"))
DICOM_SUFFIXES = frozenset((".dcm", ".dicom"))
SUFFIXES = OPENSLIDE_SUFFIXES | OTHER_SLIDE_SUFFIXES | PLAIN_SUFFIXES | DICOM_SUFFIXES
UNREAD = "cannot be read"
"""Begins the reason of a folder that may hold slides, for all we know."""
RUN_FILE = "run.json"
RUNS_FOLDER = "runs"
"""Shards of a run leave their records here instead."""
PROGRAM = re.compile(rb'"program"\s*:\s*"gloinone"')
RUN_FILE_START_BYTES = 1 << 16


@dataclass(frozen=True)
class SlidePath:
    """A slide that was found, or named by the user; it need not be readable."""

    path: Path
    """What ``open_slide`` opens: a file; of a DICOM series its largest."""
    name: str
    """Key of every table: the path relative to the input folder; of a DICOM series that of its folder."""
    walked: bool
    """False where the user named this very slide."""
    files: tuple[Path, ...]
    """All files of a DICOM series, or of a Hamamatsu index and what it names; else the one."""


@dataclass(frozen=True)
class Ignored:
    """Something that looks like a slide, or may hold some, and is passed over."""

    path: Path
    reason: str


@dataclass(frozen=True)
class Discovery:
    """What an input holds."""

    slides: tuple[SlidePath, ...]
    """Sorted by name."""
    ignored: tuple[Ignored, ...]
    """Sorted by path."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of the slides, in order."""
        return tuple(slide.name for slide in self.slides)


def find_slides(root: Path, out: Path | None = None) -> Discovery:
    """Slides of an input: one file, the folder of one DICOM series, or a folder walked recursively.

    ``out`` and all in it is passed over. An empty folder gives an empty answer; UsageError where the input
    does not exist or lies in the output.
    """
    if not root.exists():
        raise UsageError(f"{root}: does not exist; name a slide or a folder of slides")
    if not root.is_dir():
        return Discovery((SlidePath(root, readable(root.name), False, (root,)),), ())
    if out is not None and root.resolve().is_relative_to(out.resolve()):
        raise UsageError(f"{out}: the output holds the input {root}; write into another folder")
    walk = _Walk(out.resolve() if out is not None else None)
    walk.follow(root)
    slides = _dicom_slides(root, walk)
    slides += [
        SlidePath(f, readable(f.relative_to(root).as_posix()), True, (f, *sorted(walk.parts[f])))
        for f in walk.files
    ]
    return Discovery(_distinct(slides, walk), tuple(sorted(walk.ignored, key=lambda i: os.fsencode(i.path))))


def readable(name: str) -> str:
    r"""Name with what text cannot hold as ``\xNN``.

    >>> print(readable("caf\udce9 1.svs"))
    caf\xe9 1.svs
    """
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    return "".join(f"\\x{ord(c):02x}" if unicodedata.category(c) == "Cc" else c for c in text)


@dataclass
class _Walk:
    """Gathers what may be a slide."""

    out: Path | None
    files: list[Path] = field(default_factory=list)
    series: dict[tuple[Path, str], list[Path]] = field(default_factory=lambda: defaultdict(list))
    """DICOM instances of slides by folder and series."""
    parts: dict[Path, list[Path]] = field(default_factory=lambda: defaultdict(list))
    """Files that belong to a slide in one file, by that file."""
    ignored: list[Ignored] = field(default_factory=list)
    seen: set[Path] = field(default_factory=set)
    """Real paths of files and folders that were met."""

    def follow(self, root: Path) -> None:
        """Walks the real tree first and then each link: a slide is named by where it lies, not by a link."""
        links = self._folder(root)
        while links:
            further: list[Path] = []
            for link in sorted(links):
                if _is(link.is_dir):
                    further.extend(self._folder(link))
                else:
                    self._file(link, Path(os.path.realpath(link)))
            links = further

    def _folder(self, start: Path) -> list[Path]:
        """Takes a folder and all below it; answers with the links met."""
        links: list[Path] = []
        todo = [(start, start.resolve())]
        while todo:
            folder, real = todo.pop()
            if real in self.seen or (self.out is not None and real.is_relative_to(self.out)):
                continue
            self.seen.add(real)
            if _is_our_output(folder):
                self.ignored.append(Ignored(folder, "holds results of gloinone"))
                continue
            try:
                entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
            except OSError as error:
                self.ignored.append(Ignored(folder, f"{UNREAD} ({error.strerror})"))
                continue
            visible = [entry for entry in entries if not entry.name.startswith(".")]
            folders, files = list[Path](), list[Path]()
            for entry in visible:
                (folders if _is(entry.is_dir) else files).append(Path(entry.path))
            owned = companions(files, folders)
            self.ignored.extend(
                Ignored(part, f"belongs to {owner.name}") for part, owner in owned.items() if _by_suffix(part)
            )
            for part in files:
                if part in owned:
                    self.parts[owned[part]].append(part)
            links.extend(Path(e.path) for e in visible if e.is_symlink() and Path(e.path) not in owned)
            real_entries = {Path(e.path) for e in visible if not e.is_symlink()} - owned.keys()
            todo.extend((path, real / path.name) for path in folders if path in real_entries)
            for path in files:
                if path in real_entries:
                    self._file(path, real / path.name)
        return links

    def _file(self, path: Path, real: Path) -> None:
        """Takes one file if it may be a slide; a link to nothing fails later rather than being lost."""
        suffix = path.suffix.lower()
        may_be_dicom = suffix in DICOM_SUFFIXES or suffix == "" or suffix[1:].isdigit()
        if (may_be_dicom or _by_suffix(path)) and _is(path.exists) and not path.is_file():
            if _by_suffix(path):
                self.ignored.append(Ignored(path, "not a file but a pipe, socket or device"))
            return
        header = read_dicom_header(path) if may_be_dicom else None
        if header is None and not _by_suffix(path):
            return
        if real in self.seen:
            self.ignored.append(Ignored(path, "a link to another slide"))
            return
        self.seen.add(real)
        if header is None:
            self.files.append(path)
        elif header.is_slide:
            self.series[path.parent, header.series].append(path)
        else:
            self.ignored.append(Ignored(path, "DICOM, but not an image of a slide"))

    def pass_over_pictures(self, folder: Path) -> None:
        """Those that lie with a DICOM series (a preview) are no slides of their own, and change no slide's name."""
        files, self.files = self.files, []
        for file in files:
            if file.suffix.lower() in PLAIN_SUFFIXES and file.is_relative_to(folder):
                why = "a picture in the folder of a DICOM series; move it to have it analysed"
                self.ignored.append(Ignored(file, why))
            else:
                self.files.append(file)


def _by_suffix(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES


def _is(question: Callable[[], bool]) -> bool:
    """The answer; no, where nobody may look: of a link that leads in a circle, or into a folder of somebody else's."""
    try:
        return question()
    except OSError:
        return False


def _is_our_output(folder: Path) -> bool:
    try:
        shards = sorted((folder / RUNS_FOLDER).glob("*.json"))
    except OSError:  # the folder may not be entered, which its own listing will say
        shards = []
    return any(map(_is_our_record, (folder / RUN_FILE, *shards)))


def _is_our_record(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return PROGRAM.search(file.read(RUN_FILE_START_BYTES)) is not None
    except OSError:
        return False


def _dicom_slides(root: Path, walk: _Walk) -> list[SlidePath]:
    """One slide per series, named by its folder, or by its first file where the folder holds further slides."""
    homes = [file.parent for file in walk.files if file.suffix.lower() not in PLAIN_SUFFIXES]
    homes += [folder for folder, _ in walk.series]
    slides = []
    for (folder, _), files in walk.series.items():
        alone = sum(home.is_relative_to(folder) for home in homes) == 1
        largest = max(files, key=lambda file: (file.stat().st_size, file.name))
        if alone and folder == root:
            slides.append(SlidePath(largest, readable(root.resolve().name), False, tuple(sorted(files))))
            continue
        if alone:
            walk.pass_over_pictures(folder)
        home = folder if alone else min(files)
        name = readable(home.relative_to(root).as_posix())
        slides.append(SlidePath(largest, name, True, tuple(sorted(files))))
    return slides


def _distinct(slides: list[SlidePath], walk: _Walk) -> tuple[SlidePath, ...]:
    """Sorted by name, each name once."""
    by_name: dict[str, SlidePath] = {}
    for slide in sorted(slides, key=lambda slide: (slide.name, os.fsencode(slide.path))):
        if by_name.setdefault(slide.name, slide) is not slide:
            walk.ignored.append(Ignored(slide.path, f"its name reads like that of {slide.name}; rename one"))
    return tuple(by_name.values())
