"""``gloinone run`` and ``gloinone merge``: options, exit status, what is printed."""

import contextlib
import io
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import click.testing
import pytest
from click.testing import CliRunner
from folder_fakes import FakeMethod, read_rows, write_slide_file
from rich.console import Console

from gloinone.cli import run as cli_run
from gloinone.cli.log import set_up_log
from gloinone.cli.main import program
from gloinone.cli.progress import Bars, Lines, show_progress
from gloinone.errors import SlideUnreadableError
from gloinone.pipeline.interrupts import Interrupted


@pytest.fixture
def slides(tmp_path: Path) -> Path:
    for seed, name in enumerate(("a.svs", "b [red]x[/red].tif")):
        write_slide_file(tmp_path / "in" / name, seed)
    return tmp_path / "in"


@pytest.fixture
def method(monkeypatch: pytest.MonkeyPatch) -> FakeMethod:
    """Stands in for the networks."""
    method = FakeMethod()
    monkeypatch.setattr(cli_run, "networks", lambda options: method)
    return method


def call(*words: Any) -> click.testing.Result:
    return CliRunner().invoke(program, ["run", *map(str, words)], catch_exceptions=False)


def test_a_run_and_its_repetition(slides: Path, tmp_path: Path, method: FakeMethod) -> None:
    out = tmp_path / "out"
    result = call(slides, out, "--mpp", 0.5)
    assert result.exit_code == 0, result.output
    assert "2 slides: 2 done" in result.stdout
    assert f"report: {out / 'report.html'}" in result.stdout
    assert "[2/2] b [red]x[/red].tif: done" in result.stderr
    assert method.loads == 1
    result = call(slides, out, "--mpp", 0.5)
    assert result.exit_code == 0
    assert "done before" in result.stderr
    assert method.loads == 1
    assert json.loads((out / "run.json").read_bytes())["counts"] == {"done": 2}


def test_a_failed_slide_is_exit_status_1(slides: Path, tmp_path: Path, method: FakeMethod) -> None:
    method.wrong = {"a.svs": SlideUnreadableError("a.svs: torn; copy it again")}
    events = tmp_path / "log/events.jsonl"
    result = call(slides, tmp_path / "out", "--mpp", 0.5, "--log-json", events)
    assert result.exit_code == 1
    assert "1 done, 1 failed" in result.stdout
    assert result.stderr.count("torn") == 1
    lines = [json.loads(line) for line in events.read_text().splitlines()]
    ended = [(line["slide"], line["status"]) for line in lines if line["event"] == "end"]
    assert ended == [("a.svs", "failed"), ("b [red]x[/red].tif", "done")]
    assert all({"time", "level", "event", "message"} <= line.keys() for line in lines)


def test_a_dry_run_says_why_and_touches_nothing(slides: Path, tmp_path: Path, method: FakeMethod) -> None:
    out = tmp_path / "out"
    result = call(slides, out, "--mpp", 0.5, "--dry-run")
    assert result.exit_code == 0
    assert result.stdout.count("to do") == 3
    assert "2 slides, 2 to do; models: fake@0123456789ab" in result.stdout
    assert not out.exists()
    call(slides, out, "--mpp", 0.5)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    result = call(slides, out, "--mpp", 0.5, "--dry-run")
    assert result.stdout.count("(done before)") == 2
    assert (
        "to do  a.svs (made with another mpp_option)" in call(slides, out, "--mpp", 0.4, "--dry-run").stdout
    )
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before
    assert method.loads == 1


def test_shards_and_merge(slides: Path, tmp_path: Path, method: FakeMethod) -> None:
    out = tmp_path / "out"
    result = call(slides, out, "--mpp", 0.5, "--shard", "1/2")
    assert result.exit_code == 0
    assert f"gloinone merge {out}" in result.stdout
    assert method.seen == ["b [red]x[/red].tif"]
    assert not (out / "summary.csv").exists()
    merged = CliRunner().invoke(program, ["merge", str(out)])
    assert merged.exit_code == 1
    assert "2 slides in the tables: 1 done, 1 pending" in merged.stdout
    call(slides, out, "--mpp", 0.5, "--shard", "0/2")
    merged = CliRunner().invoke(program, ["merge", str(out)])
    assert merged.exit_code == 0
    assert merged.stdout == f"{out}: 2 slides in the tables: 2 done\n"
    assert [row["slide"] for row in read_rows(out / "summary.csv")] == ["a.svs", "b [red]x[/red].tif"]
    (slides / "a.svs").write_text("torn")
    assert call(slides, out, "--mpp", 0.5, "--shard", "0/2").exit_code == 1
    assert CliRunner().invoke(program, ["merge", str(out)]).exit_code == 1


