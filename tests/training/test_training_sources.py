"""Which slides a training reads, and what the tables say of them; no slide is opened."""

from pathlib import Path

import numpy as np
import pytest

from gloinone.cli.training_inputs import set_config, slide_folders
from gloinone.errors import UsageError
from gloinone.learning.folds import folds_of
from gloinone.learning.holdout import held_out
from gloinone.training.check import check_folder
from gloinone.training.patch_set import crop_origins
from gloinone.training.sources import SlideFolder, listed_slides, slide_origins


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


def test_folders_of_one_name_are_two_sources(tmp_path: Path) -> None:
    """Each has another patient's a.svs."""
    options: dict[str, object] = {"mpp_csv": (), "mpp": None, "classes": None, "complete": ("yes",)}
    paths = tuple(tmp_path / place / "slides" for place in ("hA", "hB"))
    for path, patient in zip(paths, "pq", strict=True):
        folder = folder_of(path, "a.svs", table=f"slide,mpp,patient\na.svs,1,{patient}\n")
        options["mpp_csv"] = (*options["mpp_csv"], folder.mpp_csv)  # type: ignore[misc]
    folders = slide_folders(options | {"slides": paths, "truth": paths})
    origins = slide_origins(listed_slides(folders, print))
    assert origins.sources == ["hA/slides", "hB/slides"]
    assert held_out(origins, frozenset({"q"})).tolist() == [False, True]
    assert set(folds_of(origins, "source")) == {"without-hA_slides", "without-hB_slides"}
    alone = slide_folders(options | {"slides": paths[:1], "truth": paths[:1], "mpp_csv": ()})
    assert [folder.name for folder in alone] == ["slides"]


def test_folders_of_crops_are_told_apart_too(tmp_path: Path) -> None:
    for place in ("a/x/crops", "b/x/crops", "slides"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "1.png").touch()
    crops = (tmp_path / "a/x/crops", tmp_path / "b/x/crops", tmp_path / "slides")
    options = {"slides": (), "truth": (), "mpp_csv": (), "mpp": None, "classes": None, "val": ()}
    config = set_config(options | {"crops": crops, "leave_out": ()}, 0.0)
    names = [crop_origins(folder).sources for folder in config.crops]
    assert names == [["a/x/crops"], ["b/x/crops"], ["slides"]]


def test_a_slide_that_is_listed_twice_is_refused(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "s", "1/a.svs", table="slide,mpp\na.svs,0.25\n1/a.svs,0.5\n")
    with pytest.raises(UsageError, match=r"line 3: 1/a.svs is listed twice"):
        listed_slides([folder], print)


def test_lists_of_unlabelled_glomeruli_of_other_slides_are_told(tmp_path: Path) -> None:
    listed = dict.fromkeys(["a.svs", "b.svs", "z.svs", "y.svs", "x.svs", "w.svs"], np.zeros((1, 3)))
    folders = [
        folder_of(tmp_path / "s", "a.svs", unlabelled=listed),
        folder_of(tmp_path / "t", "b.svs", unlabelled=listed),
    ]
    said: list[str] = []
    listed_slides(folders, said.append)
    assert said == ["--unlabelled: 4 of its slides are not among those to read, such as w.svs, x.svs, y.svs"]


def test_a_folder_without_slides_is_refused(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    with pytest.raises(UsageError, match="no slides in it"):
        listed_slides([folder_of(tmp_path / "s")], print)
