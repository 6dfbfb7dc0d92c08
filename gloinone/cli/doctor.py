"""``gloinone doctor``: is everything here that the job needs, and if not, what to do."""

import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import click

from gloinone.cli.errors import verbose_option
from gloinone.errors import GloInOneError

PYTHON = (3, 11)
OPENSLIDE = (4, 0)
SCRATCH_MIB = 16
"""Free space under which the temporary folder is called too small. A run writes nothing there itself; on a GPU the
driver may keep what it compiled. Apptainer's --contain gives 64."""
REINSTALL = "install again with `make setup`, or use the image"


@dataclass(frozen=True)
class Check:
    """One line of the answer."""

    what: str
    found: str
    mend: str = ""
    """What to do; empty where all is well."""


@click.command()
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option(
    "--models",
    type=click.Path(path_type=Path),
    multiple=True,
    help="A folder of models, checked beside those that ship; may be repeated.",
)
@verbose_option
def command(device: str, models: tuple[Path, ...], verbose: bool) -> None:
    """Check that everything the job needs is here.

    Looks at Python, torch, the device, OpenSlide, the weights and their hashes, and the temporary folder.
    Exit status 1 if something is amiss, with what to do about it.

    Example: gloinone doctor --device cuda
    """
    failed = False
    for check in checks(device, models):
        failed = failed or bool(check.mend)
        click.echo(f"{'FAIL' if check.mend else 'ok':<5} {check.what:<11} {check.found}")
        if check.mend:
            click.echo(f"{'':<17} -> {check.mend}")
    if failed:
        raise SystemExit(1)


def checks(device: str, models: tuple[Path, ...]) -> Iterator[Check]:
    """Every check, in the order in which things break."""
    yield check_python(sys.version_info[:3])
    yield check_torch()
    yield check_device(device)
    yield check_openslide()
    yield from check_weights(models)
    yield check_scratch()


def check_python(found: tuple[int, ...]) -> Check:
    """Python itself."""
    text = f"{'.'.join(map(str, found))} on {platform.machine()} {platform.system()}"
    return Check("python", text, "" if found >= PYTHON else "use Python 3.11 or newer")


def check_torch() -> Check:
    """Whether torch and torchvision load together; a wrong pair fails when it is imported."""
    try:
        import gloinone.learning.backbones  # noqa: F401 # what is checked is the import
    except (ImportError, OSError, RuntimeError) as error:
        return Check("torch", f"does not load: {_one_line(error)}", REINSTALL)
    return Check("torch", f"{version('torch')}, torchvision {version('torchvision')}")


def check_device(name: str) -> Check:
    """Whether the device that a job would use computes."""
    try:
        from gloinone.learning.device import pick_device
        from gloinone.learning.probe import probe

        result = probe(pick_device(name))
    except GloInOneError as error:
        return Check("device", "not usable", _one_line(error))
    except (ImportError, OSError) as error:
        return Check("device", f"not known: {_one_line(error)}", REINSTALL)
    mend = "" if result.works else "update the NVIDIA driver (525 or newer), or pass --device cpu"
    return Check("device", result.text, mend)


def check_openslide() -> Check:
    """Whether the library that reads slides loads, and is new enough for DICOM."""
    try:
        import openslide
    except (ImportError, OSError) as error:
        return Check("openslide", f"does not load: {_one_line(error)}", REINSTALL)
    found = str(openslide.__library_version__)
    new_enough = tuple(int(part) for part in found.split(".")[:2]) >= OPENSLIDE
    return Check("openslide", found, "" if new_enough else f"OpenSlide 4 is needed; {REINSTALL}")


def check_weights(models: tuple[Path, ...]) -> Iterator[Check]:
    """A line per model found, its hash compared, and one for each task that has none."""
    from gloinone.weights.card import read_card
    from gloinone.weights.store import check_hash, list_models, model_dirs

    tasks = {"detector", "classifier", "segmenter"}
    try:
        folders = model_dirs(models)
    except GloInOneError as error:
        yield Check("weights", "not looked at", _one_line(error))
        return
    for paths in list_models(folders):
        try:
            card = read_card(paths.card)
            check_hash(paths, card)
        except GloInOneError as error:
            yield Check("weights", f"{paths.folder.name}: cannot be used", _one_line(error))
            continue
        tasks.discard(card.task)
        yield Check("weights", f"{card.task}: {card.identity}, hash right")
    for task in sorted(tasks):
        yield Check("weights", f"no usable {task}", f"put its folder into {folders[0]}, or pass --models DIR")


def check_scratch() -> Check:
    """Whether the temporary folder takes a file, and has room."""
    try:
        folder = Path(tempfile.gettempdir())
        with tempfile.TemporaryFile(dir=folder) as stream:
            stream.write(b"\0" * 2**20)
            stream.flush()
        free_mib = shutil.disk_usage(folder).free // 2**20
    except OSError as error:
        return Check("scratch", f"cannot be written: {_one_line(error)}", "set TMPDIR to a folder that can")
    mend = "free some space, or set TMPDIR to a folder on a larger disk; in a container mount one at /tmp"
    free = f"{free_mib} MiB" if free_mib < 1024 else f"{free_mib / 1024:.0f} GiB"
    return Check("scratch", f"{folder}, {free} free", "" if free_mib >= SCRATCH_MIB else mend)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
