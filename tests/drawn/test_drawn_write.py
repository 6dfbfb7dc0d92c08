"""Drawn slides as files: OpenSlide and tifffile, which we did not write, agree with the pixels put in."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import openslide
import pytest
import tifffile
from PIL import Image, ImageSequence

from gloinone.drawn.scene import SceneConfig, draw
from gloinone.drawn.write import pyramid, write_svs, write_tiff
from gloinone.errors import UsageError
from gloinone.records import Pixels


@pytest.fixture(scope="module")
def pixels() -> Pixels:
    return draw(
        SceneConfig(1301, 903, normal=0, obsolescent=0, solidified=0, disappearing=0, decoys=0, mpp=1.0)
    ).pixels


def as_svs(path: Path, pixels: Pixels, mpp: float) -> None:
    write_svs(path, pixels, mpp, 40)


def read_level(slide: openslide.OpenSlide, level: int) -> Pixels:
    return np.asarray(slide.read_region((0, 0), level, slide.level_dimensions[level]).convert("RGB"))


@pytest.mark.parametrize(
    ("write", "name", "vendor", "downsamples"),
    [(write_tiff, "a.tif", "generic-tiff", (1, 2, 4)), (as_svs, "a.svs", "aperio", (1, 4))],
)
def test_openslide_reads_what_was_written(
    tmp_path: Path,
    pixels: Pixels,
    write: Callable[[Path, Pixels, float], None],
    name: str,
    vendor: str,
    downsamples: tuple[int, ...],
) -> None:
    write(tmp_path / name, pixels, 0.2527)
    with openslide.OpenSlide(tmp_path / name) as slide:
        assert slide.properties["openslide.vendor"] == vendor
        assert slide.dimensions == (1301, 903)
        assert float(slide.properties["openslide.mpp-x"]) == pytest.approx(0.2527, rel=1e-4)
        assert float(slide.properties["openslide.mpp-y"]) == pytest.approx(0.2527, rel=1e-4)
        assert slide.level_downsamples == pytest.approx(downsamples, rel=0.01)
        whole = read_level(slide, 0)
        assert np.abs(whole.astype(int) - pixels).mean() < 6  # JPEG
        for level in range(1, len(downsamples)):
            size = slide.level_dimensions[level]
            averaged = cv2.resize(whole, size, interpolation=cv2.INTER_AREA)
            assert np.abs(read_level(slide, level).astype(int) - averaged).mean() < 6


def test_svs_has_what_aperio_stores(tmp_path: Path, pixels: Pixels) -> None:
    write_svs(tmp_path / "a.svs", pixels, 0.5, 20)
    with openslide.OpenSlide(tmp_path / "a.svs") as slide:
        assert slide.properties["openslide.objective-power"] == "20"
        assert slide.properties["aperio.MPP"] == "0.5"
        assert slide.associated_images["thumbnail"].size == (1024, 711)
    with tifffile.TiffFile(tmp_path / "a.svs") as tiff:
        assert tiff.is_svs
        assert [page.aspage().is_tiled for page in tiff.pages] == [True, False, True]


def test_another_library_decodes_every_page(tmp_path: Path, pixels: Pixels) -> None:
    write_tiff(tmp_path / "a.tif", pixels, 0.5)
    levels = pyramid(pixels, 2)
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        assert [page.shape for page in tiff.pages] == [level.shape for level in levels]
    with Image.open(tmp_path / "a.tif") as tiff_pages:
        for page, level in zip(ImageSequence.Iterator(tiff_pages), levels, strict=True):
            assert np.abs(np.asarray(page.convert("RGB")).astype(int) - level).mean() < 6


def test_big_tiff_is_read_too(tmp_path: Path, pixels: Pixels, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gloinone.drawn.write._BIG_OVER", 1000)
    write_tiff(tmp_path / "big.tif", pixels, 0.5)
    assert (tmp_path / "big.tif").read_bytes()[2] == 43
    with openslide.OpenSlide(tmp_path / "big.tif") as slide:
        assert slide.level_count == 3
        assert np.abs(read_level(slide, 0).astype(int) - pixels).mean() < 6


def test_smallest_slide(tmp_path: Path) -> None:
    grey = np.full((3, 5, 3), 128, np.uint8)
    write_tiff(tmp_path / "dot.tif", grey, 0.5)
    write_svs(tmp_path / "dot.svs", grey, 0.5, 20)
    for name in ("dot.tif", "dot.svs"):
        with openslide.OpenSlide(tmp_path / name) as slide:
            assert slide.level_dimensions == ((5, 3),)
            assert np.abs(read_level(slide, 0).astype(int) - 128).max() <= 1


def test_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="mpp 0"):
        write_tiff(tmp_path / "a.tif", np.zeros((9, 9, 3), np.uint8), 0)
    for wrong in (np.zeros((9, 9), np.uint8), np.zeros((9, 9, 3)), np.zeros((0, 9, 3), np.uint8)):
        with pytest.raises(ValueError, match="a slide is"):
            write_svs(tmp_path / "a.svs", wrong, 0.5, 20)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []
