"""What counts as a slide in a folder: each once, none lost, none that belongs to another or is a result of ours."""

import json
import os
from pathlib import Path

import pytest
from slide_files import write_dicom

from gloinone.errors import UsageError
from gloinone.slide.dicom import SLIDE_SOP_CLASS
from gloinone.slide.discover import find_slides, readable


def make(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"content of " + os.fsencode(name))
    return root


def make_series(folder: Path, series: str, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        path = write_dicom(folder / name, series, SLIDE_SOP_CLASS)
        path.write_bytes(path.read_bytes() + b"\0" * number)


def test_slides_are_found_recursively_in_sorted_order(tmp_path: Path) -> None:
    make(
        tmp_path,
        "b/x.svs",
        "b/a.NDPI",
        "a.tif",
        "B.png",
        "c.jpeg",
        "a/z.scn",
        "notes.txt",
        "a.geojson",
        "d.csv",
    )
    found = find_slides(tmp_path)
    assert list(found.names) == sorted(["B.png", "a.tif", "a/z.scn", "b/a.NDPI", "b/x.svs", "c.jpeg"])
    assert all(slide.walked for slide in found.slides)
    assert all(slide.path == tmp_path / slide.name for slide in found.slides)
    assert all(slide.files == (slide.path,) for slide in found.slides)
    assert found.ignored == ()
    assert find_slides(tmp_path) == found


def test_an_empty_folder_gives_an_empty_answer(tmp_path: Path) -> None:
    make(tmp_path, "only/notes.txt")
    assert find_slides(tmp_path).slides == ()


def test_a_text_file_called_svs_is_a_candidate(tmp_path: Path) -> None:
    make(tmp_path, "text.svs", "empty.svs")
    (tmp_path / "empty.svs").write_bytes(b"")
    assert find_slides(tmp_path).names == ("empty.svs", "text.svs")


def test_a_single_slide_was_named_not_walked(tmp_path: Path) -> None:
    make(tmp_path, "a.svs", "b.svs")
    (slide,) = find_slides(tmp_path / "a.svs").slides
    assert (slide.name, slide.walked, slide.path) == ("a.svs", False, tmp_path / "a.svs")


def test_input_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        find_slides(tmp_path / "none")


def test_hidden_files_and_folders_are_passed_over(tmp_path: Path) -> None:
    make(tmp_path, ".a.svs", ".git/b.svs", "._c.svs", "d.svs")
    assert find_slides(tmp_path).names == ("d.svs",)


def test_the_output_inside_the_input_is_passed_over(tmp_path: Path) -> None:
    make(tmp_path, "a.svs", "out/slides/a.svs/crops/G001.png", "out/slides/a.svs/overlay.jpg")
    (tmp_path / "link").symlink_to(tmp_path / "out" / "slides")
    assert find_slides(tmp_path, tmp_path / "out").names == ("a.svs",)
    assert find_slides(tmp_path, tmp_path / "link" / "..").names == ("a.svs",)
    assert len(find_slides(tmp_path, tmp_path / "elsewhere").slides) == 3


def test_the_input_inside_the_output_is_refused(tmp_path: Path) -> None:
    make(tmp_path, "slides/a.svs")
    for out in (tmp_path, tmp_path / "slides"):
        with pytest.raises(UsageError, match="write into another folder"):
            find_slides(tmp_path / "slides", out)
    assert find_slides(tmp_path / "slides" / "a.svs", tmp_path).names == ("a.svs",)


def test_results_of_an_earlier_run_are_passed_over_and_named(tmp_path: Path) -> None:
    make(tmp_path, "a.svs", "old/slides/a.svs/overlay.jpg", "theirs/b.svs")
    (tmp_path / "old" / "run.json").write_text(json.dumps({"program": "gloinone", "version": "0.1.0"}))
    (tmp_path / "theirs" / "run.json").write_text(
        json.dumps({"program": "another", "arguments": ["/home/gloinone"]})
    )
    found = find_slides(tmp_path)
    assert found.names == ("a.svs", "theirs/b.svs")
    (ignored,) = found.ignored
    assert ignored.path == tmp_path / "old"
    assert "results of gloinone" in ignored.reason


def test_results_of_shards_are_passed_over_too(tmp_path: Path) -> None:
    make(tmp_path, "a.svs", "old/slides/a.svs/overlay.jpg", "theirs/runs/b.svs")
    (tmp_path / "old" / "runs").mkdir()
    (tmp_path / "old" / "runs" / "0-of-2.json").write_text(json.dumps({"program": "gloinone"}))
    (tmp_path / "theirs" / "runs" / "plan.json").write_text("{}")
    found = find_slides(tmp_path)
    assert found.names == ("a.svs", "theirs/runs/b.svs")
    assert [ignored.path for ignored in found.ignored] == [tmp_path / "old"]


def test_links_are_followed_once_and_loops_end(tmp_path: Path) -> None:
    outside = make(tmp_path / "outside", "far.svs", "deep/farther.svs")
    root = make(tmp_path / "in", "a.svs", "real/b.svs")
    (root / "0-link-to-real").symlink_to(root / "real")
    (root / "0-link.svs").symlink_to(root / "a.svs")
    (root / "loop").symlink_to(root)
    (root / "real" / "up").symlink_to(root)
    (root / "far").symlink_to(outside)
    (root / "again").symlink_to(outside)
    (outside / "back").symlink_to(root)
    (outside / "deep" / "loop").symlink_to(outside)
    found = find_slides(root)
    assert found.names == ("a.svs", "again/deep/farther.svs", "again/far.svs", "real/b.svs")
    assert [i.path.name for i in found.ignored] == ["0-link.svs"]


def test_a_link_to_nothing_is_not_lost(tmp_path: Path) -> None:
    (tmp_path / "gone.svs").symlink_to(tmp_path / "none.svs")
    (tmp_path / "gone.txt").symlink_to(tmp_path / "none.txt")
    assert find_slides(tmp_path).names == ("gone.svs",)


def test_the_folder_of_an_mrxs_belongs_to_it(tmp_path: Path) -> None:
    make(tmp_path, "a.mrxs", "a/Slidedat.ini", "a/Data0000.dat", "a/preview.jpg", "b/c.svs")
    assert find_slides(tmp_path).names == ("a.mrxs", "b/c.svs")


@pytest.mark.parametrize("suffix", ["vms", "VMU"])
def test_what_a_hamamatsu_index_names_belongs_to_it(tmp_path: Path, suffix: str) -> None:
    make(tmp_path, "s.jpg", "s(1,0).jpg", "s_map.JPG", "other.jpg")
    index = "[Virtual Microscope Specimen]\r\nImageFile=s.jpg\r\nImageFile(1,0)=s(1,0).jpg\r\nMapFile=s_map.jpg\r\n"
    (tmp_path / f"s.{suffix}").write_text(index)
    found = find_slides(tmp_path)
    assert sorted(found.names) == sorted([f"s.{suffix}", "other.jpg"])
    assert {i.reason for i in found.ignored} == {f"belongs to s.{suffix}"}
    assert len(found.ignored) == 3
    (slide,) = (slide for slide in found.slides if slide.path.suffix == f".{suffix}")
    # the pixels lie in those: a run looks whether they have changed
    assert {path.name for path in slide.files} == {f"s.{suffix}", "s.jpg", "s(1,0).jpg", "s_map.JPG"}


def test_a_dicom_folder_is_one_slide_beside_files_of_its_name(tmp_path: Path) -> None:
    make(tmp_path, "a.svs", "a.tif")
    make_series(tmp_path / "a", "1.1", "1.dcm", "2.dcm", "3.dcm")
    found = find_slides(tmp_path)
    assert found.names == ("a", "a.svs", "a.tif")
    assert found.slides[0].path == tmp_path / "a" / "3.dcm"
    assert len(found.slides[0].files) == 3


def test_dicom_files_without_suffix_are_found(tmp_path: Path) -> None:
    make_series(tmp_path / "s", "1.1", "IM0001", "1.2.840.113619.7")
    make(tmp_path, "s/README", "s/DICOMDIR")
    assert find_slides(tmp_path).names == ("s",)


def test_a_preview_beside_a_dicom_series_changes_no_name(tmp_path: Path) -> None:
    make_series(tmp_path / "s", "1.1", "1.dcm")
    make(tmp_path, "s/preview.png", "s/more/label.jpg", "other.png")
    found = find_slides(tmp_path)
    assert found.names == ("other.png", "s")
    assert [i.path.name for i in found.ignored] == ["label.jpg", "preview.png"]
    assert find_slides(tmp_path / "s").names == ("more/label.jpg", "preview.png", "s")
    make(tmp_path, "s/slide.tif")
    assert find_slides(tmp_path).names == (
        "other.png",
        "s/1.dcm",
        "s/more/label.jpg",
        "s/preview.png",
        "s/slide.tif",
    )


def test_several_series_in_a_folder_are_several_slides(tmp_path: Path) -> None:
    make_series(tmp_path / "s", "1.1", "a1.dcm", "a2.dcm")
    make_series(tmp_path / "s", "1.2", "b1.dcm", "b2.dcm")
    assert find_slides(tmp_path).names == ("s/a1.dcm", "s/b1.dcm")


def test_no_name_is_a_folder_of_anothers(tmp_path: Path) -> None:
    make_series(tmp_path / "s", "1.1", "1.dcm")
    make_series(tmp_path / "s" / "t", "1.2", "1.dcm")
    make(tmp_path, "u/v/x.svs")
    make_series(tmp_path / "u", "1.3", "1.dcm")
    make_series(tmp_path, "1.4", "0.dcm")
    assert find_slides(tmp_path).names == ("0.dcm", "s/1.dcm", "s/t", "u/1.dcm", "u/v/x.svs")


def test_the_folder_of_one_series_may_be_the_input(tmp_path: Path) -> None:
    make_series(tmp_path / "case 7", "1.1", "1.dcm", "2.dcm")
    (slide,) = find_slides(tmp_path / "case 7").slides
    assert (slide.name, slide.walked) == ("case 7", False)


def test_dicom_of_other_kinds(tmp_path: Path) -> None:
    write_dicom(tmp_path / "report.dcm", "1.1", "1.2.840.10008.5.1.4.1.1.88.11")
    make(tmp_path, "text.dcm")
    found = find_slides(tmp_path)
    assert found.names == ("text.dcm",)
    assert [i.reason for i in found.ignored] == ["DICOM, but not an image of a slide"]


def test_names_of_any_bytes_survive(tmp_path: Path) -> None:
    raw = [
        b"a b 'c' \"d\" <e>&.svs",
        "é\u0301 漢字.svs".encode(),
        b"latin\xe9.svs",
        b"line\nbreak.svs",
        b"=1+1.svs",
    ]
    for name in raw:
        (tmp_path / os.fsdecode(name)).write_bytes(b"x")
    found = find_slides(tmp_path)
    assert {os.fsencode(slide.path.name) for slide in found.slides} == set(raw)
    assert r"latin\xe9.svs" in found.names
    assert r"line\x0abreak.svs" in found.names
    for slide in found.slides:
        assert slide.path.read_bytes() == b"x"
        assert slide.name.encode().decode() == slide.name
        assert len(slide.name.splitlines()) == 1


def test_two_names_that_read_alike_are_one_and_the_other_is_named(tmp_path: Path) -> None:
    make(tmp_path, r"a\xe9.svs", os.fsdecode(b"a\xe9.svs"))
    found = find_slides(tmp_path)
    assert found.names == (r"a\xe9.svs",)
    assert "rename one" in found.ignored[0].reason


def test_readable_leaves_ordinary_names_alone() -> None:
    assert readable("Fall 7, é, 漢 #1.svs") == "Fall 7, é, 漢 #1.svs"


def test_a_link_that_leads_in_a_circle_and_a_pipe_are_no_slides_and_stop_nobody(tmp_path: Path) -> None:
    make(tmp_path, "a.svs")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "loop.svs").symlink_to(tmp_path / "loop.svs")
    os.mkfifo(tmp_path / "pipe")
    os.mkfifo(tmp_path / "pipe.svs")
    found = find_slides(tmp_path)
    assert found.names == ("a.svs", "loop.svs")  # which fails, and says why
    assert [(i.path.name, i.reason[:10]) for i in found.ignored] == [("pipe.svs", "not a file")]


