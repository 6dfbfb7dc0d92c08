"""How far runs are, told from what lies in OUT."""

import json
import os
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from folder_fakes import FakeMethod, config_for, run, write_slide_file

from gloinone.cli.main import program
from gloinone.cli.watch import lines
from gloinone.errors import SlideUnreadableError
from gloinone.pipeline.claims import Claims
from gloinone.pipeline.run_folder import run_folder
from gloinone.pipeline.tasks import Shard
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
