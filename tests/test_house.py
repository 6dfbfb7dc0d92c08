"""Holds what surrounds the code: help, README, pins, and that nothing of one machine is in the repository."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from importlib.metadata import distribution
from pathlib import Path

import click
import pytest
from packaging.requirements import Requirement

from gloinone.cli.main import COMMANDS, EVALUATE, MODELS, TRAIN, program

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text("utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]

MODULE_OF = {
    "jinja2": "jinja2",
    "opencv-python-headless": "cv2",
    "openslide-python": "openslide",
    "pillow": "PIL",
    "segmentation-models-pytorch": "segmentation_models_pytorch",
}
"""Where the name of the import differs from that of the distribution."""

INDIRECT: set[str] = set()
"""Modules that another one loads by itself."""

MODELS_MB = 160
PICTURE_MB = 2


def _command(path: tuple[str, ...]) -> click.Command:
    command: click.Command = program
    for name in path:
        assert isinstance(command, click.Group)
        found = command.get_command(click.Context(command), name)
        assert found is not None
        command = found
    return command


def _tracked() -> list[Path]:
    """Files that git knows or would take; every file where there is no git."""
    result = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode != 0:
        pytest.skip("not a checkout")
    paths = (ROOT / name for name in result.stdout.split("\0") if name)
    return [path for path in paths if path.is_file()]


def _canonical(requirement: str) -> str:
    """Name of a distribution in its one spelling."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\s<>=!~;\[]", requirement.strip())[0]).lower()


PATHS = [
    (),
    *((name,) for name in (*COMMANDS, "train", "evaluate", "models")),
    *(("train", name) for name in TRAIN),
    *(("evaluate", name) for name in EVALUATE),
    *(("models", name) for name in MODELS),
]
every_command = pytest.mark.parametrize("path", PATHS, ids=lambda path: " ".join(path) or "gloinone")


