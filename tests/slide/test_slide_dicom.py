"""Which series a DICOM file belongs to, checked against files of our own and against OpenSlide and pydicom."""

import struct
from pathlib import Path

import pytest
from slide_files import element, write_dicom

from gloinone.slide.dicom import SLIDE_SOP_CLASS, DicomHeader, largest_instance, read_dicom_header


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.50"])
def test_series_is_found_behind_nested_sequences(tmp_path: Path, syntax: str) -> None:
    path = write_dicom(tmp_path / "a", "1.2.3.4", SLIDE_SOP_CLASS, syntax)
    assert read_dicom_header(path) == DicomHeader(SLIDE_SOP_CLASS, "1.2.3.4")
    assert "SECRET" not in repr(read_dicom_header(path))


def test_implicit_headers_are_read(tmp_path: Path) -> None:
    sequence = struct.pack("<HHI", 0x0008, 0x1140, 0xFFFFFFFF) + struct.pack("<HHI", 0xFFFE, 0xE000, 8)
    sequence += b"\0" * 8 + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    meta = element(0x0002, 0x0002, b"UI", b"1.2.9") + element(0x0002, 0x0010, b"UI", b"1.2.840.10008.1.2")
    series = struct.pack("<HHI", 0x0020, 0x000E, 6) + b"7.8.9\0"
    (tmp_path / "a").write_bytes(b"\0" * 128 + b"DICM" + meta + sequence + series)
    header = read_dicom_header(tmp_path / "a")
    assert header == DicomHeader("1.2.9", "7.8.9")
    assert not header.is_slide


@pytest.mark.parametrize("kept", [0, 100, 131, 132, 140, 200, 250, 280])
def test_what_is_cut_or_no_dicom_is_none(tmp_path: Path, kept: int) -> None:
    path = write_dicom(tmp_path / "a", "1.2.3.4", SLIDE_SOP_CLASS)
    path.write_bytes(path.read_bytes()[:kept])
    assert read_dicom_header(path) is None


def test_garbage_and_missing_files_are_none(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\0" * 128 + b"DICM" + bytes(range(256)) * 4)
    assert read_dicom_header(tmp_path / "a") is None
    assert read_dicom_header(tmp_path / "none") is None


def test_the_largest_of_the_first_series_stands_for_a_folder(tmp_path: Path) -> None:
    assert largest_instance(tmp_path) is None
    write_dicom(tmp_path / "a.dcm", "1.1", SLIDE_SOP_CLASS)
    large = write_dicom(tmp_path / "b.dcm", "1.1", SLIDE_SOP_CLASS)
    large.write_bytes(large.read_bytes() + b"\0" * 500)
    other = write_dicom(tmp_path / "c.dcm", "1.2", SLIDE_SOP_CLASS)
    other.write_bytes(other.read_bytes() + b"\0" * 5000)
    (tmp_path / "note.txt").write_text("not DICOM")
    assert largest_instance(tmp_path) == large


@pytest.mark.shared
def test_real_instances_agree_with_pydicom_and_openslide(shared_data: Path) -> None:
    openslide = pytest.importorskip("openslide")
    pydicom = pytest.importorskip("pydicom")
    for path in (shared_data / "slides" / "cmu-1-small-region.dicom").glob("*.dcm"):
        header = read_dicom_header(path)
        dataset = pydicom.dcmread(path, stop_before_pixels=True)
        assert header == DicomHeader(str(dataset.SOPClassUID), str(dataset.SeriesInstanceUID))
        assert header.is_slide
        with openslide.OpenSlide(path) as slide:
            assert header.series == slide.properties["dicom.SeriesInstanceUID"]
