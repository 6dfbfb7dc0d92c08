"""The outermost command: starts at once, prints errors in one line, says which program it is."""

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from gloinone.cli import version
from gloinone.cli.errors import ErrorGroup, verbose_option
from gloinone.cli.lazy import Lazy, LazyGroup
from gloinone.cli.main import COMMANDS, EVALUATE, TRAIN, program
from gloinone.errors import UsageError

PATHS = [
    [],
    *([name] for name in COMMANDS),
    ["train"],
    *(["train", name] for name in TRAIN),
    ["evaluate"],
    *(["evaluate", name] for name in EVALUATE),
]

# Forbids what takes long to import, then runs the program.
WITHOUT_HEAVY_IMPORTS = """
import sys
HEAVY = 'torch torchvision cv2 openslide scipy shapely matplotlib sklearn tifffile jinja2 timm'
class Forbid:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in HEAVY.split():
            raise AssertionError(f"{name} imported for a help text")
sys.meta_path.insert(0, Forbid())
from gloinone.cli.main import main
main()
"""


@pytest.mark.parametrize("path", PATHS, ids=lambda path: " ".join(path) or "gloinone")
def test_help_imports_nothing_heavy(path: list[str]) -> None:
    call = [sys.executable, "-c", WITHOUT_HEAVY_IMPORTS, *path, "--help"]
    result = subprocess.run(call, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("Usage: ")


@pytest.mark.parametrize("path", [[], ["run"], ["train", "detector"]], ids=" ".join)
def test_help_is_there_in_half_a_second(path: list[str]) -> None:
    seconds = []
    for _ in range(3):  # the best of three: the machine may be busy with other tests
        before = sum(os.times()[2:4])
        subprocess.run(
            [sys.executable, "-m", "gloinone.cli.main", *path, "--help"],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        seconds.append(sum(os.times()[2:4]) - before)
    assert min(seconds) < 0.5


def test_unknown_command_is_refused() -> None:
    result = CliRunner().invoke(program, ["dance"])
    assert result.exit_code == 2
    assert "No such command 'dance'" in result.stderr


def test_the_list_of_commands_is_that_of_the_table() -> None:
    text = CliRunner().invoke(program, ["--help"]).stdout
    for name, lazy in COMMANDS.items():
        assert f"  {name} " in text
        assert lazy.summary in text


def _failing(error: BaseException) -> click.Group:
    """A program whose one command fails."""

    class Group(ErrorGroup, LazyGroup):
        pass

    @click.command()
    @verbose_option
    def fail(verbose: bool) -> None:
        raise error

    return Group(commands={"fail": fail}, lazy={"never": Lazy("gloinone.nowhere", "Not imported.")})


def test_our_errors_are_one_line_and_exit_2() -> None:
    result = CliRunner().invoke(_failing(UsageError("a.svs: no\nresolution; pass --mpp")), ["fail"])
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr == "error: a.svs: no resolution; pass --mpp\n"


def test_verbose_shows_the_traceback() -> None:
    result = CliRunner().invoke(_failing(UsageError("what, where")), ["fail", "-v"])
    assert result.exit_code == 2
    assert "Traceback" in result.stderr
    assert result.stderr.endswith("error: what, where\n")


def test_bugs_keep_their_traceback() -> None:
    result = CliRunner().invoke(_failing(ZeroDivisionError()), ["fail"])
    assert isinstance(result.exception, ZeroDivisionError)


def test_an_interrupt_exits_with_128_and_its_signal() -> None:
    result = CliRunner().invoke(_failing(KeyboardInterrupt()), ["fail"])
    assert result.exit_code == 130
    assert result.stderr == "interrupted\n"


def test_version_tells_commit_and_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLOINONE_COMMIT", "0123456789abcdef")
    result = CliRunner().invoke(program, ["--version"])
    assert result.exit_code == 0
    first, *models = result.stdout.splitlines()
    assert first.startswith("gloinone ")
    assert "0123456789ab)" in first
    for line in models:
        task, identity = line.split(": ")
        assert task in {"detector", "classifier", "segmenter"}
        assert len(identity.rpartition("@")[2]) == 12


def test_version_tells_of_a_damaged_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/card.json").write_text("torn")
    monkeypatch.setenv("GLOINONE_MODELS", str(tmp_path))
    result = CliRunner().invoke(program, ["--version"])
    assert result.exit_code == 0
    assert "mine: cannot be used; gloinone doctor says why" in result.stdout


def test_commit_comes_from_git_in_a_checkout(monkeypatch: pytest.MonkeyPatch, repository: Path) -> None:
    monkeypatch.delenv("GLOINONE_COMMIT", raising=False)
    if not (repository / ".git").exists():
        pytest.skip("not a checkout")
    head = subprocess.run(
        ["git", "-C", str(repository), "rev-parse", "HEAD"], capture_output=True, text=True, check=True
    ).stdout
    assert head.startswith(version.commit().rstrip("+"))


def test_commit_is_unknown_without_git(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("GLOINONE_COMMIT", raising=False)
    monkeypatch.setattr(version, "ROOT", tmp_path)
    assert version.commit() == "unknown"