def test_a_folder_that_nobody_may_enter_stops_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may enter every folder; the system is asked on its behalf."""
    make(tmp_path, "a.svs", "lost+found/b.svs")
    scandir, glob = os.scandir, Path.glob

    def refusing(path: object) -> object:
        if Path(str(path)).name == "lost+found":
            raise PermissionError(13, "Permission denied")
        return scandir(path)  # type: ignore[call-overload]

    def globbing(path: Path, pattern: str) -> object:
        if "lost+found" in path.parts:
            raise PermissionError(13, "Permission denied")
        return glob(path, pattern)

    monkeypatch.setattr(os, "scandir", refusing)
    monkeypatch.setattr(Path, "glob", globbing)
    found = find_slides(tmp_path)
    assert found.names == ("a.svs",)
    assert "cannot be read (Permission denied)" in found.ignored[0].reason


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every folder")
def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    make(tmp_path, "a.svs", "closed/b.svs")
    (tmp_path / "closed").chmod(0)
    try:
        found = find_slides(tmp_path)
    finally:
        (tmp_path / "closed").chmod(0o700)
    assert found.names == ("a.svs",)
    assert "cannot be read" in found.ignored[0].reason


@pytest.mark.shared
def test_the_shared_slides(shared_data: Path) -> None:
    assert find_slides(shared_data / "slides").names == (
        "awkward/absurd-mpp.tiff",
        "awkward/refused-webp.tiff",
        "cmu-1-small-region.dicom",
        "cmu-1-small-region.svs",
        "kidney-he/kidney-he.svs",
    )
    assert len(find_slides(shared_data / "biopsies-he").slides) == 49
