"""What a pathologist made is never overwritten, in OUT and beside the slide."""

from pathlib import Path

import pytest
from folder_fakes import FakeMethod, run, tree, write_slide_file

from gloinone.errors import SlideUnreadableError
from gloinone.pipeline.save import SaveOptions
from gloinone.pipeline.state import read_state

EDITED = b"<Annotations><!-- mine --></Annotations>"


@pytest.mark.usefixtures("informative")
def test_an_edited_xml_is_kept_and_the_new_one_steps_aside(slides: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(slides, out)
    folder = out / "slides/a.svs"
    original = (folder / "a.xml").read_bytes()
    (folder / "a.xml").write_bytes(EDITED)
    for _ in range(2):  # the second time a.new.xml is ours, and replaced
        run(slides, out, overwrite=True)
        assert (folder / "a.xml").read_bytes() == EDITED
        assert (folder / "a.new.xml").read_bytes() == original
        assert not (folder / "a.new2.xml").exists()
    assert "a.new.xml" in (folder / "log.txt").read_text()
    assert "a.new.xml" in (out / "report.html").read_text()
    state = read_state(folder)
    assert state is not None
    assert any("edited by hand" in note for note in state.notes)
    assert sorted(state.files) == ["a.geojson", "a.new.xml"]

    (folder / "a.new.xml").write_bytes(EDITED + b"2")
    run(slides, out, save=SaveOptions("ellipse"))
    assert (folder / "a.xml").read_bytes() == EDITED
    assert (folder / "a.new.xml").read_bytes() == EDITED + b"2"
    assert b"<Vertex" in (folder / "a.new2.xml").read_bytes()

    (folder / "a.geojson").write_bytes(b"{}")
    run(slides, out)
    assert (folder / "a.geojson").read_bytes() == b"{}"
    assert (folder / "a.new.geojson").exists()


def test_an_edited_xml_outlives_a_failure_and_a_lost_state(slides: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(slides, out)
    folder = out / "slides/a.svs"
    (folder / "a.xml").write_bytes(EDITED)
    broken = FakeMethod(wrong={"a.svs": SlideUnreadableError("a.svs: torn")})
    write_slide_file(slides / "a.svs", 7)
    run(slides, out, broken)
    assert sorted(p.name for p in folder.iterdir()) == ["a.xml", "log.txt", "report.html", "state.json"]
    (folder / "state.json").unlink()
    run(slides, out)
    assert (folder / "a.xml").read_bytes() == EDITED
    assert (folder / "a.new.xml").exists()


def test_an_xml_saved_without_a_change_is_ours(slides: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(slides, out)
    before = tree(out)
    (out / "slides/a.svs/a.xml").touch()
    run(slides, out, overwrite=True)
    assert tree(out) == before


def test_other_files_of_a_person_are_kept_and_old_ones_of_ours_are_not(slides: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(slides, out)
    folder = out / "slides/a.svs"
    (folder / "notes/deep").mkdir(parents=True)
    (folder / "notes/deep/mine.txt").write_text("look at G002")
    (folder / "link").symlink_to(tmp_path)
    run(slides, out, save=SaveOptions(masks=False))
    assert (folder / "notes/deep/mine.txt").read_text() == "look at G002"
    assert (folder / "link").is_symlink()
    assert not (folder / "masks.tif").exists()
    assert not (folder / "masks").exists()


def test_the_xml_beside_the_slide(slides: Path, tmp_path: Path) -> None:
    out, beside = tmp_path / "out", slides / "b/c.xml"
    run(slides, out)
    assert not beside.exists()
    assert not run(slides, out, FakeMethod(), xml_beside_slide=True).stopped
    assert beside.read_bytes() == (out / "slides/b/c.tif/c.xml").read_bytes()
    # a.svs came first; the XML that a.tif would put there is another
    assert (slides / "a.xml").read_bytes() == (out / "slides/a.svs/a.xml").read_bytes()

    run(slides, out, xml_beside_slide=True, save=SaveOptions("ellipse"))
    assert beside.read_bytes() == (out / "slides/b/c.tif/c.xml").read_bytes()

    beside.write_bytes(EDITED)
    run(slides, out, xml_beside_slide=True)
    assert beside.read_bytes() == EDITED
    assert sorted(p.name for p in beside.parent.iterdir()) == ["c.tif", "c.xml"]
    state = read_state(out / "slides/b/c.tif")
    assert state is not None
    assert any("c.xml beside the slide" in note for note in state.notes)
    assert "c.xml beside the slide" in (out / "report.html").read_text()


def test_a_pathologists_own_xml_beside_the_slide(slides: Path, tmp_path: Path) -> None:
    (slides / "b/c.xml").write_bytes(EDITED)
    before = {p: p.stat().st_mtime_ns for p in slides.rglob("*")}
    assert run(slides, tmp_path / "out").exit_status == 0
    assert {p: p.stat().st_mtime_ns for p in slides.rglob("*")} == before
    assert run(slides, tmp_path / "out", xml_beside_slide=True, overwrite=True).exit_status == 0
    assert (slides / "b/c.xml").read_bytes() == EDITED
