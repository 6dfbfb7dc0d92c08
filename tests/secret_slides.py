"""Slides that carry SECRET wherever scanners put what tells who the patient is: label, header, name, dates."""

import struct
from pathlib import Path

import cv2
import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian

from gloinone.drawn.tiff_file import Picture, TiffFile
from gloinone.slide.dicom import SLIDE_SOP_CLASS

SECRET = "SECRET"
DATES = ("12/31/1953", "19531231", "1953-12-31")
"""As Aperio and DICOM write the day, and as we might."""
EDGE_PX = 512
TILE_PX = 256
MPP = 0.5
UID = "1.2.826.0.1.3680043.8.498.4711."


def write_secret_svs(path: Path) -> Path:
    """Aperio layout: a level, a thumbnail, a label and a macro image; SECRET in every header and JPEG comment."""
    path.parent.mkdir(parents=True, exist_ok=True)
    size = f"{EDGE_PX}x{EDGE_PX}"
    header = f"Aperio Image Library v12.0.0 \r\n{size}"
    tail = (
        f"JPEG/RGB Q=90|AppMag = 20|MPP = {MPP}|Filename = {SECRET}|Title = {SECRET} NAME|User = {SECRET}-user"
        f"|Date = {DATES[0]}|ScanScope ID = {SECRET}"
    )
    with TiffFile(path, big=False) as tiff:
        whole = f"{header} [0,0 {size}] ({TILE_PX}x{TILE_PX}) {tail}"
        tiff.write(Picture(EDGE_PX, EDGE_PX, TILE_PX, whole), [_jpeg(TILE_PX, i) for i in range(4)])
        tiff.write(Picture(128, 128, None, f"{header} -> 128x128 - |{tail}"), [_jpeg(128)])
        for kind in ("label", "macro"):
            about = f"Aperio {SECRET}\r\n{kind} 64x64 {SECRET}"
            tiff.write(Picture(64, 64, None, about, is_reduced=True), [_jpeg(64)])
    kind_of_picture = struct.pack("<HHI", 254, 4, 1)  # 1 is a label, 9 a macro image
    before, label, macro = path.read_bytes().rpartition(kind_of_picture + struct.pack("<I", 1))
    path.write_bytes(before + label[:-4] + struct.pack("<I", 9) + macro)
    return path


def write_broken_mrxs(path: Path) -> Path:
    """An index that OpenSlide refuses, quoting the line that it does not understand."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"MIRAX")
    path.with_suffix("").mkdir()
    (path.with_suffix("") / "Slidedat.ini").write_text(f"[GENERAL]\nno key: {SECRET}\n")
    return path


def write_secret_dicom(folder: Path, study: str = SECRET) -> Path:
    """A series of one level and a label, in a file each; SECRET in patient and study modules and in the label."""
    folder.mkdir(parents=True, exist_ok=True)
    pixels = np.concatenate([_pixels(TILE_PX, i)[None] for i in range(4)])
    _write_instance(folder / f"{study}-1.dcm", 1, "VOLUME", EDGE_PX, TILE_PX, pixels.tobytes())
    label = (f"{SECRET} LABEL " * 1000).encode()[: 64 * 64 * 3]
    _write_instance(folder / f"{study}-2.dcm", 2, "LABEL", 64, 64, label.ljust(64 * 64 * 3, b"\0"))
    return folder


def _write_instance(path: Path, number: int, kind: str, edge_px: int, tile_px: int, pixels: bytes) -> None:
    dataset = Dataset()
    dataset.SOPClassUID = SLIDE_SOP_CLASS
    dataset.SOPInstanceUID = f"{UID}{number}"
    dataset.StudyDate = dataset.ContentDate = dataset.PatientBirthDate = DATES[1]
    dataset.AccessionNumber = dataset.PatientID = dataset.StudyID = SECRET
    dataset.Modality = "SM"
    dataset.StudyDescription = dataset.InstitutionName = dataset.ContainerIdentifier = SECRET
    dataset.PatientName = dataset.ReferringPhysicianName = f"{SECRET}^NAME"
    dataset.StudyInstanceUID = f"{UID}100"
    dataset.SeriesInstanceUID = f"{UID}200"
    dataset.FrameOfReferenceUID = f"{UID}300"
    dataset.InstanceNumber = number
    dataset.ImageType = ["ORIGINAL", "PRIMARY", kind, "NONE"]
    dataset.LabelText = SECRET
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PlanarConfiguration = 3, "RGB", 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 8, 8, 7, 0
    dataset.Rows = dataset.Columns = tile_px
    dataset.TotalPixelMatrixRows = dataset.TotalPixelMatrixColumns = edge_px
    dataset.TotalPixelMatrixFocalPlanes = 1
    dataset.NumberOfFrames = (edge_px // tile_px) ** 2
    dataset.DimensionOrganizationType = "TILED_FULL"
    dataset.NumberOfOpticalPaths = 1
    dataset.ImageOrientationSlide = [0, -1, 0, -1, 0, 0]
    measures = Dataset()
    measures.PixelSpacing = [MPP / 1000, MPP / 1000]
    shared = Dataset()
    shared.PixelMeasuresSequence = Sequence([measures])
    dataset.SharedFunctionalGroupsSequence = Sequence([shared])
    path_of_light = Dataset()
    path_of_light.OpticalPathIdentifier = "1"
    dataset.OpticalPathSequence = Sequence([path_of_light])
    dataset.PixelData = pixels
    dataset["PixelData"].VR = "OB"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = SLIDE_SOP_CLASS
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    pydicom.dcmwrite(path, dataset, enforce_file_format=True)


def _pixels(edge_px: int, seed: int = 0) -> NDArray[np.uint8]:
    y, x, channel = np.indices((edge_px, edge_px, 3))
    return (120 + x // 8 + y // 16 + 10 * channel + 7 * seed).astype(np.uint8)


def _jpeg(edge_px: int, seed: int = 0) -> bytes:
    done, data = cv2.imencode(".jpg", _pixels(edge_px, seed))
    assert done
    comment = f"{SECRET} comment".encode()
    return bytes(data[:2]) + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + bytes(data[2:])
