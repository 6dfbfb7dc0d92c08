"""What tells who a patient is stays out of OUT: headers always, file names with --pseudonyms. No socket is opened."""

import base64
import json
import os
import re
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import click.testing
import openslide
import pytest
import tifffile
from click.testing import CliRunner
from folder_fakes import FakeMethod, read_rows, write_slide_file
from PIL import Image, PngImagePlugin
from secret_slides import DATES, MPP, SECRET, UID, write_broken_mrxs, write_secret_dicom, write_secret_svs

from gloinone.cli import run as cli_run
from gloinone.cli.main import program
from gloinone.pipeline.layout import slide_key
from gloinone.pipeline.pseudonyms import read_key
from gloinone.slide.reader import Slide

BASE64 = re.compile(rb"base64,([A-Za-z0-9+/=]+)")


@pytest.fixture
def method(monkeypatch: pytest.MonkeyPatch) -> FakeMethod:
    """Stands in for the networks; two slides fail as a program and a disk do, quoting their paths."""

    def fail(slide: Slide) -> None:
        if "fault" in slide.path.name:
            raise RuntimeError(f"cannot do {slide.path}")
        if "disk" in slide.path.name:
            raise OSError(5, "Input/output error", str(slide.path))

    method = FakeMethod(
        on_slide=fail, cards={"detector": {"name": "fake", "split": f"validation: {SECRET}.svs"}}
    )
    monkeypatch.setattr(cli_run, "networks", lambda options: method)
    return method


@pytest.fixture
def no_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    """A label, macro image or thumbnail that is opened fails the slide."""

    def opened(slide: openslide.OpenSlide) -> None:
        raise AssertionError("label and macro images are never opened")

    monkeypatch.setattr(openslide.OpenSlide, "associated_images", property(opened))


def call(*words: Any) -> click.testing.Result:
    arguments = list(map(str, words))
    with mock.patch.object(sys, "argv", ["gloinone", *arguments]):  # what a run records
        return CliRunner().invoke(program, arguments, catch_exceptions=False)


def said_in(out: Path) -> Iterator[tuple[str, bytes]]:
    """Every name and content below a folder, also what is compressed or encoded in it."""
    for path in sorted(out.rglob("*")):
        where = path.relative_to(out).as_posix()
        yield where, os.fsencode(where)
        if not path.is_file():
            continue
        data = path.read_bytes()
        yield where, data
        for inlined in BASE64.findall(data):
            yield f"{where}, inlined", base64.b64decode(inlined)
        if path.suffix in (".png", ".jpg"):
            with Image.open(path) as picture:
                yield f"{where}, metadata", repr(picture.info).encode()
                yield f"{where}, EXIF", repr(dict(picture.getexif())).encode()
        if path.suffix == ".tif":
            with tifffile.TiffFile(path) as tiff:
                for page in tiff.pages:
                    yield f"{where}, tags", repr({tag.name: tag.value for tag in page.tags}).encode()
                    segments = zip(page.dataoffsets, page.databytecounts, strict=True)
                    for segment in {data[start : start + length] for start, length in segments}:
                        yield f"{where}, pixels", zlib.decompress(segment)


def places_of(word: str, out: Path) -> list[str]:
    """Where a word stands, in whatever case."""
    wanted = word.lower().encode()
    return [where for where, data in said_in(out) if wanted in data.lower()]


def test_the_search_finds_what_is_there(tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / f"{SECRET} folder").mkdir(parents=True)
    picture, text = Image.new("L", (4, 4)), PngImagePlugin.PngInfo()
    text.add_text("Comment", SECRET * 50, zip=True)
    picture.save(out / "a.png", pnginfo=text)
    exif = Image.Exif()
    exif[270] = SECRET
    picture.save(out / "a.jpg", exif=exif)
    pixels = (SECRET.encode() * 4000)[: 128 * 128]
    options = {"tile": (128, 128), "compression": "zlib", "metadata": None}
    tiles = iter([zlib.compress(pixels)])
    tifffile.imwrite(out / "a.tif", tiles, shape=(128, 128), dtype="uint8", **options)
    (out / "a.html").write_bytes(
        b'<img src="data:image/jpeg;base64,' + base64.b64encode(SECRET.encode()) + b'">'
    )
    assert SECRET.encode() not in (out / "a.png").read_bytes() + (out / "a.tif").read_bytes()
    found = ", ".join(places_of(SECRET, out))
    for where in (f"{SECRET} folder", "a.png, metadata", "a.jpg, EXIF", "a.tif, pixels", "a.html, inlined"):
        assert where in found


