"""The key of --pseudonyms: made, extended, shared, refused; and OUTs that name slides in one way only."""

import os
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from folder_fakes import FakeMethod, config_for, read_rows, run, tree, write_slide_file

from gloinone.errors import GloInOneError, OutputError, UsageError
from gloinone.pipeline.merge import merge
from gloinone.pipeline.pseudonyms import give_pseudonyms, read_key, rename
from gloinone.pipeline.slide_list import read_list, write_list
from gloinone.pipeline.tasks import Shard, list_work
from gloinone.slide.discover import find_slides

HEAD = "pseudonym,slide\n"


def given(key: Path, *names: str) -> dict[str, str]:
    return dict(give_pseudonyms(key, key.parent / "in", key.parent / "out", names))


def test_a_key_is_made_and_grows_and_never_changes(tmp_path: Path) -> None:
    key = tmp_path / "KEY.csv"
    first = given(key, 'a, "b".svs', "é/c.tif")
    assert sorted(first.values()) == ["S0001", "S0002"]
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    key.chmod(0o640)
    before = key.read_text("utf-8")
    more = given(key, "0.svs", "é/c.tif")
    assert more == first | {"0.svs": "S0003"}
    assert key.read_text("utf-8") == before + "S0003,0.svs\n"
    assert stat.S_IMODE(key.stat().st_mode) == 0o640
    assert given(key, "0.svs") == more
    assert os.listdir(tmp_path) == ["KEY.csv"]


def test_numbers_go_on_from_the_highest_that_was_given(tmp_path: Path) -> None:
    key = tmp_path / "KEY.csv"
    key.write_bytes(b"\xef\xbb\xbfpseudonym,slide\r\nS9999,a.svs\r\nS0004,b.svs\r\n")  # as Excel saves it
    assert given(key, "b.svs", "c.svs") == {"a.svs": "S9999", "b.svs": "S0004", "c.svs": "S10000"}


def test_the_order_of_the_names_does_not_show(tmp_path: Path) -> None:
    names = [f"{i:03d}.svs" for i in range(100)]
    assert list(given(tmp_path / "KEY.csv", *names)) != names


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "KEY.csv").symlink_to(tmp_path / "kept/real.csv")
    given(tmp_path / "KEY.csv", "a.svs")
    given(tmp_path / "KEY.csv", "b.svs")
    assert (tmp_path / "KEY.csv").is_symlink()
    assert len(read_key(tmp_path / "kept/real.csv")) == 2


def test_runs_at_the_same_time_agree(tmp_path: Path) -> None:
    key = tmp_path / "KEY.csv"
    wanted = [[f"{i % 7}.svs" for i in range(start, start + 5)] for start in range(6)]
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda names: given(key, *names), wanted))
    known = read_key(key)
    assert sorted(known.values()) == [f"S{i:04d}" for i in range(1, 8)]
    for names, answer in zip(wanted, answers, strict=True):
        assert set(names) <= answer.keys()
        assert answer.items() <= known.items()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "line 1: it does not begin"),
        ("pseudonym;slide\nS0001;a.svs\n", "line 1: it does not begin"),
        (HEAD + "S0001,a.svs\nS0002,b", "its end is missing"),
        (HEAD + "S0001,a.svs\nS0001,b.svs\n", "line 3: .* listed twice"),
        (HEAD + "S0001,a.svs\nS0002,a.svs\n", "line 3: .* listed twice"),
        (HEAD + "Smith,a.svs\n", "line 2: not a pseudonym"),
        (HEAD + "S0001,\n", "line 2: not a pseudonym"),
        (HEAD + "S0001,a.svs,more\n", "line 2: not a pseudonym"),
        (HEAD + 'S0001,"a.svs\n', "line 2: unexpected end"),
        (HEAD + "S0001,caf\xe9.svs\n", "not UTF-8"),
    ],
)
def test_a_damaged_key_is_refused_and_left_alone(text: str, says: str, tmp_path: Path) -> None:
    key = tmp_path / "KEY.csv"
    key.write_bytes(text.encode("latin-1"))
    with pytest.raises(UsageError, match=r"KEY.csv, line \d: .*restore the key") as caught:
        given(key, "new.svs")
    caught.match(says)
    assert key.read_bytes() == text.encode("latin-1")


def test_a_key_that_cannot_be_written_is_one_readable_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(path: Path, target: Path) -> None:
        raise OSError(16, "Device or resource busy")

    monkeypatch.setattr(Path, "replace", busy)
    with pytest.raises(OutputError, match=r"KEY.csv: cannot be written \(Device or resource busy\)"):
        given(tmp_path / "KEY.csv", "a.svs")


@pytest.mark.parametrize(
    "where", ["out/KEY.csv", "out/deep/KEY.csv", "in/KEY.csv", "linked/KEY.csv", "out/link.csv"]
)
def test_a_key_among_slides_or_results_is_refused(where: str, slides: Path, tmp_path: Path) -> None:
    (tmp_path / "out/deep").mkdir(parents=True)
    (tmp_path / "linked").symlink_to(slides)
    (tmp_path / "out/link.csv").symlink_to(tmp_path / "KEY.csv")
    before = tree(tmp_path)
    with pytest.raises(UsageError, match=r"lies with the (slides|results).* keep the key apart"):
        run(slides, tmp_path / "out", pseudonyms=tmp_path / where)
    assert tree(tmp_path) == before


def test_a_key_in_no_folder_and_a_folder_are_refused(slides: Path, tmp_path: Path) -> None:
    for key, says in ((tmp_path / "none/KEY.csv", "not there"), (tmp_path, "a folder")):
        with pytest.raises(UsageError, match=says):
            run(slides, tmp_path / "in2" / "out", pseudonyms=key)


