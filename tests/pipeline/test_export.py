"""What export writes is what a run with the same options writes; the slides are gone meanwhile."""

import re
import shutil
from pathlib import Path

import pytest
from folder_fakes import config_for, read_rows, tree
from threshold_method import FIRST, ThresholdMethod, comparable, run_at

from gloinone.annotations.geojson import read_geojson
from gloinone.doubts import LIMITS
from gloinone.errors import UsageError
from gloinone.labels import NONGLOMERULAR
from gloinone.pipeline.claims import Claims
from gloinone.pipeline.export import ExportConfig, Exported, export
from gloinone.pipeline.layout import CLAIMS, slide_place
from gloinone.pipeline.progress import Silent
from gloinone.pipeline.run_folder import run_folder
from gloinone.pipeline.save import SaveOptions
from gloinone.pipeline.state import read_state

pytestmark = pytest.mark.usefixtures("unflushed")

EDITED = b"<Annotations><!-- mine --></Annotations>"


def exported(out: Path, **options: object) -> Exported:
    """In a folder from which no slide can be reached."""
    found = export(ExportConfig(out, **options))  # type: ignore[arg-type]
    assert not found.problems
    return found


@pytest.fixture(scope="module")
def slides_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from folder_fakes import write_slide_file

    folder = tmp_path_factory.mktemp("slides") / "in"
    for seed, name in enumerate(("a.svs", "deep/cd.tif")):
        write_slide_file(folder / name, seed)
    return folder


