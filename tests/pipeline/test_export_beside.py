"""An export writes nothing beside the slides: it says so, and the run that it names does."""

import re
from pathlib import Path

import pytest
from folder_fakes import config_for, write_slide_file
from threshold_method import FIRST, ThresholdMethod, run_at

from gloinone.pipeline.export import ExportConfig, export
from gloinone.pipeline.run_folder import run_folder
from gloinone.pipeline.save import SaveOptions

pytestmark = pytest.mark.usefixtures("unflushed")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """IN with an XML beside each slide, and OUT."""
    for seed, name in enumerate(("a.svs", "deep/cd.tif")):
        write_slide_file(tmp_path / "in" / name, seed)
    run_beside(tmp_path)
    return tmp_path


def run_beside(folder: Path, method: ThresholdMethod | None = None, save: SaveOptions | None = None) -> None:
    config = config_for(folder / "in", folder / "out", xml_beside_slide=True, save=save or SaveOptions())
    assert run_folder(config, method or ThresholdMethod()).exit_status == 0


def warning(caplog: pytest.LogCaptureFixture) -> str:
    found = [text for _, _, text in caplog.record_tuples if "beside" in text]
    caplog.clear()
    return "\n".join(found)


def test_an_export_names_the_slides_and_the_run_that_writes_beside_them(
    run: Path, caplog: pytest.LogCaptureFixture
) -> None:
    beside, own = run / "in/deep/cd.xml", run / "out/slides/deep/cd.tif/cd.xml"
    before = beside.read_bytes()
    export(ExportConfig(run / "out", min_score=0.5, shape="ellipse"))
    assert beside.read_bytes() == before != own.read_bytes()
    assert warning(caplog) == (
        "2 slides have an XML beside them that still shows the earlier glomeruli (a.svs, deep/cd.tif); to write "
        "it anew: gloinone run IN OUT --xml-beside-slide --min-score 0.5 --shape ellipse, with the other options "
        "of the run"
    )
    export(ExportConfig(run / "out", formats=("coco",)))
    assert "2 slides" in warning(caplog), "still"
    same = ThresholdMethod(0.5)
    run_beside(run, same, SaveOptions("ellipse"))
    assert same.seen == [], "nothing is computed for it"
    assert beside.read_bytes() == own.read_bytes()
    export(ExportConfig(run / "out"))
    assert not warning(caplog)
    export(ExportConfig(run / "out", keep_nonglomerular=True, min_score=FIRST, shape="outline"))
    assert re.search(r"--xml-beside-slide --min-score 0.3 --keep-nonglomerular, with", warning(caplog))


def test_an_edited_xml_in_out_does_not_keep_the_one_beside_from_being_written(
    run: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = run / "out/slides/a.svs"
    (folder / "a.xml").write_bytes(b"<Annotations/>")
    export(ExportConfig(run / "out", min_score=0.5))
    assert "2 slides" in warning(caplog)
    run_beside(run, ThresholdMethod(0.5))
    assert (run / "in/a.xml").read_bytes() == (folder / "a.new.xml").read_bytes()
    export(ExportConfig(run / "out", min_score=0.5))
    assert not warning(caplog)


def test_slides_that_have_none_beside_them_are_not_named(run: Path, caplog: pytest.LogCaptureFixture) -> None:
    run_at(run / "in", run / "plain")
    export(ExportConfig(run / "plain", min_score=0.5))
    assert not warning(caplog)
