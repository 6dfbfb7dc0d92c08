"""Truth for training and evaluation, whatever program wrote it: found by the slide's name, read in our classes."""

from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from gloinone.annotations.class_names import COMPLETE, IGNORE, ClassNames
from gloinone.annotations.coco import coco_names, is_coco, read_coco, same_slide
from gloinone.annotations.geojson import Bounds, read_geojson
from gloinone.annotations.imagescope import read_imagescope
from gloinone.annotations.pictures import decoded_picture
from gloinone.annotations.region import Region, solid_regions, without_slips
from gloinone.errors import AnnotationError, NoTruthError
from gloinone.geometry import area_contains, area_mask, circle_ring, ring_circle
from gloinone.labels import GLOMERULUS, NONGLOMERULAR
from gloinone.records import Mask, Window

SUFFIXES = (".geojson", ".geojson.gz", ".truth.geojson", ".xml", ".png")
COCO_SUFFIX = ".json"
BORDER_PX = 1.5
"""A mask's piece that comes this close to the border is cut by it."""


@dataclass(frozen=True)
class Truth:
    """What is known of one slide, level-0 px."""

    glomeruli: tuple[Region, ...]
    """Whole ones, labelled by one of the classes, `sclerosed` or `glomerulus`."""
    ignored: tuple[Region, ...]
    """Cut, or marked to be ignored: neither truth nor background."""
    others: tuple[Region, ...] = ()
    """Marked as no glomerulus: background that is worth showing to a classifier."""
    complete: tuple[Region, ...] | None = None
    """Areas within which every glomerulus is outlined; None: the whole slide, (): nowhere."""
    holes: tuple[Region, ...] = ()
    """Of these areas."""

    def circles(self) -> NDArray[np.float64]:
        """(N, 3) cx, cy, radius of the circles of the same area."""
        return _circles(self.glomeruli)

    def ignored_circles(self) -> NDArray[np.float64]:
        """(M, 3) likewise."""
        return _circles(self.ignored)

    def ignoring(self, circles: NDArray[np.float64]) -> "Truth":
        """The same with (K, 3) more circles to ignore."""
        rings = [circle_ring(float(cx), float(cy), float(r)) for cx, cy, r in circles]
        return replace(self, ignored=(*self.ignored, *(Region(ring, label=IGNORE) for ring in rings)))

    def partial(self) -> "Truth":
        """The same, complete within its drawn areas only: nowhere if there are none."""
        return replace(self, complete=self.complete or ())

    def scored(self) -> "Truth":
        """The same with whatever glomerulus lies outside of its complete areas ignored: nobody knows its neighbours."""
        known = self.is_complete_at(self.circles())
        beyond = tuple(region for region, inside in zip(self.glomeruli, known, strict=True) if not inside)
        kept = tuple(region for region, inside in zip(self.glomeruli, known, strict=True) if inside)
        return replace(self, glomeruli=kept, ignored=(*self.ignored, *beyond))

    def is_complete_at(self, points: NDArray[np.float64]) -> NDArray[np.bool_]:
        """(N,) whether every glomerulus is known where (N, 2+) x, y lie: what is not outlined there is none."""
        if self.complete is None:
            return np.ones(len(points), np.bool_)
        return area_contains([a.ring for a in self.complete], [h.ring for h in self.holes], points)

    def complete_part(self, tissue: Mask, window: Window) -> Mask:
        """(H, W) the tissue where it is complete; ``window``: where the picture lies on the slide."""
        if self.complete is None:
            return tissue
        rings, holes = (
            [window.image_from_l0(r.ring) for r in regions] for regions in (self.complete, self.holes)
        )
        return tissue & area_mask(rings, holes, window.width_px, window.height_px)


def _circles(regions: tuple[Region, ...]) -> NDArray[np.float64]:
    return np.array([ring_circle(r.ring) for r in regions], np.float64).reshape(-1, 3)


def shared_stems(names: Iterable[str]) -> frozenset[str]:
    """File names, without suffix, that slides in several folders have."""
    folders: dict[str, set[Path]] = {}
    for path in map(Path, names):
        folders.setdefault(path.stem, set()).add(path.parent)
    return frozenset(stem for stem, parents in folders.items() if len(parents) > 1)


