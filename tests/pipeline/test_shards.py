"""Shards: one list for all of them, and together the same bytes as one run."""

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from folder_fakes import FakeMethod, line_of, read_rows, run, start, tree, unfinished, write_slide_file

from gloinone.errors import UsageError
from gloinone.pipeline.merge import PENDING, merge
from gloinone.pipeline.run_record import arguments_for_pending
from gloinone.pipeline.slide_list import complete_list, listed_origins, place_in, read_list, write_list
from gloinone.pipeline.tasks import Shard, walk
from gloinone.records import Origin

ODD_NAMES = [
    "new\nline \t tab.tif",
    "quote\" 'n backslash \\.tif",
    os.fsdecode(b"caf\xe9/\xff.tif"),
    "#hash, comma.tif",
    " spaces .tif",
    "caf\u00e9 \U0001f52c \u2028.tif",
]


def outputs(out: Path) -> dict[str, bytes]:
    """Every file that shards and merge share with one run; the report's head is of one run."""
    own = ("runs/", "slides.txt", "report.html")
    return {name: data for name, data in tree(out).items() if not name.startswith(own)}


def statuses(out: Path) -> dict[str, str]:
    return {str(row["slide"]): str(row["status"]) for row in read_rows(out / "summary.csv")}


def test_shards_that_die_overlap_and_see_the_folder_grow(tmp_path: Path) -> None:
    slides, whole, out = tmp_path / "in", tmp_path / "whole", tmp_path / "out"
    names = [f"{letter}.tif" for letter in "abcdefg"]
    for seed, name in enumerate(names):
        write_slide_file(slides / name, seed)
    (slides / "e.tif").write_text("this is no slide")
    run(slides, whole)

    before_its_first = start(slides, out, 0.0, "0/3", "hold")  # would do a, d, g
    assert line_of(before_its_first) == "no slide yet"
    before_its_first.kill()
    before_its_first.communicate()
    in_the_middle = start(slides, out, 1.0, "2/3")  # c, f
    assert [line_of(in_the_middle), line_of(in_the_middle)] == ["c.tif", "f.tif"]
    until = time.monotonic() + 60
    while not (out / "slides/c.tif/state.json").exists() and time.monotonic() < until:
        time.sleep(0.01)  # c is written while f is at work
    in_the_middle.kill()
    in_the_middle.communicate()
    write_slide_file(slides / "aa.tif", 9)  # would shift every slide but the first
    overlapping = [start(slides, out, 0.2, "1/3"), start(slides, out, 0.2, "0/2")]  # b, e and a, c, e, g
    seen = [process.communicate(timeout=120)[0].split() for process in overlapping]
    assert sorted(seen[0] + seen[1]) == ["a.tif", "b.tif", "g.tif"], "c was done, and e cannot be opened"
    assert [process.returncode for process in overlapping] == [1, 1], "e fails, whoever tries it"
    assert {path.name for path in out.iterdir()} == {".claims", ".work", "runs", "slides", "slides.txt"}

    counts = merge(out)
    assert (counts.count("done"), counts.count("failed"), counts.count("pending")) == (4, 1, 2)
    rows = {str(row["slide"]): row for row in read_rows(out / "summary.csv")}
    assert [name for name, row in rows.items() if row["status"] == "pending"] == ["d.tif", "f.tif"]
    assert rows["d.tif"]["reason"] == PENDING
    assert {
        value for column, value in rows["d.tif"].items() if column not in ("slide", "status", "reason")
    } == {None}
    assert PENDING in (out / "report.html").read_text()

    method = FakeMethod()
    outcome = run(slides, out, method, pending=True)
    assert outcome.statuses == {"d.tif": "done", "f.tif": "done"}, "neither the failed slide nor the new one"
    assert method.seen == ["d.tif", "f.tif"]
    assert statuses(out) == statuses(whole)
    assert outputs(out) == outputs(whole)
    merge(out)
    assert outputs(out) == outputs(whole)
    assert not unfinished(out)


@pytest.mark.parametrize("listed_before", [False, True], ids=["", "listed without the table"])
def test_a_patient_of_whom_a_slide_is_pending_is_not_whole(
    slides: Path, tmp_path: Path, listed_before: bool
) -> None:
    out, table = tmp_path / "out", tmp_path / "mpp.csv"
    if listed_before:
        write_list(slides, out, walk(slides, out)[0])
    table.write_text("slide,mpp,patient\na.svs,0.5,Ann\na.tif,0.5,Ann\nc.tif,0.5,Bo\n")
    run(slides, out, shard=Shard(0, 3), mpp_csv=table)
    merge(out)
    rows = read_rows(out / "patients.csv")
    assert [(row["patient"], row["n_slides"], row["n_slides_missing"]) for row in rows] == [
        ("Ann", 1, 1),
        ("Bo", 0, 1),
    ]


def test_patients_are_added_to_a_list_and_nothing_else_changes(tmp_path: Path) -> None:
    slides, out = tmp_path / "in", tmp_path / "out"
    for name in ODD_NAMES:
        write_slide_file(slides / name)
    found = walk(slides, out)[0]
    known = {found[0].name: Origin("Ann", "HE"), found[1].name: Origin("Bo")}
    write_list(slides, out, found, origins=known)
    before, listed = (out / "slides.txt").read_bytes(), read_list(out)
    told = {found[0].name: Origin(stain="PAS"), found[2].name: Origin("Cy")}
    with ThreadPoolExecutor(4) as shards:
        assert not any(shards.map(lambda _: complete_list(out, told), range(4)))
    assert listed_origins(out) == {
        **{slide.name: Origin() for slide in found},
        **known,
        **told,
        found[0].name: Origin("Ann", "PAS"),
    }
    assert read_list(out) == listed
    write_list(slides, out, found, again=True, origins=known)
    complete_list(out, known)
    assert (out / "slides.txt").read_bytes() == before
    assert not unfinished(out)


