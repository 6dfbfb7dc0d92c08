"""Further formats read back, by other means than ours where there are any, to the regions of XML and GeoJSON."""

import json
import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest
from click.testing import CliRunner
from folder_fakes import tree, write_slide_file
from secret_slides import write_secret_dicom
from threshold_method import run_at

from gloinone.annotations.coco import read_coco
from gloinone.annotations.dicom_annotation import dicom_annotation_bytes
from gloinone.annotations.geojson import read_geojson
from gloinone.annotations.geojson_write import geojson_bytes
from gloinone.annotations.imagescope import read_imagescope
from gloinone.annotations.region import Region
from gloinone.cli.main import program
from gloinone.errors import AnnotationError, UsageError
from gloinone.labels import CLASSES, COLOURS
from gloinone.pipeline import further_formats
from gloinone.pipeline.export import ExportConfig, Exported, export
from gloinone.pipeline.restore import restore
from gloinone.pipeline.run_record import RUN

highdicom = pytest.importorskip("highdicom")
pycocotools_coco = pytest.importorskip("pycocotools.coco")

pytestmark = pytest.mark.usefixtures("unflushed")


@pytest.fixture(scope="module")
def run_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """IN with a TIFF and a DICOM slide, and the OUT of a run."""
    folder = tmp_path_factory.mktemp("formats")
    write_slide_file(folder / "in/a.svs")
    write_secret_dicom(folder / "in/scan")
    assert run_at(folder / "in", folder / "out").exit_status == 0
    return folder


@pytest.fixture
def run(run_once: Path, tmp_path: Path) -> Path:
    """A copy of both."""
    return Path(shutil.copytree(run_once, tmp_path / "run"))


def exported(out: Path, *formats: str, **options: object) -> Exported:
    found = export(ExportConfig(out, formats=formats, **options))  # type: ignore[arg-type]
    assert not found.problems
    return found


def regions_of(folder: Path, stem: str) -> list[Region]:
    """By number; XML and GeoJSON agree."""
    regions = read_geojson(folder / f"{stem}.geojson")
    xml = {region.id: region for region in read_imagescope(folder / f"{stem}.xml").regions}
    assert len(regions) == len(xml) > 2
    for region in regions:
        assert xml[region.id].label == region.label
        assert np.allclose(xml[region.id].ring, region.ring, atol=0.011)
    return regions


def test_dsa_reads_back(run: Path) -> None:
    exported(run / "out", "dsa")
    folder = run / "out/slides/a.svs"
    document = json.loads((folder / "a.dsa.json").read_text())
    assert document["name"]
    assert document["description"]
    for element, region in zip(document["elements"], regions_of(folder, "a"), strict=True):
        assert (element["type"], element["closed"], element["group"]) == ("polyline", True, region.label)
        assert element["label"]["value"].startswith(f"{region.id} 0.")
        assert element["lineColor"] == "rgb({}, {}, {})".format(*COLOURS[region.label])
        points = np.array(element["points"])
        assert np.array_equal(points[:, :2], region.ring)
        assert not points[:, 2].any()


def test_dsa_counts_from_what_was_scanned_as_qupath_does(run: Path) -> None:
    from dataclasses import replace

    from gloinone.annotations.dsa import dsa_bytes

    restored = restore(run / "out/slides/a.svs")
    result = restored.result(restored.kept(0.3, False), 0.3)
    cropped = replace(result, info=replace(result.info, bounds=(7, 11, 400, 400)))
    elements = json.loads(dsa_bytes(cropped))["elements"]
    features = json.loads(geojson_bytes(cropped))["features"]
    for element, feature in zip(elements, features, strict=True):
        ring = feature["geometry"]["coordinates"][0][:-1]
        assert [point[:2] for point in element["points"]] == ring


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # pycocotools on numpy 2
def test_coco_reads_back(run: Path) -> None:
    exported(run / "out", "coco")
    folder = run / "out/slides/a.svs"
    path = folder / "a.coco.json"
    regions = regions_of(folder, "a")
    coco = pycocotools_coco.COCO(str(path))
    names = {category["id"]: category["name"] for category in coco.loadCats(coco.getCatIds())}
    assert tuple(names.values()) == CLASSES
    for ours, region, annotation in zip(
        read_coco(path), regions, coco.loadAnns(coco.getAnnIds()), strict=True
    ):
        assert np.array_equal(ours.ring, region.ring)
        assert ours.label == region.label == names[annotation["category_id"]]
        assert coco.annToMask(annotation).sum() == pytest.approx(annotation["area"], rel=0.1)
        x, y, width, height = annotation["bbox"]
        assert [x, y, x + width, y + height] == pytest.approx(
            [*region.ring.min(axis=0), *region.ring.max(axis=0)]
        )