def find_truth(
    slide_name: str, folder: Path, shared: Set[str] = frozenset(), slide: Path | None = None
) -> Path:
    """The truth file of a slide: the same relative path or file name with another suffix, or a COCO file.

    ``folder`` may be the COCO file itself. A file name that is ``shared`` by slides of several folders says nothing
    without them. ``slide``: where it lies, if that is known; a picture is not its own mask. Raises NoTruthError, and
    AnnotationError where several files could be it.
    """
    stem = Path(slide_name).stem
    if folder.is_file():
        if stem in shared:
            raise NoTruthError(
                f"{slide_name}: several slides are called {stem}, which {folder} cannot tell apart; "
                "pass a folder of truth with the folders of the slides"
            )
        if same_slide_in(folder, slide_name):
            return folder
        raise NoTruthError(f"{slide_name}: no image of that name in {folder}; pass the folder of the truth")
    for found in _candidates(slide_name, folder, stem in shared):
        own = [path for path in found if slide is None or not path.samefile(slide)]
        if slide is None and len(own) > 1:  # of a folder of slides and truth it may be the slide
            own = [path for path in own if path.name != Path(slide_name).name]
        if len(own) > 1:
            raise AnnotationError(
                f"{slide_name}: has several files of truth in {folder}: {', '.join(path.name for path in own)}; keep "
                "one of them"
            )
        if own:
            return own[0]
    if stem in shared:
        raise NoTruthError(
            f"{slide_name}: no truth in {folder}, and several slides are called {stem}; lay the files of the "
            "truth into folders named as those of the slides"
        )
    raise NoTruthError(
        f"{slide_name}: no truth in {folder}; expected {stem} with one of {', '.join(SUFFIXES)}, "
        "or a COCO .json with an image of that name"
    )


def _candidates(slide_name: str, folder: Path, is_shared: bool) -> Iterator[list[Path]]:
    """The files of each place that may hold the truth of a slide, the nearest place first."""
    relative = Path(slide_name)

    def called(*stems: Path) -> list[Path]:
        paths = (folder / f"{stem}{suffix}" for stem in stems for suffix in SUFFIXES)
        return [path for path in paths if path.is_file()]

    yield called(relative.with_suffix(""), relative)
    if not is_shared:
        yield called(Path(relative.stem))
        yield [path for path in sorted(folder.glob(f"*{COCO_SUFFIX}")) if same_slide_in(path, slide_name)]


def same_slide_in(path: Path, slide_name: str) -> bool:
    """Whether a file is COCO and has an image of that slide."""
    return is_coco(path) and any(same_slide(slide_name, name) for name in coco_names(path))


def read_regions(
    path: Path,
    slide_name: str | None = None,
    bounds: Bounds | None = None,
    size: tuple[int, int] | None = None,
) -> list[Region]:
    """All areas of one truth file under the names that stand there, but for the slips of a brush.

    ``slide_name`` picks the image of COCO; ``bounds`` of the slide are added to GeoJSON, as QuPath subtracts them.
    ``size``: width and height of the slide, level-0 px, where they are known: a mask must have them. Raises
    AnnotationError.
    """
    if path.suffix == ".png":
        return _regions_of_mask(path, size)
    if path.suffix == ".xml":
        return list(read_imagescope(path).regions)
    if path.suffix == COCO_SUFFIX:
        return without_slips(read_coco(path, slide_name))
    return without_slips(read_geojson(path, bounds))


def read_truth(
    path: Path,
    classes: ClassNames | None = None,
    slide_name: str | None = None,
    bounds: Bounds | None = None,
    size: tuple[int, int] | None = None,
) -> Truth:
    """Read one truth file; an unknown class name is an error that lists all names in the file.

    The truth is complete within what the file calls `region`, but for its holes, else everywhere. For ``slide_name``,
    ``bounds`` and ``size`` see ``read_regions``.
    """
    names, found = classes or ClassNames(), read_regions(path, slide_name, bounds, size)
    names.check(found, str(path))
    everything = [named for region in found if (named := names.named(region)) is not None]
    regions = solid_regions(everything)
    areas = tuple(r for r in regions if r.label == COMPLETE)
    whole = [r for r in regions if r.label not in (NONGLOMERULAR, COMPLETE)]
    cut = [r.label == IGNORE or bool(r.properties.get("cut")) for r in whole]
    return Truth(
        tuple(r for r, c in zip(whole, cut, strict=True) if not c),
        tuple(r for r, c in zip(whole, cut, strict=True) if c),
        tuple(r for r in regions if r.label == NONGLOMERULAR),
        areas or None,
        tuple(r for r in everything if r.is_hole and r.label == COMPLETE),
    )


def _regions_of_mask(path: Path, size: tuple[int, int] | None) -> list[Region]:
    """Each connected piece of a mask is one glomerulus; pieces at the border are cut."""
    mask = decoded_picture(path, cv2.IMREAD_GRAYSCALE)
    if mask is None:
        raise AnnotationError(f"{path}: not a readable mask; write it as an 8-bit or 1-bit PNG")
    height, width = mask.shape
    if size not in (None, (width, height)):
        raise AnnotationError(
            f"{path}: the mask is {width} x {height} px, but the slide {' x '.join(map(str, size or ()))}; draw it at "
            "the slide's full size (level 0), or give GeoJSON"
        )
    contours, _ = cv2.findContours((mask > 0).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    regions = []
    for contour in contours:
        ring = contour[:, 0].astype(np.float64) + 0.5
        if len(ring) < 3 or cv2.contourArea(contour) < 16:
            continue
        low, high = ring.min(axis=0), ring.max(axis=0)
        at_border = bool(
            (low < BORDER_PX).any() or high[0] > width - BORDER_PX or high[1] > height - BORDER_PX
        )
        regions.append(Region(ring=ring, label=GLOMERULUS, properties={"cut": at_border}))
    return regions
