"""Slides on which the tests of run_folder run."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from folder_fakes import write_slide_file


@pytest.fixture
def slides(tmp_path: Path) -> Path:
    """Three slides of which two differ in suffix only."""
    for seed, name in enumerate(("a.svs", "a.tif", "b/c.tif")):
        write_slide_file(tmp_path / "in" / name, seed)
    return tmp_path / "in"


@pytest.fixture
def informative() -> Iterator[None]:
    """The log as the command line sets it up: log.txt holds more than warnings."""
    logger = logging.getLogger("gloinone")
    logger.setLevel(logging.INFO)
    yield
    logger.setLevel(logging.NOTSET)


@pytest.fixture(scope="module")
def unflushed() -> Iterator[None]:
    """Nothing waits for the disk: what survives a pulled plug is tested elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda handle: None)
        yield
