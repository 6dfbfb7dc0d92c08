"""Numbers that no training can be made with are refused at once, with what to give."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from gloinone.cli.main import program

EVERY = ("detector", "classifier", "segmenter", "ssl")


def refused(tmp_path: Path, kind: str, *more: str) -> str:
    """What the command says, all of whose folders are empty."""
    folders = ("--slides", str(tmp_path), "--truth", str(tmp_path), "--out", str(tmp_path / "out"))
    result = CliRunner().invoke(program, ["train", kind, *folders, *more])
    assert result.exit_code == 2, result.output
    return " ".join(result.output.split())


@pytest.mark.parametrize("kind", EVERY)
@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--steps", "0"),
        ("--batch-size", "0"),
        ("--edge", "0"),
        ("--rate", "0"),
        ("--validate-every", "0"),
        ("--threads", "0"),
        ("--seed", "-1"),
    ],
)
def test_what_is_under_the_least_is_refused(kind: str, option: str, value: str, tmp_path: Path) -> None:
    assert f"Invalid value for '{option}'" in refused(tmp_path, kind, option, value)


@pytest.mark.parametrize(("kind", "edge", "following"), [("detector", 100, 128), ("segmenter", 70, 96)])
def test_an_edge_that_does_not_fit_is_told_the_next(
    kind: str, edge: int, following: int, tmp_path: Path
) -> None:
    said = refused(tmp_path, kind, "--edge", str(edge))
    assert f"--edge {edge}: give a multiple of 32, such as {following}" in said
    assert "no slides in it" in refused(tmp_path, kind, "--edge", str(following))


@pytest.mark.parametrize("kind", ["classifier", "ssl"])
def test_one_crop_cannot_be_normalised(kind: str, tmp_path: Path) -> None:
    assert "Invalid value for '--batch-size'" in refused(tmp_path, kind, "--batch-size", "1")