@pytest.fixture(scope="module")
def first(slides_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run at the first threshold."""
    out = tmp_path_factory.mktemp("first") / "out"
    assert run_at(slides_once, out).exit_status == 0
    return out


@pytest.fixture
def out(first: Path, tmp_path: Path) -> Path:
    """A copy of it, that may be changed."""
    return Path(shutil.copytree(first, tmp_path / "out"))


@pytest.mark.parametrize(
    ("min_score", "shape"), [(FIRST, "ellipse"), (0.5, "outline"), (0.5, "polygon"), (0.99, "outline")]
)
def test_an_export_is_a_fresh_run_with_its_options(
    slides_once: Path, out: Path, tmp_path: Path, min_score: float, shape: str
) -> None:
    n_before = len(read_rows(out / "glomeruli.csv"))
    slides_once.rename(slides_once.with_name("away"))
    try:
        assert exported(out, min_score=min_score, shape=shape).stand_ins == 0
    finally:
        slides_once.with_name("away").rename(slides_once)
    fresh = tmp_path / "fresh"
    run_at(slides_once, fresh, ThresholdMethod(min_score), SaveOptions(shape))  # type: ignore[arg-type]
    found, wanted = comparable(out), comparable(fresh)
    assert found.keys() == wanted.keys()
    assert [name for name in found if found[name] != wanted[name]] == []
    assert (len(read_rows(out / "glomeruli.csv")) < n_before) == (min_score > FIRST)


def test_with_the_nonglomerular_it_is_a_fresh_run_where_they_were_outlined(
    slides_once: Path, tmp_path: Path
) -> None:
    all_kept, fresh = tmp_path / "out", tmp_path / "fresh"
    run_at(slides_once, all_kept, ThresholdMethod(keep_nonglomerular=True))
    run_at(slides_once, fresh)
    before = comparable(all_kept)
    exported(all_kept, keep_nonglomerular=False)
    assert comparable(all_kept) == comparable(fresh)
    assert list(all_kept.rglob("crops/circle-*.png"))
    exported(all_kept, keep_nonglomerular=True)
    assert comparable(all_kept) == before


def test_missing_votes_are_known_of_every_circle(slides_once: Path, tmp_path: Path) -> None:
    """Of those that the segmenter saw, as a fresh run says; and of those whose circle stands in."""
    out, fresh = tmp_path / "out", tmp_path / "fresh"
    run_at(slides_once, out, ThresholdMethod(voters=4))
    run_at(slides_once, fresh, ThresholdMethod(0.5, voters=4))
    exported(out, min_score=0.05)
    rows = read_rows(out / "glomeruli.csv")
    assert {row["votes_missing"] for row in rows} == {0, 0.25, 0.5, 0.75}
    assert all(row["votes_missing"] == 1 - int(str(row["votes"])) / 4 for row in rows)
    assert all(("few votes" in str(row["flags"])) == (int(str(row["votes"])) <= 2) for row in rows)
    exported(out, min_score=0.5)
    assert comparable(out) == comparable(fresh)


def test_a_slide_is_told_as_a_run_tells_it(slides_once: Path, tmp_path: Path) -> None:
    class Told(Silent):
        def __init__(self) -> None:
            self.said: list[tuple[str, str, str]] = []

        def end(self, name: str, status: str, text: str) -> None:
            self.said.append((name, status, text))

    of_run, of_export, out = Told(), Told(), tmp_path / "out"
    run_folder(config_for(slides_once, out), ThresholdMethod(), of_run)
    export(ExportConfig(out), of_export)
    assert sorted(of_export.said) == sorted(of_run.said)
    assert "glomeruli" in of_export.said[0][2]


def test_nothing_is_given_up_on_the_way_up_and_down(first: Path, out: Path) -> None:
    for min_score in (0.9, FIRST):
        exported(out, min_score=min_score)
    assert tree(out).keys() - {"runs/export.json"} == tree(first).keys()
    assert {k: v for k, v in tree(out).items() if k != "runs/export.json"} == tree(first)


def test_below_the_first_threshold_circles_stand_in_and_a_run_does_the_slide_again(
    slides_once: Path, out: Path
) -> None:
    before = read_rows(out / "glomeruli.csv")
    found = exported(out, min_score=0.05, keep_nonglomerular=True)
    rows = read_rows(out / "glomeruli.csv")
    assert found.stand_ins == len(rows) - len(before) > 0
    assert any(row["class"] == NONGLOMERULAR for row in rows)
    known = {(row["slide"], row["x"], row["y"]): row for row in before}
    for row in rows:
        earlier = known.get((row["slide"], row["x"], row["y"]))
        if earlier is None:
            assert (row["outline"], row["crop"]) == ("circle", None)
            assert (out / str(row["mask"])).is_file()
            assert (row["blur_um"], row["pen_share"], row["fold_share"]) == (None, None, None)
            assert row["doubt"] == pytest.approx(float(str(row["near_cut"])) / LIMITS["near_cut"], abs=0.001)
            if not row["at_edge"]:
                assert row["diameter_um"] == pytest.approx(float(str(row["radius"])) * 2 * 0.5, abs=0.02)
        else:
            counts_kept, of_threshold = (
                {"id", "crop", "mask", "glomerulus_track"},
                {"near_cut", "doubt", "flags"},
            )
            same = row.keys() - counts_kept - of_threshold
            assert {name: row[name] for name in same} == {name: earlier[name] for name in same}
    assert (out / "slides/a.svs/contact.jpg").stat().st_size > 1000
    method = ThresholdMethod(0.05, keep_nonglomerular=True)
    run_at(slides_once, out, method)
    assert sorted(method.seen) == ["a.svs", "deep/cd.tif"]
    assert all(row["crop"] for row in read_rows(out / "glomeruli.csv"))


def test_a_later_run_knows_what_it_finds(slides_once: Path, out: Path, first: Path) -> None:
    exported(out, min_score=0.5)
    same = ThresholdMethod(0.5)
    assert run_at(slides_once, out, same).exit_status == 0
    assert same.seen == []
    other = ThresholdMethod()
    run_at(slides_once, out, other)
    assert sorted(other.seen) == ["a.svs", "deep/cd.tif"]
    assert {k: v for k, v in tree(out).items() if k != "runs/export.json"} == tree(first)


def test_what_a_pathologist_edited_stays(slides_once: Path, out: Path, tmp_path: Path) -> None:
    folder = out / "slides/a.svs"
    (folder / "a.xml").write_bytes(EDITED)
    (folder / "mine.txt").write_text("mine")
    for min_score in (0.5, 0.6):
        exported(out, min_score=min_score)
        assert (folder / "a.xml").read_bytes() == EDITED
        assert (folder / "mine.txt").read_text() == "mine"
        assert not (folder / "a.new2.xml").exists()
    run_at(slides_once, tmp_path / "fresh", ThresholdMethod(0.6))
    fresh = (tmp_path / "fresh/slides/a.svs/a.xml").read_bytes()
    assert (folder / "a.new.xml").read_bytes() == fresh
    state = read_state(folder)
    assert state is not None
    assert any("edited by hand" in note for note in state.notes)


def test_without_crops_and_masks(slides_once: Path, tmp_path: Path) -> None:
    out, fresh = tmp_path / "out", tmp_path / "fresh"
    few = SaveOptions(crops=False, masks=False)
    run_at(slides_once, out, save=few)
    run_at(slides_once, fresh, ThresholdMethod(0.5), few)
    exported(out, min_score=0.5)
    same = [name for name in tree(fresh) if name.endswith((".csv", ".xml", ".geojson", "overlay.jpg"))]
    assert [name for name in same if tree(out)[name] != tree(fresh)[name]] == []
    assert not [path for kind in ("crops", "masks*") for path in out.rglob(kind)]


def test_the_contact_sheet_of_a_run_without_crops_stays_while_its_glomeruli_do(
    slides_once: Path, tmp_path: Path
) -> None:
    out, few = tmp_path / "out", SaveOptions(crops=False)
    run_at(slides_once, out, save=few)
    before = tree(out)
    exported(out, formats=("coco",))
    changed = {name.rpartition("/")[2] for name in before if tree(out)[name] != before[name]}
    assert changed == {"state.json"}
    again = ThresholdMethod()
    run_at(slides_once, out, again, few)
    assert not again.seen
    exported(out, min_score=0.5)
    assert tree(out)["slides/a.svs/contact.jpg"] != before["slides/a.svs/contact.jpg"]
    run_at(slides_once, out, again, few)
    assert again.seen, "pictures are missing"


@pytest.mark.usefixtures("informative")
def test_the_log_says_what_was_exported(slides_once: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run_at(slides_once, out)
    (out / "slides/a.svs/a.xml").write_bytes(EDITED)
    exported(out, min_score=0.5)
    log = (out / "slides/a.svs/log.txt").read_text()
    assert "begun (new)" in log
    assert "a.svs: exported with settings {'min_score': 0.5" in log
    assert "a.xml was edited by hand and is kept" in log


def test_a_slide_at_work_is_left_alone_and_said(out: Path) -> None:
    place = slide_place(out, "a.svs")
    before = (place.folder / "a.xml").read_bytes()
    with Claims(out / CLAIMS).hold(place.key, "a.svs") as claim:
        assert claim is not None
        found = export(ExportConfig(out, min_score=0.9))
    assert found.slides == ["deep/cd.tif"]
    assert re.match(r"a\.svs: is at work", found.problems[0])
    assert (place.folder / "a.xml").read_bytes() == before


def test_a_damaged_folder_is_a_problem_and_stays(out: Path) -> None:
    folder = out / "slides/a.svs"
    (folder / "thumbnail.jpg").write_bytes(b"none")
    found = export(ExportConfig(out, min_score=0.9))
    assert found.slides == ["deep/cd.tif"]
    assert "thumbnail.jpg" in found.problems[0]
    assert len(read_geojson(folder / "a.geojson")) == len(list((folder / "masks").iterdir()))


def test_what_cannot_be_exported_is_refused_before_anything_is_written(out: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no results"):
        export(ExportConfig(tmp_path))
    with pytest.raises(UsageError, match="0 to 1"):
        ExportConfig(out, min_score=1.5)
    (out / "slides/a.svs/result.json").unlink()
    before = tree(out)
    with pytest.raises(UsageError, match=r"1 slides .* no result.json \(a.svs\)"):
        export(ExportConfig(out, min_score=0.9))
    assert tree(out) == before
