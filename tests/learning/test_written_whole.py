"""Files of a training are whole or not there."""

from pathlib import Path

import pytest

from gloinone.errors import OutputError
from gloinone.learning.whole import written_whole


def test_the_new_file_takes_the_place_of_the_old(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "curves.png"
    for text in ("old", "new"):
        with written_whole(path) as aside:
            assert aside.suffix == ".png"
            aside.write_text(text)
            assert not path.exists() or path.read_text() == "old"
    assert path.read_text() == "new"
    assert [p.name for p in path.parent.iterdir()] == ["curves.png"]


def test_after_an_error_the_old_file_stands(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    path.write_text("old")

    def fail(error: Exception) -> None:
        with written_whole(path) as aside:
            aside.write_text("half")
            raise error

    with pytest.raises(ValueError, match="torn"):
        fail(ValueError("torn"))
    with pytest.raises(OutputError, match="No space left"):
        fail(OSError(28, "No space left on device"))
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["state.pt"]
