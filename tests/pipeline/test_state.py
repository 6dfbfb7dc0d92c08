"""What was made from what, and whether it still holds."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from gloinone.annotations.columns import SUMMARY
from gloinone.annotations.csv_text import make_row
from gloinone.pipeline.state import (
    END_BYTES,
    Basis,
    InputPrint,
    State,
    file_sha256,
    print_input,
    read_state,
    state_bytes,
)

BASIS = Basis(
    "0.1.0",
    {"detector": "d@0"},
    {"min_score": 0.3, "shape": "outline", "mpp_csv": None, "mpp_option": 0.5, "device": "cpu"},
)
INPUT = InputPrint(5, 6, "7")
STATE = State(
    slide="café <b>/a.svs",
    status="done",
    reason="",
    input=INPUT,
    basis=BASIS,
    row=make_row(SUMMARY, {"slide": "café <b>/a.svs", "mpp_source": "file"}),
    notes=("a note",),
    files={"a.xml": "0"},
    beside={"a.xml": "1"},
    earlier=("2",),
    outputs=("a.xml", "crops/G001.png"),
    device="cpu",
    times={"detect": 1.5, "finished": "2026-01-01T00:00:00+00:00"},
)


def test_round_trip(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_bytes(state_bytes(STATE))
    assert read_state(tmp_path) == STATE


def test_what_we_ever_wrote_is_known_and_older_states_know_the_last(tmp_path: Path) -> None:
    assert STATE.written == {"0", "1", "2"}
    older = {key: value for key, value in json.loads(state_bytes(STATE)).items() if key != "earlier"}
    (tmp_path / "state.json").write_text(json.dumps(older))
    assert read_state(tmp_path) == replace(STATE, earlier=())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '{"format": 1}',
        '{"format": 2, "slide": "a"}',
        "\xff",
        '{"format": 1, "row": 3}',
    ],
)
def test_what_cannot_be_understood_is_none(text: str, tmp_path: Path) -> None:
    assert read_state(tmp_path) is None
    (tmp_path / "state.json").write_bytes(text.encode("latin-1"))
    assert read_state(tmp_path) is None


def test_another_format_is_none(tmp_path: Path) -> None:
    data = state_bytes(STATE).replace(b'"format": 1', b'"format": 2')
    (tmp_path / "state.json").write_bytes(data)
    assert read_state(tmp_path) is None


def with_settings(**settings: str | float | None) -> Basis:
    return replace(BASIS, settings={**BASIS.settings, **settings})


def test_what_makes_results_stale() -> None:
    assert STATE.differs_from(INPUT, BASIS) == ""
    assert "changed" in STATE.differs_from(None, BASIS)
    assert "changed" in STATE.differs_from(replace(INPUT, mtime_ns=7), BASIS)
    assert "version" in STATE.differs_from(INPUT, replace(BASIS, version="0.2.0"))
    assert "weights" in STATE.differs_from(INPUT, replace(BASIS, models={"detector": "d@1"}))
    assert "min_score" in STATE.differs_from(INPUT, with_settings(min_score=0.4))
    assert "mpp_csv" in STATE.differs_from(INPUT, with_settings(mpp_csv=0.5))
    assert "new" in STATE.differs_from(INPUT, with_settings(new=1))
    assert "changed" in replace(STATE, input=None).differs_from(None, BASIS)


def test_what_does_not() -> None:
    assert STATE.differs_from(INPUT, with_settings(device="cuda")) == ""
    assert STATE.differs_from(INPUT, with_settings(mpp_option=0.25)) == ""
    used = replace(STATE, row=make_row(SUMMARY, {"mpp_source": "option"}))
    assert "mpp_option" in used.differs_from(INPUT, with_settings(mpp_option=0.25))


def test_prints_see_both_ends_and_the_time(tmp_path: Path) -> None:
    path = tmp_path / "a.svs"
    data = bytearray(3 * END_BYTES)
    path.write_bytes(data)
    os.utime(path, ns=(1, 1))
    first = print_input([path])
    assert (first.size, first.mtime_ns) == (3 * END_BYTES, 1)
    for place, same in ((0, False), (len(data) // 2, True), (len(data) - 1, False)):
        changed = bytearray(data)
        changed[place] = 1
        path.write_bytes(changed)
        os.utime(path, ns=(1, 1))
        assert (print_input([path]) == first) is same
    small = tmp_path / "small"
    for size in (0, 1, END_BYTES, END_BYTES + 1, 2 * END_BYTES):
        small.write_bytes(bytes(size))
        assert print_input([small]).size == size


def test_prints_of_many_files(tmp_path: Path) -> None:
    series = [tmp_path / name for name in ("1.dcm", "2.dcm")]
    for path in series:
        path.write_bytes(path.name.encode())
        os.utime(path, ns=(5, 5))
    first = print_input(series)
    assert first.size == 10
    os.utime(series[1], ns=(9, 9))
    assert print_input(series).mtime_ns == 9
    series[1].write_bytes(b"other")
    os.utime(series[1], ns=(5, 5))
    assert print_input(series) != first


def test_print_of_a_slide_with_its_folder(tmp_path: Path) -> None:
    slide, part = tmp_path / "a.mrxs", tmp_path / "a/Data0001.dat"
    slide.write_bytes(b"jpeg")
    part.parent.mkdir()
    part.write_bytes(b"pixels")
    first = print_input([slide])
    assert first.size == 10
    part.write_bytes(b"PIXELS")
    assert print_input([slide]) != first
    with pytest.raises(OSError):
        print_input([tmp_path / "gone.svs"])


def test_hash_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert file_sha256(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert file_sha256(tmp_path / "b") is None
