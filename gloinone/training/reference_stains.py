"""Stains that the training slides do not show, from pictures of other tissue."""

from pathlib import Path

from gloinone.errors import AnnotationError
from gloinone.learning.stains import Basis, stain_basis
from gloinone.training.crop_patches import SUFFIXES, picture_names, read_picture


def reference_stains(folder: Path) -> tuple[Basis, ...]:
    """The stains of each picture of a folder, in the order of their names; those of one colour are left out.

    Raises AnnotationError where no picture shows two stains.
    """
    found = (stain_basis(read_picture(folder, name)) for name in picture_names(folder))
    stains = tuple(basis for basis in found if basis is not None)
    if not stains:
        raise AnnotationError(f"{folder}: no picture of stained tissue; expected {', '.join(SUFFIXES)}")
    return stains