def test_the_first_shard_lists_for_all(slides: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(slides, out, shard=Shard(1, 2))
    written = (out / "slides.txt").read_bytes()
    assert [json.loads(line)["slide"] for line in written.splitlines()] == ["a.svs", "a.tif", "b/c.tif"]
    write_slide_file(slides / "0.tif")
    method = FakeMethod()
    run(slides, out, method, shard=Shard(0, 2))
    assert method.seen == ["a.svs", "b/c.tif"]
    assert (out / "slides.txt").read_bytes() == written
    everything = FakeMethod()
    assert run(slides, out, everything).exit_status == 0, "a run without --shard walks"
    assert everything.seen == ["0.tif"]


def test_a_list_survives_any_name_and_another_mount(tmp_path: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    for name in ODD_NAMES:
        write_slide_file(source / name)
    (source / "index.vms").write_text("[Virtual Microscope Specimen]\nImageFile=a.jpg\n")
    (source / "a.jpg").touch()
    slides, _ = walk(source, out)
    assert len(slides) == len(ODD_NAMES) + 1
    assert {len(slide.files) for slide in slides} == {1, 2}, "of the index and its picture"
    assert write_list(source, out, slides)
    assert len((out / "slides.txt").read_bytes().splitlines()) == len(slides)
    elsewhere = source.rename(tmp_path / "elsewhere")
    assert place_in(elsewhere, read_list(out) or ()) == walk(elsewhere, out)[0]
    run(elsewhere, out, shard=Shard(0, 1))
    assert [row["status"] for row in read_or_merge(out)] == ["done"] * len(ODD_NAMES) + ["failed"]


def read_or_merge(out: Path) -> list[dict[str, object]]:
    merge(out)
    return sorted(read_rows(out / "summary.csv"), key=lambda row: str(row["status"]))


def test_a_list_of_one_slide(slides: Path, tmp_path: Path) -> None:
    one, out = slides / "a.svs", tmp_path / "out"
    assert list(run(one, out, shard=Shard(0, 1)).statuses) == ["a.svs"]
    assert list(run(one, out, shard=Shard(0, 1)).statuses) == ["a.svs"]


def test_of_two_lists_the_first_stays(slides: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    found, _ = walk(slides, out)
    assert write_list(slides, out, found)
    assert not write_list(slides, out, found[:1])
    assert read_list(out) is not None
    assert len(read_list(out) or ()) == 3
    assert write_list(slides, out, found[:1], again=True)
    assert len(read_list(out) or ()) == 1
    assert not unfinished(out)


@pytest.mark.parametrize(
    "line",
    [
        "a.svs",
        "[]",
        "{}",
        '{"slide": 3, "path": "a", "files": ["a"], "walked": true}',
        '{"slide": "a", "path": "a", "files": [], "walked": true}',
        '{"slide": "a", "path": "a", "files": [3], "walked": true}',
    ],
)
def test_a_damaged_list_is_named(line: str, slides: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_list(slides, out, walk(slides, out)[0])
    with (out / "slides.txt").open("a") as stream:
        stream.write(line)
    with pytest.raises(UsageError, match=r"slides\.txt, line 4: cannot be understood"):
        run(slides, out, shard=Shard(0, 2))


def test_slides_that_were_taken_away_keep_their_results(slides: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(slides, out, shard=Shard(0, 1))
    before = outputs(out)
    (slides / "a.tif").unlink()
    (slides / "a.svs").rename(tmp_path / "a.svs")
    assert run(slides, out, shard=Shard(0, 1)).exit_status == 0
    assert run(slides, out, shard=Shard(0, 1), overwrite=True).statuses["a.svs"] == "done"
    assert outputs(out) == before


def test_a_slide_that_is_gone_before_it_was_done_fails(slides: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_list(slides, out, walk(slides, out)[0])
    (slides / "a.tif").unlink()
    assert run(slides, out, shard=Shard(0, 1)).statuses == {
        "a.svs": "done",
        "a.tif": "failed",
        "b/c.tif": "done",
    }


def test_a_folder_that_is_not_the_listed_one_is_refused(slides: Path, tmp_path: Path) -> None:
    out, other = tmp_path / "out", tmp_path / "other"
    run(slides, out, shard=Shard(0, 1))
    write_slide_file(other / "x.tif")
    with pytest.raises(UsageError, match=r"none of the 3 slides of slides\.txt"):
        run(other, out, shard=Shard(0, 1))


def test_what_no_shard_has_begun_is_pending(slides: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_list(slides, out, walk(slides, out)[0])
    assert merge(out) == ["pending"] * 3
    assert set(statuses(out).values()) == {"pending"}
    assert arguments_for_pending(out) == ("run", "--pending", "IN", str(out))


def test_the_pending_are_run_as_the_shards_were(slides: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for place, words in enumerate((("--shard", "0/4"), ("--shard=1/4", "--pending"))):
        arguments = ("run", "a b", *words, "out", "--mpp", "0.5")
        run(slides, out, shard=Shard(place, 4), arguments=arguments)
        assert arguments_for_pending(out) == ("run", "--pending", "a b", "out", "--mpp", "0.5")
    run(slides / "a.svs", out, arguments=("run", "one slide", "out"))
    assert arguments_for_pending(out)[2] == "a b", "of a shard, not of another run"
