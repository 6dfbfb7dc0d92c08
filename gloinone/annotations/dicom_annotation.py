"""Writes DICOM Microscopy Bulk Simple Annotations (PS3.3 A.87) of a DICOM slide, by highdicom.

The object belongs to the slide's patient and study and names its finest image, whose total pixel matrix is the frame.
"""

import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import gloinone
from gloinone.annotations.glomerulus_region import glomerulus_regions
from gloinone.annotations.region import DECIMALS, OutputShape, Region
from gloinone.errors import AnnotationError
from gloinone.labels import CLASSES
from gloinone.records import SlideInfo, SlideResult

if TYPE_CHECKING:
    from pydicom import Dataset

SCHEME = "99GLOINONE"
"""Of our classes, which no public scheme of codes tells apart."""
SERIES_NUMBER = 9001
TYPE_2 = (
    *("PatientID", "PatientName", "PatientBirthDate", "PatientSex"),
    *("AccessionNumber", "StudyID", "StudyDate", "StudyTime"),
)
"""Must be in an object, if only empty; not every scanner writes them."""


def dicom_annotation_bytes(result: SlideResult, shape: OutputShape, series: Sequence[Path]) -> bytes:
    """A group of polygons per class that has any, doubles, first vertex not repeated; the same bytes every time.

    ``series``: the files of the slide. Raises AnnotationError where they are not of that slide or have no glomeruli.
    """
    import highdicom

    source = _finest_image(result.info, series)
    regions = glomerulus_regions(result, shape)
    if not regions:
        raise AnnotationError(f"{result.info.name}: no glomeruli, and DICOM knows no annotations without any")
    uids = [str(source.SOPInstanceUID), gloinone.__version__]
    content = "".join(f"{r.id} {r.label} {np.round(r.ring, DECIMALS).tobytes().hex()}" for r in regions)
    by_class = [(label, own) for label in CLASSES if (own := [r for r in regions if r.label == label])]
    groups = [_group(number, label, own, uids) for number, (label, own) in enumerate(by_class, start=1)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on names in the slide's own header that bend DICOM's rules
        dataset = highdicom.ann.MicroscopyBulkSimpleAnnotations(
            source_images=[source],
            annotation_coordinate_type="2D",
            annotation_groups=groups,
            series_instance_uid=_uid([*uids, "series"]),
            series_number=SERIES_NUMBER,
            sop_instance_uid=_uid([*uids, content]),
            instance_number=1,
            manufacturer="gloinone",
            manufacturer_model_name="gloinone",
            software_versions=gloinone.__version__,
            device_serial_number="none",
            content_label="GLOMERULI",
            content_description="Glomeruli by class; research use only",
        )
        _date_as(source, dataset)
        stream = io.BytesIO()
        dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def _finest_image(info: SlideInfo, series: Sequence[Path]) -> "Dataset":
    """Header of the instance whose pixels are level 0, with empty values for what it lacks."""
    import pydicom

    images = [pydicom.dcmread(path, stop_before_pixels=True) for path in series]
    size = (info.width, info.height)
    fitting = [
        image
        for image in images
        if (image.get("TotalPixelMatrixColumns"), image.get("TotalPixelMatrixRows")) == size
        and "VOLUME" in image.get("ImageType", ())
    ]
    if not fitting:
        raise AnnotationError(
            f"{info.name}: no image of {info.width} x {info.height} px in its DICOM series; is it the same slide?"
        )
    for name in TYPE_2:
        if name not in fitting[0]:
            setattr(fitting[0], name, None)
    return fitting[0]


def _group(number: int, label: str, regions: Sequence[Region], uids: Sequence[str]) -> Any:
    """The polygons of one class."""
    from highdicom import AlgorithmIdentificationSequence
    from highdicom.ann import AnnotationGroup
    from highdicom.sr import CodedConcept
    from pydicom.sr.codedict import codes

    return AnnotationGroup(
        number=number,
        uid=_uid([*uids, "group", label]),
        label=label,
        annotated_property_category=codes.SCT.AnatomicalStructure,
        annotated_property_type=CodedConcept(label, SCHEME, f"glomerulus, {label}"),
        graphic_type="POLYGON",
        graphic_data=[np.round(region.ring, DECIMALS) for region in regions],
        algorithm_type="AUTOMATIC",
        algorithm_identification=AlgorithmIdentificationSequence(
            "gloinone", codes.DCM.ArtificialIntelligence, gloinone.__version__
        ),
        anatomic_regions=[codes.SCT.Kidney],
    )


def _uid(words: Sequence[str]) -> str:
    """The same for the same words."""
    from pydicom.uid import generate_uid

    return str(generate_uid(entropy_srcs=list(words)))


def _date_as(source: "Dataset", dataset: "Dataset") -> None:
    """Day and time of the slide in place of now, so that the same result is the same bytes; midnight if it has none."""
    known = {
        "Date": source.get("ContentDate") or source.get("StudyDate"),
        "Time": source.get("ContentTime") or source.get("StudyTime") or "000000",
    }
    for name, value in known.items():
        for kind in ("Content", "InstanceCreation", "Series"):
            if f"{kind}{name}" in dataset and value:
                setattr(dataset, f"{kind}{name}", value)
    for item in dataset.get("ContributingEquipmentSequence", ()):
        item.pop("ContributionDateTime", None)  # optional