def test_slides_keep_their_names_over_runs(slides: Path, tmp_path: Path) -> None:
    out, key = tmp_path / "out", tmp_path / "KEY.csv"
    method = FakeMethod()
    assert run(slides, out, method, pseudonyms=key).exit_status == 0
    called, first = read_key(key), tree(out)
    assert set(method.seen) == set(called.values()) == {"S0001", "S0002", "S0003"}
    assert sorted(os.listdir(out / "slides")) == ["S0001", "S0002", "S0003"]
    assert (out / "slides/S0001/S0001.xml").exists()
    assert run(slides, out, method, pseudonyms=key).exit_status == 0
    assert len(method.seen) == 3, "what is done is not done again"
    assert run(slides, out, method, pseudonyms=key, overwrite=True).exit_status == 0
    assert len(method.seen) == 6
    assert tree(out) == first
    write_slide_file(slides / "0 comes first.tif", 3)
    (slides / "a.svs").unlink()
    run(slides, out, method, pseudonyms=key)
    assert method.seen[6:] == ["S0004"]
    assert read_key(key) == called | {"0 comes first.tif": "S0004"}


def test_shards_give_what_one_run_gives(slides: Path, tmp_path: Path) -> None:
    key, out = tmp_path / "KEY.csv", tmp_path / "parts"
    run(slides, tmp_path / "whole", pseudonyms=key)
    run(slides, out, pseudonyms=key, shard=Shard(0, 2))
    called = sorted(read_key(key).values())
    assert [slide.name for slide in read_list(out) or ()] == called
    assert b"c.tif" not in (out / "slides.txt").read_bytes()
    write_slide_file(slides / "0 new.tif", 3)  # is not in the list
    later = FakeMethod()
    run(slides, out, later, pseudonyms=key, shard=Shard(1, 2))
    assert later.seen == called[1::2]
    merge(out)
    for table in ("summary.csv", "glomeruli.csv"):
        assert (out / table).read_bytes() == (tmp_path / "whole" / table).read_bytes()


def test_a_listed_slide_that_went_away_is_one_failure(slides: Path, tmp_path: Path) -> None:
    out, key = tmp_path / "out", tmp_path / "KEY.csv"
    names = [slide.name for slide in find_slides(slides).slides]
    called = give_pseudonyms(key, slides, out, names)
    write_list(slides, out, rename(find_slides(slides).slides, called), hide_paths=True)
    (slides / "a.svs").unlink()
    outcome = run(slides, out, pseudonyms=key, shard=Shard(0, 1))
    assert {name: outcome.statuses[called[name]] for name in names} == {
        "a.svs": "failed",
        "a.tif": "done",
        "b/c.tif": "done",
    }


def test_a_list_of_names_is_not_mixed_with_pseudonyms(slides: Path, tmp_path: Path) -> None:
    write_list(slides, tmp_path / "out", find_slides(slides).slides)
    with pytest.raises(UsageError, match="did not name"):
        run(slides, tmp_path / "out", pseudonyms=tmp_path / "KEY.csv")


def test_mpp_csv_knows_slides_by_their_own_names(slides: Path, tmp_path: Path) -> None:
    table, key = tmp_path / "mpp.csv", tmp_path / "KEY.csv"
    table.write_text("slide,mpp\nb/c.tif,0.25\n")
    run(slides, tmp_path / "out", pseudonyms=key, mpp_csv=table)
    found = {row["slide"]: row["mpp"] for row in read_rows(tmp_path / "out/summary.csv")}
    assert {name: found[pseudonym] for name, pseudonym in read_key(key).items()} == {
        "a.svs": 0.5,
        "a.tif": 0.5,
        "b/c.tif": 0.25,
    }


def _lose(key: Path) -> None:
    key.unlink()


def _replace(key: Path) -> None:
    key.write_text(HEAD + "S0001,a.svs\n")


@pytest.mark.parametrize("harm", [_lose, _replace])
def test_results_of_another_key_are_not_mixed(
    harm: Callable[[Path], None], slides: Path, tmp_path: Path
) -> None:
    out, key = tmp_path / "out", tmp_path / "KEY.csv"
    run(slides, out, pseudonyms=key)
    harm(key)
    before = tree(tmp_path)
    with pytest.raises(UsageError, match=r"slides that .*KEY.csv did not name.*restore the key"):
        run(slides, out, pseudonyms=key)
    assert tree(tmp_path) == before


@pytest.mark.parametrize("shard", [None, Shard(0, 1)])
def test_an_out_names_slides_in_one_way(shard: Shard | None, slides: Path, tmp_path: Path) -> None:
    key = tmp_path / "KEY.csv"
    run(slides, tmp_path / "plain", shard=shard)
    with pytest.raises(UsageError, match="slides' own names"):
        run(slides, tmp_path / "plain", pseudonyms=key)
    assert not key.exists()
    run(slides, tmp_path / "named", pseudonyms=key, shard=shard)
    with pytest.raises(UsageError, match="pass the same --pseudonyms"):
        run(slides, tmp_path / "named")


def test_an_xml_beside_the_slide_is_refused(slides: Path, tmp_path: Path) -> None:
    with pytest.raises(GloInOneError, match="--xml-beside-slide"):
        run(slides, tmp_path / "out", pseudonyms=tmp_path / "KEY.csv", xml_beside_slide=True)


def test_a_dry_run_adds_nothing_to_the_key(slides: Path, tmp_path: Path) -> None:
    config = config_for(slides, tmp_path / "out", pseudonyms=tmp_path / "KEY.csv")
    work = list_work(config, FakeMethod(), keep_names=False)
    assert sorted(task.name for task in work.tasks) == ["S0001", "S0002", "S0003"]
    assert not (tmp_path / "KEY.csv").exists()