def test_circles_in_coco_are_in_the_dialect_of_circlenet(run: Path) -> None:
    exported(run / "out", "coco", shape="ellipse")
    folder = run / "out/slides/a.svs"
    document = json.loads((folder / "a.coco.json").read_text())
    assert [category["name"] for category in document["categories"]] == ["glomerulus"]
    read = read_coco(folder / "a.coco.json")
    for ours, region, said in zip(read, regions_of(folder, "a"), document["annotations"], strict=True):
        assert np.allclose(ours.ring, region.ring, atol=0.011)
        assert said["class"] == region.label
        assert said["circle_center"] == pytest.approx(region.ring.mean(axis=0), abs=0.01)


def read_back(path: Path) -> dict[str, list[np.ndarray]]:
    """Rings by class, as highdicom reads them."""
    found = highdicom.ann.annread(path)
    assert found.AnnotationCoordinateType == "2D"
    groups = found.get_annotation_groups()
    assert {group.graphic_type.value for group in groups} == {"POLYGON"}
    return {group.label: group.get_graphic_data(coordinate_type="2D") for group in groups}


def check_dicom(folder: Path, stem: str) -> None:
    found = read_back(folder / f"{stem}.ann.dcm")
    regions = regions_of(folder, stem)
    assert found.keys() == {region.label for region in regions}
    for label, rings in found.items():
        wanted = [region.ring for region in regions if region.label == label]
        assert len(rings) == len(wanted)
        assert all(np.array_equal(a, b) for a, b in zip(rings, wanted, strict=True))


def test_dicom_annotations_read_back_and_belong_to_the_slide(run: Path) -> None:
    out, folder = run / "out", run / "out/slides/scan"
    exported(out, "dicom-ann", "dsa", slides=run / "in")
    check_dicom(folder, "scan")
    assert not list((out / "slides/a.svs").glob("*.dcm"))
    image = pydicom.dcmread(next((run / "in/scan").glob("*-1.dcm")), stop_before_pixels=True)
    found = highdicom.ann.annread(folder / "scan.ann.dcm")
    for name in ("PatientID", "PatientName", "StudyInstanceUID", "AccessionNumber"):
        assert found[name].value == image[name].value
    assert found.ReferencedImageSequence[0].ReferencedSOPInstanceUID == image.SOPInstanceUID
    assert found.SeriesInstanceUID != image.SeriesInstanceUID
    group = found.get_annotation_groups()[0]
    assert group.AnnotationGroupGenerationType == "AUTOMATIC"
    before = tree(out)
    exported(out, "dicom-ann", "dsa", slides=run / "in")
    assert {k: v for k, v in tree(out).items() if "export.json" not in k} == {
        k: v for k, v in before.items() if "export.json" not in k
    }
    (folder / "scan.ann.dcm").unlink()  # what is not wanted any more is deleted by hand
    exported(out)
    assert not list(out.rglob("*.ann.dcm"))
    assert len(list(out.rglob("*.dsa.json"))) == 2