def test_the_line_that_merge_prints_runs_the_pending(
    tmp_path: Path, method: FakeMethod, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out = tmp_path / os.fsdecode(b"it's caf\xe9"), tmp_path / "out"
    for name in ("a.tif", "b.tif"):
        write_slide_file(source / name)
    monkeypatch.setattr("sys.argv", ["gloinone", "run", str(source), str(out), "--mpp=0.5", "--shard", "1/2"])
    call(source, out, "--mpp=0.5", "--shard", "1/2")
    line = CliRunner().invoke(program, ["merge", str(out)]).stdout_bytes.splitlines()[-1]
    gloinone, *words = (os.fsdecode(word) for word in shell_words(line))
    assert gloinone == "gloinone"
    result = CliRunner().invoke(program, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert method.seen == ["b.tif", "a.tif"]
    assert read_rows(out / "summary.csv")[0]["mpp"] == 0.5


def shell_words(line: bytes) -> list[bytes]:
    """As a shell takes them apart."""
    script = b"for word in " + line + b'; do printf "%s\\0" "$word"; done'
    return subprocess.run(["sh", "-c", script], capture_output=True, check=True).stdout.split(b"\0")[:-1]


def test_the_list(slides: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"

    def call_list(*options: str) -> click.testing.Result:
        return CliRunner().invoke(program, ["list", str(slides), str(out), *options])

    result = call_list()
    assert result.exit_code == 0
    assert result.stdout == f"{out / 'slides.txt'}: 2 slides\n"
    assert result.stderr == ""
    written = (out / "slides.txt").read_bytes()
    write_slide_file(slides / "0.tif")
    result = call_list()
    assert result.stdout == f"{out / 'slides.txt'}: 2 slides, from before\n"
    assert "1 slides of" in result.stderr
    assert (out / "slides.txt").read_bytes() == written
    assert "3 slides\n" in call_list("--again").stdout
    (tmp_path / "empty").mkdir()
    assert CliRunner().invoke(program, ["list", str(tmp_path / "empty"), str(out)]).exit_code == 2


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--shard", "2/2"], "0 to 1"),
        (["--shard", "two"], "not like 0/4"),
        (["--mpp", "99"], "--mpp 99"),
        (["--mpp-csv", "nothing.csv"], "nothing.csv"),
        (["--shape", "star"], "star"),
    ],
)
def test_what_makes_no_sense_is_exit_status_2(
    options: list[str], says: str, slides: Path, tmp_path: Path, method: FakeMethod
) -> None:
    result = call(slides, tmp_path / "out", *options)
    assert result.exit_code == 2
    assert says in result.stderr
    assert not (tmp_path / "out").exists()


def test_places_that_make_no_sense_are_exit_status_2(
    slides: Path, tmp_path: Path, method: FakeMethod
) -> None:
    (tmp_path / "empty").mkdir()
    for source, out in ((tmp_path / "empty", tmp_path / "o"), (slides, slides), (slides, Path("/proc/none"))):
        result = call(source, out, "--mpp", 0.5)
        assert result.exit_code == 2
        assert result.stderr.startswith("error: ")
        assert result.stderr.count("\n") == 1
    assert call(slides, tmp_path / "o", "--log-json", "/proc/none/log").exit_code == 2
    assert CliRunner().invoke(program, ["merge", str(tmp_path / "empty")]).exit_code == 2


def test_places_that_nobody_may_enter_are_one_line(
    slides: Path, tmp_path: Path, method: FakeMethod, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root may enter every folder; the system is asked on its behalf."""
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for source, out in ((slides, tmp_path / "loop"), (tmp_path / "loop", tmp_path / "o")):
        result = call(source, out, "--mpp", 0.5)
        assert result.exit_code == 2
        assert result.stderr.startswith("error: ")
        assert result.stderr.count("\n") == 1
    exists = Path.exists

    def refusing(path: Path) -> bool:
        if path.name == "secret":
            raise PermissionError(13, "Permission denied", str(path))
        return exists(path)

    monkeypatch.setattr(Path, "exists", refusing)
    for source, out in ((tmp_path / "secret", tmp_path / "o"), (slides, tmp_path / "secret")):
        result = call(source, out, "--mpp", 0.5)
        assert result.exit_code == 2
        assert f"error: {tmp_path / 'secret'}: Permission denied" in result.stderr


def test_a_hidden_slide_is_refused_before_anything_is_done(tmp_path: Path, method: FakeMethod) -> None:
    write_slide_file(tmp_path / ".a.svs")
    result = call(tmp_path / ".a.svs", tmp_path / "o", "--mpp", 0.5)
    assert result.exit_code == 2
    assert ".a.svs is hidden" in result.stderr
    assert not (tmp_path / "o").exists()


def test_places_of_any_bytes_are_printed(tmp_path: Path, method: FakeMethod) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    write_slide_file(folder / "in" / "a.svs")
    (folder / "in/b.svs").symlink_to(folder / "in/a.svs")  # ignored, and named
    for further, says in ((["--dry-run"], "ignored"), ([], "report: "), (["--shard", "0/1"], "merge ")):
        result = call(folder / "in", folder / "out", "--mpp", 0.5, *further)
        assert result.exit_code == 0
        assert says in result.stdout


def test_a_full_disk_under_the_log_costs_no_slide(slides: Path, tmp_path: Path, method: FakeMethod) -> None:
    result = call(slides, tmp_path / "out", "--mpp", 0.5, "--log-json", "/dev/full")
    assert result.exit_code == 0
    assert "2 slides: 2 done" in result.stdout


def test_a_terminal_that_went_away_costs_no_slide(capsys: pytest.CaptureFixture[str]) -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    lines = Lines()
    lines.start(1)
    with contextlib.redirect_stderr(Gone()):
        lines.end("a.svs", "done", "3 glomeruli")
    assert capsys.readouterr().err == "1 slides\n"


def test_models_that_are_not_there_are_exit_status_2(slides: Path, tmp_path: Path) -> None:
    result = call(slides, tmp_path / "out", "--detector", tmp_path / "nothing")
    assert result.exit_code == 2
    assert "nothing" in result.stderr
    assert call(slides, tmp_path / "out", "--models", tmp_path / "none").exit_code == 2
    assert call(slides, tmp_path / "out", "--min-score", 2).exit_code == 2
    assert not (tmp_path / "out").exists()


def test_an_interrupt_is_128_and_its_signal(slides: Path, tmp_path: Path, method: FakeMethod) -> None:
    method.wrong = {"a.svs": Interrupted(15)}
    result = call(slides, tmp_path / "out", "--mpp", 0.5)
    assert result.exit_code == 143
    assert "SIGTERM" in result.stderr
    assert list((tmp_path / "out/.claims").iterdir()) == []


def test_options_reach_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}

    def note(config: object, method: Any) -> int:
        given.update(vars(config), **vars(method.config))
        return 0

    monkeypatch.setattr(cli_run, "run", note)
    options = (
        "--device cuda:1 --mpp 0.3 --mpp-csv t.csv --min-score 0.4 --shape ellipse --keep-nonglomerular --no-crops "
        "--no-masks --only-listed --overwrite --xml-beside-slide --shard 1/3 --pending --models m1 --models m2 "
        "--detector d --detector e --classifier c --segmenter s --tta --min-votes 3"
    )
    assert call("in", "out", *options.split()).exit_code == 0
    save, shard = given.pop("save"), given.pop("shard")
    assert (save.shape, save.crops, save.masks) == ("ellipse", False, False)
    assert (shard.index, shard.count) == (1, 3)
    expected = {
        "source": Path("in"), "out": Path("out"), "mpp": 0.3, "mpp_csv": Path("t.csv"), "overwrite": True,
        "xml_beside_slide": True, "pending": True, "device": "cuda:1", "min_score": 0.4, "keep_nonglomerular": True,
        "models": (Path("m1"), Path("m2")), "detectors": ("d", "e"), "classifier": "c", "segmenter": "s",
        "pseudonyms": None, "only_listed": True, "tta": True, "min_votes": 3,
    }  # fmt: skip
    given.pop("arguments")
    assert given == expected
    assert call("in", "out", "--pseudonyms", "k.csv").exit_code == 0
    assert given["pseudonyms"] == Path("k.csv")


def test_version_of_run() -> None:
    result = CliRunner().invoke(program, ["run", "--version"])
    assert result.exit_code == 0
    assert result.stdout.startswith("gloinone ")


def test_bars_on_a_terminal() -> None:
    shown, at_work = io.StringIO(), "x" * 60 + "[/bold].svs"
    with show_progress(Console(file=shown, force_terminal=True, width=120)) as bars:
        assert isinstance(bars, Bars)
        bars.start(2)
        bars.begin(at_work)
        bars.tiles(3, 10)
        bars.progress.refresh()
        bars.end("[/red].svs", "done", "3 glomeruli")  # the slide before, which was still being written
        assert bars.progress.tasks[0].completed == 1
        assert bars.progress.tasks[1].visible
        bars.end(at_work, "done", "no glomeruli")
        assert bars.progress.tasks[0].completed == 2
        assert not bars.progress.tasks[1].visible
    assert "xxx[/bold].svs" in shown.getvalue()
    assert "3/10" in shown.getvalue()
    assert "[/red].svs: done (3 glomeruli)" in shown.getvalue()


def test_lines_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines(every_s=0.0)
    lines.start(1)
    lines.begin("a.svs")
    lines.tiles(3, 10)
    lines.end("a.svs", "done", "3 glomeruli")
    assert capsys.readouterr().err.splitlines() == [
        "1 slides",
        "a.svs: 3 of 10 tiles",
        "[1/1] a.svs: done (3 glomeruli)",
    ]


def test_the_log_is_as_before_afterwards(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import logging

    package = logging.getLogger("gloinone")
    before = (package.level, list(package.handlers))
    for verbose in (False, True):
        with set_up_log(verbose, tmp_path / "log.jsonl"):
            logging.getLogger("gloinone.any").info("quietly")
            logging.getLogger("gloinone.any").warning("loudly")
        assert (package.level, list(package.handlers)) == before
        assert ("quietly" in capsys.readouterr().err) is verbose
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 4
