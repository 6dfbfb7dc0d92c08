"""Which slides a training reads, and what the tables say of them; no slide is opened."""

from pathlib import Path

import pytest

from gloinone.errors import UsageError
from gloinone.training.check import check_folder
from gloinone.training.sources import SlideFolder, listed_slides


def folder_of(path: Path, *names: str, table: str = "", **more: object) -> SlideFolder:
    """A folder with empty files for slides, and a table of mpp."""
    for name in names:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).touch()
    csv = path.parent / f"{path.name}.csv"
    csv.write_text(table, "utf-8")
    return SlideFolder(path, path, csv if table else None, **more)  # type: ignore[arg-type]


def test_a_file_name_that_several_slides_have_says_nothing(tmp_path: Path) -> None:
    table = "slide,mpp,patient\na.svs,0.25,p\nb.svs,0.5,q\nx.svs,1,r\n"
    folder = folder_of(tmp_path / "s", "1/a.svs", "2/a.svs", "2/b.svs", table=table)
    said: list[str] = []
    slides = listed_slides([folder], said.append)
    assert [(s.name, s.said.mpp, s.patient) for s in slides] == [
        ("1/a.svs", None, "a"),
        ("2/a.svs", None, "a"),
        ("2/b.svs", 0.5, "q"),
    ]
    assert [sentence.split(": ")[1] for sentence in said] == [
        "a.svs is the name of several slides; write its path",
        "x.svs matches no slide",
    ]
    checked: list[str] = []
    rows = check_folder(folder, checked.append)
    assert checked == said
    assert [row.slide for row in rows] == [s.name for s in slides]


def test_a_slide_that_is_listed_twice_is_refused(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "s", "1/a.svs", table="slide,mpp\na.svs,0.25\n1/a.svs,0.5\n")
    with pytest.raises(UsageError, match=r"line 3: 1/a.svs is listed twice"):
        listed_slides([folder], print)


def test_a_folder_without_slides_is_refused(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    with pytest.raises(UsageError, match="no slides in it"):
        listed_slides([folder_of(tmp_path / "s")], print)