@pytest.mark.shared
def test_dicom_annotations_of_a_real_series(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "slides" / "cmu-1-small-region.dicom"
    run_at(source, tmp_path / "out")
    exported(tmp_path / "out", "dicom-ann", slides=source)
    check_dicom(tmp_path / "out/slides" / source.name, "cmu-1-small-region")


def test_dicom_is_refused_where_it_cannot_be(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = run / "out"
    before = tree(out)

    def refused(match: str, **options: object) -> None:
        with pytest.raises(UsageError, match=match):
            export(ExportConfig(out, formats=("dicom-ann",), **options))  # type: ignore[arg-type]
        assert tree(out) == before

    refused("pass --slides")
    refused("no DICOM slide of", slides=run / "in/a.svs")
    record = json.loads((out / RUN).read_text())
    (out / RUN).write_text(json.dumps({**record, "pseudonyms": True}))
    refused("--pseudonyms hides", slides=run / "in")
    monkeypatch.setattr(further_formats, "find_spec", lambda name: None)
    refused(r"pip install 'gloinone\[dicom\]'", slides=run / "in")


def test_a_series_of_another_size_is_another_slide(run: Path) -> None:
    path = run / "out/slides/scan/result.json"
    saved = json.loads(path.read_text())
    path.write_text(json.dumps({**saved, "info": {**saved["info"], "width": 700}}))
    found = export(ExportConfig(run / "out", formats=("dicom-ann",), slides=run / "in"))
    assert found.slides == ["a.svs"]
    assert "is it the same slide?" in found.problems[0]


def test_a_slide_without_glomeruli_has_no_dicom_annotations(
    run: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out, folder = run / "out", run / "out/slides/scan"
    exported(out, "dicom-ann", slides=run / "in", min_score=1.0)
    assert not list(out.rglob("*.ann.dcm"))
    assert "scan: no glomeruli, so no .ann.dcm" in caplog.text
    assert "scan: no glomeruli, so no .ann.dcm" in (folder / "log.txt").read_text()
    exported(out, "dicom-ann", slides=run / "in", min_score=0.3)
    check_dicom(folder, "scan")
    exported(out, "dicom-ann", slides=run / "in", min_score=1.0)
    assert not list(out.rglob("*.dcm")), "the earlier one of ours does not stay"
    restored = restore(folder)
    with pytest.raises(AnnotationError, match="scan: no glomeruli"):
        dicom_annotation_bytes(restored.result([], 1.0), "outline", list((run / "in/scan").iterdir()))


def test_dicom_annotations_that_somebody_edited_stay(run: Path) -> None:
    out, folder = run / "out", run / "out/slides/scan"
    exported(out, "dicom-ann", slides=run / "in")
    edited = (folder / "scan.ann.dcm").read_bytes() + b"\0"
    (folder / "scan.ann.dcm").write_bytes(edited)
    exported(out, "dicom-ann", slides=run / "in", min_score=0.5)
    assert read_back(folder / "scan.ann.new.dcm")
    exported(out, "dicom-ann", slides=run / "in", min_score=1.0)
    assert [path.name for path in out.rglob("*.dcm")] == ["scan.ann.dcm"]
    assert (folder / "scan.ann.dcm").read_bytes() == edited


def test_a_format_of_an_earlier_export_follows_every_later_one(run: Path) -> None:
    out = run / "out"
    exported(out, "dsa")
    exported(out, "coco", min_score=0.0)
    first = json.loads((out / "slides/a.svs/a.dsa.json").read_text())
    exported(out, min_score=0.99)
    folder = out / "slides/a.svs"
    later = json.loads((folder / "a.dsa.json").read_text())
    assert len(first["elements"]) > len(later["elements"])
    assert len(json.loads((folder / "a.coco.json").read_text())["annotations"]) == len(later["elements"])


def test_dicom_annotations_are_never_left_behind(run: Path, tmp_path: Path) -> None:
    out = run / "out"
    exported(out, "dicom-ann", slides=run / "in")
    write_secret_dicom(tmp_path / "part/other")
    run_at(tmp_path / "part", out)
    before = tree(out)
    part = {"formats": ("dicom-ann",), "slides": tmp_path / "part"}
    for options in ({}, {"formats": ("dsa",)}, part):
        match = r"1 slides have an \.ann\.dcm, .* \(scan\); pass --format dicom-ann --slides IN"
        with pytest.raises(UsageError, match=match):
            export(ExportConfig(out, min_score=0.99, **options))  # type: ignore[arg-type]
        assert tree(out) == before, "no slide goes ahead"
    refused = CliRunner().invoke(program, ["export", str(out), "--min-score", "0.99"])
    assert refused.exit_code == 2
    (out / "slides/scan/scan.ann.dcm").unlink()
    exported(out, min_score=0.99)
