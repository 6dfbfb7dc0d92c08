"""A slide has one owner at a time, and a dead one loses it."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from gloinone.errors import OutputError
from gloinone.pipeline.claims import Claim, Claims, read_holder
from gloinone.pipeline.processes import Process, process_start, this_host, this_process


@pytest.fixture
def claims(tmp_path: Path) -> Claims:
    return Claims(tmp_path / "claims", beat_s=0.05, dead_after_s=2.0)


def forge(claims: Claims, process: Process, age_s: float = 0.0, token: str = "forged") -> Path:
    """A claim as another process would have written it."""
    import json

    path = claims.folder / "key.json"
    path.parent.mkdir(exist_ok=True)
    said = {"host": process.host, "pid": process.pid, "started": process.started, "token": token}
    path.write_text(json.dumps(said))
    os.utime(path, (time.time() - age_s,) * 2)
    return path


def test_one_owner_at_a_time(claims: Claims) -> None:
    with claims.hold("key", "a.svs") as first:
        assert first is not None
        assert first.is_ours()
        assert claims.is_held("key")
        with claims.hold("key", "a.svs") as second:
            assert second is None
        with claims.hold("other", "b.svs") as third:
            assert third is not None
        assert first.is_ours()
    assert not claims.is_held("key")
    assert list(claims.folder.iterdir()) == []


def test_a_claim_is_released_when_the_work_fails(claims: Claims) -> None:
    with pytest.raises(KeyError), claims.hold("key", "a.svs"):
        raise KeyError
    assert list(claims.folder.iterdir()) == []


def test_an_owner_that_lives_keeps_it_however_long_it_takes(claims: Claims) -> None:
    with claims.hold("key", "a.svs") as claim:
        assert claim is not None
        time.sleep(2.5)
        assert claims.is_held("key")
        with claims.hold("key", "a.svs") as other:
            assert other is None


def test_a_dead_process_of_this_machine_loses_it_at_once(claims: Claims) -> None:
    child = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True
    )
    forge(claims, Process(this_host(), int(child.stdout), "12345"))
    assert not claims.is_held("key")
    with claims.hold("key", "a.svs") as claim:
        assert claim is not None
        assert claim.is_ours()
    assert list(claims.folder.iterdir()) == []


def test_a_process_id_that_was_given_away_again_is_no_owner(claims: Claims) -> None:
    me = this_process()
    forge(claims, Process(me.host, me.pid, str(int(me.started) - 1)))
    with claims.hold("key", "a.svs") as claim:
        assert claim is not None


def test_another_machine_is_dead_after_missed_beats_only(claims: Claims) -> None:
    elsewhere = Process("other~boot~space", 1, "1")
    forge(claims, elsewhere, age_s=0.1)
    assert claims.is_held("key")
    with claims.hold("key", "a.svs") as claim:
        assert claim is None
    forge(claims, elsewhere, age_s=100.0)
    with claims.hold("key", "a.svs") as claim:
        assert claim is not None


def test_an_empty_claim_is_one_being_written_until_it_is_old(claims: Claims) -> None:
    claims.folder.mkdir()
    path = claims.folder / "key.json"
    path.touch()
    with claims.hold("key", "a.svs") as claim:
        assert claim is None
    os.utime(path, (time.time() - 100,) * 2)
    with claims.hold("key", "a.svs") as claim:
        assert claim is not None


def test_one_of_many_takes_over(claims: Claims) -> None:
    for _ in range(10):
        forge(claims, Process("other~boot~space", 1, "1"), age_s=100.0)
        owners: list[Claim] = []
        release = threading.Event()

        def take(owners: list[Claim] = owners, release: threading.Event = release) -> None:
            with claims.hold("key", "a.svs") as claim:
                if claim is not None:
                    owners.append(claim)
                    release.wait(5)

        threads = [threading.Thread(target=take) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(0.05)
        assert len(owners) == 1
        release.set()
        for thread in threads:
            thread.join()
    assert list(claims.folder.iterdir()) == []


def test_a_take_over_that_died_does_not_bar_the_slide(claims: Claims) -> None:
    forge(claims, Process("other~boot~space", 1, "1"), age_s=100.0)
    gate = claims.folder / "key.forged.gate"
    gate.touch()
    with claims.hold("key", "a.svs") as claim:
        assert claim is None
    os.utime(gate, (time.time() - 100,) * 2)
    with claims.hold("key", "a.svs") as claim:
        assert claim is None  # only the gate was cleared
    with claims.hold("key", "a.svs") as claim:
        assert claim is not None


def test_an_owner_that_was_suspended_notices_its_loss(claims: Claims) -> None:
    with claims.hold("key", "a.svs") as claim:
        assert claim is not None
        path = forge(claims, Process("other~boot~space", 1, "1"), token="theirs")
        assert not claim.is_ours()
    holder = read_holder(path)
    assert holder is not None
    assert holder.token == "theirs"  # not removed by us


def test_claims_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(OutputError, match="cannot be claimed"),
        Claims(tmp_path / "file").hold("key", "a.svs"),
    ):
        pass


def test_processes() -> None:
    me = this_process()
    assert not me.is_gone()
    assert process_start(me.pid) == me.started
    child = subprocess.Popen([sys.executable, "-c", ""])
    other = Process(this_host(), child.pid, process_start(child.pid))
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert other.is_gone()  # a zombie still
    child.wait()
    assert other.is_gone()
    assert not Process("other~boot~space", child.pid, other.started).is_gone()