@pytest.mark.usefixtures("no_labels")
def test_headers_are_never_copied(tmp_path: Path, method: FakeMethod) -> None:
    write_secret_svs(tmp_path / "in/a.svs")
    write_secret_dicom(tmp_path / "in/d", study="b")
    result = call("run", tmp_path / "in", tmp_path / "out", "--log-json", tmp_path / "out/log.jsonl", "-v")
    assert result.exit_code == 0, result.output
    rows = read_rows(tmp_path / "out/summary.csv")
    assert [(row["slide"], row["vendor"], row["mpp"]) for row in rows] == [
        ("a.svs", "aperio", MPP),
        ("d", "dicom", MPP),
    ]
    kept = tmp_path / "in"
    for word in (*DATES[:2], UID, "ScanScope"):
        assert places_of(word, kept), f"{word} is not even in the slides"
    for word in (*DATES, UID, "ScanScope"):
        assert places_of(word, tmp_path / "out") == []
    assert places_of(SECRET, tmp_path / "out") == [
        "run.json"
    ]  # the fake model's card names its training slides


@pytest.mark.usefixtures("no_labels")
@pytest.mark.parametrize("shards", [1, 2])
def test_with_pseudonyms_nothing_tells_who_it_is(shards: int, tmp_path: Path, method: FakeMethod) -> None:
    source, out, key = tmp_path / f"{SECRET} in", tmp_path / "out", tmp_path / "KEY.csv"
    write_secret_svs(source / f"{SECRET} case" / f"{SECRET}.svs")
    write_secret_dicom(source / f"{SECRET} dicom")
    write_broken_mrxs(source / f"{SECRET}.mrxs")
    write_slide_file(source / f"{SECRET} fault.tif")
    write_slide_file(source / f"{SECRET} disk.tif")
    (source / f"{SECRET} torn.svs").write_text(SECRET)
    (source / f"{SECRET} link.svs").symlink_to(source / f"{SECRET}.mrxs")
    table = tmp_path / f"{SECRET}.csv"
    patient = f"{SECRET} Smith"
    table.write_text(
        f"slide,mpp,patient,stain\n{SECRET} fault.tif,0.5,{patient},PAS\n{SECRET} gone.svs,0.5,{patient},\n"
        f"{SECRET}.svs,,{patient},HE\n"
    )
    options = ["--pseudonyms", key, "--mpp", MPP, "--mpp-csv", table, "--log-json", out / "log.jsonl", "-v"]
    said = "" if shards == 1 else call("list", source, out, "--pseudonyms", key).output
    for repetition in ([], ["--overwrite"]):
        for shard in range(shards):
            part = [] if shards == 1 else ["--shard", f"{shard}/{shards}"]
            result = call("run", source, out, *options, *part, *repetition)
            assert result.exit_code == 1, result.output
            said += result.output
    said += call("merge", out).output
    said += call("run", source, out, *options, "--dry-run").output
    for word in (SECRET, *DATES, UID):
        assert places_of(word, out) == []
        assert word not in said
    for name in read_key(key):
        assert places_of(slide_key(name), out) == [], "a hash of a name can be guessed"
    assert "6 slides" in said
    rows = {str(row["slide"]): row for row in read_rows(out / "summary.csv")}
    called = read_key(key)
    assert sorted(rows) == sorted(called.values()) == [f"S{i:04d}" for i in range(1, 7)]
    status = {name: rows[pseudonym]["status"] for name, pseudonym in called.items()}
    assert [name for name in status if status[name] == "done"] == [
        name for name in status if name in (f"{SECRET} case/{SECRET}.svs", f"{SECRET} dicom")
    ]
    reasons = {name: str(rows[pseudonym]["reason"]) for name, pseudonym in called.items()}
    assert reasons[f"{SECRET} disk.tif"] == "Input/output error"
    assert reasons[f"{SECRET}.mrxs"].startswith("OpenSlide refuses it; ")
    assert "RuntimeError; its traceback" in reasons[f"{SECRET} fault.tif"]
    log = (out / "slides" / called[f"{SECRET} fault.tif"] / "log.txt").read_text()
    record = json.loads((out / ("run.json" if shards == 1 else "runs/0-of-2.json")).read_bytes())
    assert record["arguments"][:5] == ["run", "IN", "OUT", "--mpp", str(MPP)]
    assert "--overwrite" in record["arguments"]
    assert "Traceback" in log
    assert "folder_fakes.py" in log


@pytest.mark.slow
def test_a_run_opens_no_socket(tmp_path: Path) -> None:
    """The real networks, in a process in which the first socket is the last thing that happens."""
    slide = write_secret_svs(tmp_path / "a.svs")
    program_text = """
import os, sys
def watch(event, arguments):
    if event == "socket.__new__" or event in ("socket.getaddrinfo", "socket.gethostbyname"):
        os.write(2, f"{event} {arguments}".encode())
        os._exit(99)
sys.addaudithook(watch)
if sys.argv[1] == "socket":
    import socket
    socket.socket()
from gloinone.cli.main import main
main()
"""

    def start(*words: object) -> int:
        return subprocess.run([sys.executable, "-c", program_text, *map(str, words)], check=False).returncode

    assert start("socket") == 99
    assert start("run", slide, tmp_path / "out", "--device", "cpu") == 0
    assert (tmp_path / "out/report.html").exists()
