"""Holds the package's structure: five floors, imports that point down, small modules that say what they do.

Every file is parsed, function bodies included; nothing is imported, but for the one test that shows that what
needs no network also starts without torch.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "gloinone"
MODULES = sorted(PACKAGE.rglob("*.py"))

FLOOR = {
    **dict.fromkeys(
        ("errors", "geometry", "labels", "records", "metrics", "cores", "doubts", "levelling"), 0
    ),
    **dict.fromkeys(("slide", "learning", "annotations", "weights", "drawn"), 1),
    **dict.fromkeys(("detection", "classification", "segmentation", "study"), 2),
    **dict.fromkeys(("pipeline", "review", "evaluation", "training", "systems"), 3),
    "cli": 4,
}
SIBLINGS = {("drawn", "annotations")}
"""The one permitted pair on a floor: drawn slides write their truth."""

TORCH_LIKE = {"torch", "torchvision", "segmentation_models_pytorch", "timm", "kornia"}
TORCH_FOLDERS = {"detection", "classification", "segmentation", "learning", "weights", "systems"}
TORCH_MODULES = {"pipeline/stages.py"}

MAX_LINES = 300
NAMELESS = {"utils", "util", "common", "helpers", "helper", "misc"}
UNFINISHED = ("TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK")


def _name(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def _room(path: Path) -> str:
    """The folder on a floor, or the module itself on floor 0; empty for the package's own __init__."""
    first = path.relative_to(PACKAGE).parts[0]
    return "" if first == "__init__.py" else first.removesuffix(".py")


def _imports(path: Path) -> Iterator[tuple[str, int]]:
    """Full names that a module imports, wherever in it, with their lines."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{_name(path)}:{node.lineno}: relative import"
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in (
            "import_module",
            "__import__",
        ):
            assert _name(path) == "cli/lazy.py", (
                f"{_name(path)}:{node.lineno}: an import this test cannot see"
            )


def _is_main_block(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "__name__ == '__main__'"


every_module = pytest.mark.parametrize("path", MODULES, ids=_name)


@every_module
def test_imports_point_down(path: Path) -> None:
    room = _room(path)
    assert room == "" or room in FLOOR, f"{room}: on no floor of DESIGN.md"
    for name, line in _imports(path):
        parts = name.split(".")
        if parts[0] != "gloinone" or len(parts) == 1 or parts[1] not in FLOOR:
            continue
        other = parts[1]
        down = FLOOR[other] < FLOOR.get(room, 0) or FLOOR[other] == 0  # floor 0 is one folder
        allowed = down or room == other or (room, other) in SIBLINGS
        assert allowed, f"{_name(path)}:{line}: {room} must not import {other}"


@every_module
def test_torch_stays_where_networks_live(path: Path) -> None:
    if _room(path) in TORCH_FOLDERS or _name(path) in TORCH_MODULES:
        return
    for name, line in _imports(path):
        assert name.split(".")[0] not in TORCH_LIKE, f"{_name(path)}:{line}: imports {name}"


@every_module
def test_modules_are_short_and_say_what_they_do(path: Path) -> None:
    text = path.read_text("utf-8")
    assert len(text.splitlines()) <= MAX_LINES, "does more than one thing?"
    assert ast.get_docstring(ast.parse(text)), "no docstring"
    assert not NAMELESS & set(path.relative_to(PACKAGE).with_suffix("").parts), "a name that says nothing"
    for word in UNFINISHED:
        assert word not in text


@every_module
def test_errors_are_caught_narrowly(path: Path) -> None:
    """One broad except exists, around one slide of a folder; elsewhere only to tidy up and raise again."""
    if _name(path).startswith("pipeline/batch"):
        return
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not isinstance(node, ast.ExceptHandler):
            continue
        broad = node.type is None or getattr(node.type, "id", "") in ("Exception", "BaseException")
        raised = isinstance(node.body[-1], ast.Raise)
        assert not broad or raised, f"{_name(path)}:{node.lineno}: a broad except"


@every_module
def test_nothing_is_printed_outside_the_commands(path: Path) -> None:
    if _room(path) == "cli":
        return
    tree = ast.parse(path.read_text("utf-8"))
    tree.body = [node for node in tree.body if not _is_main_block(node)]
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id != "print", f"{_name(path)}:{node.lineno}: text reaches the terminal in cli/"


def test_every_folder_is_a_package() -> None:
    for folder in {path.parent for path in MODULES}:
        assert (folder / "__init__.py").is_file(), folder.name


WITHOUT_TORCH = """
import importlib, sys
class Forbid:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "torchvision", "matplotlib"):
            raise AssertionError(f"{name} is imported")
sys.meta_path.insert(0, Forbid())
for name in sys.argv[1:]:
    importlib.import_module(name)
"""


def test_what_needs_no_network_starts_without_torch_or_plots() -> None:
    rooms = {"slide", "annotations", "drawn", "pipeline", "review", "cli"}
    names = [
        "gloinone." + _name(path).removesuffix(".py").replace("/", ".").removesuffix(".__init__")
        for path in MODULES
        if _room(path) in rooms and _name(path) not in TORCH_MODULES
    ]
    result = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, *names], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr[-2000:]
