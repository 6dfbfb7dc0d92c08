"""The inputs that folders of slides hold in practice, through the reader that opens them."""

import logging
import shutil
import struct
import zlib
from pathlib import Path

import pytest
from folder_fakes import FakeMethod, read_rows, run, write_slide_file


@pytest.mark.shared
def test_slides_of_one_name(tmp_path: Path, shared_data: Path) -> None:
    slides, out = tmp_path / "in", tmp_path / "out"
    write_slide_file(slides / "a.svs")
    write_slide_file(slides / "a.tif", 1)
    source = shared_data / "slides/cmu-1-small-region.dicom"
    shutil.copytree(source, slides / "a", ignore=shutil.ignore_patterns("*.txt", "*.md"))
    outcome = run(slides, out)
    assert outcome.statuses == {"a": "done", "a.svs": "done", "a.tif": "done"}
    assert {row["slide"]: row["mpp_source"] for row in read_rows(out / "summary.csv")}["a"] == "file"
    for name in outcome.statuses:
        assert (out / "slides" / name / "a.xml").is_file()
    method = FakeMethod()
    assert run(slides, out, method).exit_status == 0
    assert method.loads == 0


@pytest.mark.shared
def test_slides_that_cannot_be_used_say_why(tmp_path: Path, shared_data: Path) -> None:
    outcome = run(shared_data / "slides/awkward", tmp_path / "out", mpp=None)
    assert outcome.statuses == {"absurd-mpp.tiff": "failed", "refused-webp.tiff": "failed"}
    absurd, refused = (str(row["reason"]) for row in read_rows(tmp_path / "out/summary.csv"))
    assert "896" in absurd
    assert "--mpp" in absurd
    assert refused
    assert outcome.exit_status == 1


def test_damaged_and_hostile_files(tmp_path: Path) -> None:
    slides, out = tmp_path / "in", tmp_path / "out"
    whole = write_slide_file(slides / "whole.tif")
    (slides / "truncated.tif").write_bytes(whole.read_bytes()[:200_000])
    (slides / "empty.svs").touch()
    (slides / "text.svs").write_text("<!DOCTYPE x [<!ENTITY a 'aaaa'>]><x>&a;</x>")
    (slides / "bomb.png").write_bytes(png_header(60_000, 60_000))
    (slides / "dangling.svs").symlink_to(slides / "gone.svs")
    (slides / "loop").symlink_to(slides)
    outcome = run(slides, out)
    good = outcome.statuses.pop("whole.tif")
    assert good == "done"
    assert set(outcome.statuses) == {"truncated.tif", "empty.svs", "text.svs", "bomb.png", "dangling.svs"}
    assert set(outcome.statuses.values()) == {"failed"}
    assert all(row["reason"] for row in read_rows(out / "summary.csv") if row["slide"] != "whole.tif")


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds next to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    idat = chunk(b"IDAT", zlib.compress(b"\0"))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + idat + chunk(b"IEND", b"")


def test_a_row_without_a_slide_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_slide_file(tmp_path / "in/a.tif")
    table = tmp_path / "mpp.csv"
    table.write_text("slide,mpp\na.tif,0.25\ngone.tif,0.25\n")
    with caplog.at_level(logging.WARNING):
        assert run(tmp_path / "in", tmp_path / "out", mpp_csv=table).exit_status == 0
    assert "gone.tif matches no slide" in caplog.text
