"""Files that lie beside a slide and belong to it: the folder of an .mrxs, the JPEGs that a .vms or .vmu names."""

from collections.abc import Mapping, Sequence
from pathlib import Path

LARGEST_INDEX_BYTES = 1 << 20


def companions(files: Sequence[Path], folders: Sequence[Path]) -> Mapping[Path, Path]:
    """Of the files and folders of one folder, those that belong to a slide there -> that slide."""
    owned: dict[Path, Path] = {}
    file_names = {file.name.casefold(): file for file in files}
    for slide in files:
        suffix = slide.suffix.lower()
        if suffix == ".mrxs":
            owned.update((folder, slide) for folder in folders if folder.name == slide.stem)
        elif suffix in (".vms", ".vmu"):
            for name in _named_by_index(slide):
                part = file_names.get(name.casefold())
                if part is not None and part != slide:
                    owned[part] = slide
    return owned


def _named_by_index(index: Path) -> list[str]:
    """Values of a Hamamatsu index, a Windows INI file: ``ImageFile(1,0)=name.jpg`` and the like."""
    try:
        with index.open("rb") as file:
            text = file.read(LARGEST_INDEX_BYTES).decode("utf-8", "surrogateescape")
    except OSError:
        return []
    values = (line.partition("=")[2].strip() for line in text.splitlines())
    return [value.replace("\\", "/").rsplit("/", 1)[-1] for value in values if value]