@every_command
def test_every_command_has_help_with_one_example(path: tuple[str, ...]) -> None:
    command = _command(path)
    text = f"{command.help}\n\n{command.epilog or ''}"
    assert command.help
    assert text.count("Example:") == 1, "help has one example"
    example = text.split("Example:")[1].split("\n\n")[0].split()
    assert example[0] == "gloinone"
    if isinstance(command, click.Group):
        return
    arguments = example[1 + len(path) :]
    assert tuple(example[1 : 1 + len(path)]) == path
    # Would be refused for an option that does not exist; values are not looked at.
    command.make_context(path[-1], arguments, resilient_parsing=True)
    known = {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
    assert {word.split("=")[0] for word in arguments if word.startswith("--")} <= known


@every_command
def test_every_option_says_what_it_does(path: tuple[str, ...]) -> None:
    for parameter in _command(path).params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            assert parameter.help, f"{parameter.opts[0]} has no help"


@every_command
def test_every_command_stands_in_the_readme(path: tuple[str, ...]) -> None:
    assert "gloinone " + " ".join(path) in " ".join(README.split())


def test_the_tables_hold_every_command() -> None:
    context = click.Context(program)
    assert program.list_commands(context) == [path[0] for path in PATHS if len(path) == 1]


def test_every_option_of_run_stands_in_the_readme() -> None:
    for option in _command(("run",)).params:
        for name in option.opts:
            if name.startswith("--"):
                assert f"`{name}" in README, f"{name} is not in the README"


def test_the_readme_says_what_it_must() -> None:
    for words in (
        "make demo",
        "make test",
        "docker run",
        "esearch use only",
        "Apache-2.0",
        "docs/columns.md",
    ):
        assert words in README
    for link in re.findall(r"\]\(([^)#]+)\)", README):
        if "://" not in link:
            assert (ROOT / link).exists(), f"README links to {link}, which is not there"


def test_no_machine_and_no_registry_in_the_repository() -> None:
    """Paths of one machine, and hosts of package registries: a hospital has others."""
    machine = ("/wo" + "rk/main", "/fa" + "rm/", "/ro" + "ot/", "/tmp/ba" + "sh_jobs")
    registries = (
        "py" + "pi.org",
        "python" + "hosted",
        "registry.np" + "mjs",
        "deb.deb" + "ian",
        "snapshot.de" + "bian",
    )
    for path in _tracked():
        if path.suffix in {".png", ".jpg", ".safetensors", ".ico"}:
            continue
        text = path.read_text("utf-8")
        for words in (*machine, *registries):
            assert words not in text, f"{path.relative_to(ROOT)}: {words}"


def test_no_picture_of_a_patient_is_in_the_repository() -> None:
    """The one there is shows a drawn slide; slides and crops of hospitals stay where they are."""
    pictures = {".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".svs", ".dcm"}
    found = {path.relative_to(ROOT).as_posix() for path in _tracked() if path.suffix.lower() in pictures}
    assert found == {"docs/demo.jpg"}


def test_what_is_tracked_is_small() -> None:
    for path in _tracked():
        if path.suffix != ".safetensors":
            assert path.stat().st_size < PICTURE_MB * 1e6, path.relative_to(ROOT)
    models = sum(path.stat().st_size for path in (ROOT / "models").rglob("*") if path.is_file())
    assert models < MODELS_MB * 1e6


def test_every_dependency_is_pinned() -> None:
    files = ("constraints.txt", "constraints-image.txt")
    lines = [line for name in files for line in (ROOT / name).read_text("utf-8").splitlines()]
    pins = [line for line in lines if not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+", pin) for pin in pins)
    pinned = {_canonical(pin) for pin in pins}
    asked = [*PROJECT["dependencies"], *(name for extra in EXTRAS.values() for name in extra), "setuptools"]
    assert {_canonical(name) for name in asked} <= pinned


def _needs(requirements: Iterable[str], known: set[str]) -> set[str]:
    """Distributions that these requirements bring with them here, themselves included."""
    for text in requirements:
        requirement = Requirement(text)
        marker, name = requirement.marker, _canonical(requirement.name)
        if name in known or (marker and not marker.evaluate({"extra": ""})):
            continue
        known.add(name)
        _needs(distribution(requirement.name).requires or (), known)
    return known


def test_all_that_the_program_brings_with_it_is_pinned() -> None:
    """What is missing would come into the image in any version."""
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    assert _needs(PROJECT["dependencies"], set()) <= {_canonical(line) for line in lines}


def test_every_import_is_a_dependency_and_every_dependency_is_imported() -> None:
    imported = set()
    for path in (ROOT / "gloinone").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module.split(".")[0])
    foreign = imported - set(sys.stdlib_module_names) - {"gloinone"}
    asked = {_canonical(name) for name in PROJECT["dependencies"]}
    modules = {MODULE_OF.get(name, name) for name in asked - {"openslide-bin"}}  # a library, not a module
    on_request = {_canonical(name) for name in EXTRAS["dicom"]}
    assert foreign <= modules | on_request, "imported and not asked for"
    assert on_request <= foreign, "asked for and not imported"
    assert modules <= foreign | INDIRECT, "asked for and not imported"


def test_the_licence_is_the_whole_text() -> None:
    text = (ROOT / "LICENSE").read_text("utf-8")
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_what_is_no_code_is_installed_too(repository: Path) -> None:
    project = tomllib.loads((repository / "pyproject.toml").read_text("utf-8"))
    patterns = project["tool"]["setuptools"]["package-data"]["gloinone"]
    package = repository / "gloinone"
    beside = [p for p in package.rglob("*") if p.is_file() and p.suffix not in (".py", ".pyc")]
    missing = [
        p.name for p in beside if not any(p.relative_to(package).match(pattern) for pattern in patterns)
    ]
    assert beside
    assert not missing, "name them under package-data in pyproject.toml"
