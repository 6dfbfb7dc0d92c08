"""How far runs are, told from what lies in OUT."""

import json
import os
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from folder_fakes import FakeMethod, config_for, run, write_slide_file

from gloinone.cli.main import program
from gloinone.cli.watch import lines
from gloinone.errors import SlideUnreadableError
from gloinone.pipeline.claims import Claims
from gloinone.pipeline.run_folder import run_folder
from gloinone.pipeline.slide_list import write_list
from gloinone.pipeline.tasks import Shard, walk
from gloinone.pipeline.watching import Watch, speed


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Of the first of two shards of five slides, of which one failed."""
    for seed, name in enumerate("abcde"):
        write_slide_file(tmp_path / "in" / f"{name}.tif", seed)
    method = FakeMethod(wrong={"c.tif": SlideUnreadableError("c.tif: torn \x1b[2J")})
    run_folder(config_for(tmp_path / "in", tmp_path / "out", shard=Shard(0, 2)), method)
    return tmp_path / "out"


def test_an_array_half_way(out: Path) -> None:
    watch = Watch(out)
    with Claims(out / ".claims").hold("key", "b.tif"):
        standing = watch.look()
        assert (standing.total, dict(standing.counts)) == (5, {"done": 2, "failed": 1, "pending": 2})
        assert [one.slide for one in standing.at_work] == ["b.tif"]
        assert not standing.is_over
        assert standing.n_glomeruli > 0
        text = "\n".join(lines(standing))
        assert "3 of 5 slides settled: 2 done, 1 failed, 2 pending" in text
        assert "1 at work\n  b.tif\n" in text
        assert "c.tif: torn" in text
        assert "\x1b" not in text
        os.utime(out / ".claims/key.json", (time.time() - 600,) * 2)
        assert "b.tif (no sign of life for 10 min)" in "\n".join(lines(watch.look()))
    assert not watch.look().is_over, "two are pending, and their task may yet start"
    before = sorted(path for path in out.rglob("*"))
    run(out.parent / "in", out, pending=True)
    standing = watch.look()
    assert standing.is_over
    assert standing.counts["pending"] == 0
    assert standing.per_hour is not None
    assert set(before) <= set(out.rglob("*"))


def test_a_state_is_read_once(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Watch(out)
    first = watch.look(now=1e9)
    monkeypatch.setattr("gloinone.pipeline.watching.read_state", None)
    assert watch.look(now=1e9) == first


def test_a_run_without_a_list(out: Path) -> None:
    (out / "slides.txt").unlink()
    assert Watch(out).look().is_over
    record = json.loads((out / "runs/0-of-2.json").read_text())
    (out / "run.json").write_text(json.dumps({**record, "status": "running"}))
    standing = Watch(out).look()
    assert (standing.total, standing.left_s, standing.is_over) == (None, None, False)


def age(out: Path, seconds: float) -> None:
    """Of all that a run leaves behind."""
    for path in out.rglob("*.json"):
        os.utime(path, (time.time() - seconds,) * 2)


def watched(out: Path) -> Result:
    return CliRunner().invoke(program, ["watch", str(out), "--every", "0.2"])


@pytest.mark.parametrize("has_list", [True, False], ids=["cancelled array", "killed run without a list"])
def test_it_ends_when_nobody_will_go_on(out: Path, has_list: bool) -> None:
    if not has_list:
        (out / "slides.txt").unlink()
        record = json.loads((out / "runs/0-of-2.json").read_text())
        (out / "run.json").write_text(json.dumps({**record, "status": "running"}))
    with Claims(out / ".claims").hold("key", "b.tif"):  # of a process that is killed
        age(out, 540)
        assert not Watch(out).look().is_given_up, "a task may be queued again"
        age(out, 700)
        result = watched(out)
    assert result.exit_code == 1
    assert "b.tif (no sign of life for 12 min)" in result.output
    assert "no run has given a sign of life for 12 min" in result.output
    assert CliRunner().invoke(program, ["watch", str(out), "--once"]).exit_code == 0


def test_it_does_not_end_while_there_is_a_sign_of_life(out: Path) -> None:
    age(out, 7200)
    with Claims(out / ".claims").hold("key", "b.tif"):  # a slide that takes hours
        assert not Watch(out).look().is_given_up
    age(out, 7200)
    assert Watch(out).look().is_given_up
    (out / "slides/a.tif/state.json").touch()
    assert not Watch(out).look().is_given_up
    age(out, 7200)
    (out / "runs/1-of-2.json").write_text('{"status": "running"}')  # it loads the networks
    assert not Watch(out).look().is_given_up


def test_a_list_alone_waits_for_the_first_run(tmp_path: Path) -> None:
    write_slide_file(tmp_path / "in" / "a.tif")
    write_list(tmp_path / "in", tmp_path / "out", walk(tmp_path / "in", tmp_path / "out")[0])
    standing = Watch(tmp_path / "out").look(now=time.time() + 1e6)
    assert (standing.counts["pending"], standing.is_over, standing.is_given_up) == (1, False, False)


def test_speed() -> None:
    assert speed([0, 100, 200, 300], 400.0) == pytest.approx(27)  # 3 in 400 s
    assert speed([0, 100], 10_000.0) is None
    assert speed([100], 200.0) is None
    assert speed([], 0.0) is None


def test_the_command_ends_when_told_to(out: Path) -> None:
    result = CliRunner().invoke(program, ["watch", str(out), "--once"])
    assert result.exit_code == 0, result.output
    assert result.output.startswith("3 of 5 slides settled")
    assert CliRunner().invoke(program, ["watch", str(out / "none")]).exit_code == 2
