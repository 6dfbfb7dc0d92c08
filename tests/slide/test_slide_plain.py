"""Plain pictures: stored pixels exactly, nothing decoded too early, nothing damaged taken for grey glass."""

import contextlib
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image
from slide_files import smooth

from gloinone.errors import GloInOneError, ResolutionError, SlideSkippedError, SlideUnreadableError
from gloinone.slide import plain
from gloinone.slide.reader import Slide, open_slide
from gloinone.slide.resolution import Resolution

ONE_UM = Resolution(1.0, "option")
PICTURE = smooth(61, 47, grain=4)


def opened(path: Path, said: Resolution = ONE_UM) -> Slide:
    return open_slide(path, path.name, said)


def pixels(path: Path) -> np.ndarray:
    with opened(path) as slide:
        return slide.read_window(0, 0, 61, 47, 61, 47).pixels


def chunk(tag: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + tag + data + zlib.crc32(tag + data).to_bytes(4, "big")


def write_png_claiming(path: Path, width: int, height: int) -> Path:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    return path


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.png", {}),
        ("a.tif", {}),
        ("lzw.tiff", {"compression": "tiff_lzw"}),
        ("deflate.tif", {"compression": "tiff_deflate"}),
        ("packbits.tif", {"compression": "packbits"}),
    ],
)
def test_lossless_pictures_come_out_exactly(tmp_path: Path, name: str, options: dict[str, str]) -> None:
    Image.fromarray(PICTURE).save(tmp_path / name, **options)
    np.testing.assert_array_equal(pixels(tmp_path / name), PICTURE)


@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg_comes_out_as_pillow_reads_it(tmp_path: Path, progressive: bool) -> None:
    Image.fromarray(PICTURE).save(tmp_path / "a.jpg", quality=92, progressive=progressive)
    with Image.open(tmp_path / "a.jpg") as reference:
        expected = np.asarray(reference).astype(int)
    assert np.abs(pixels(tmp_path / "a.jpg") - expected).max() <= 3


def test_sixteen_bits_keep_their_high_byte(tmp_path: Path) -> None:
    deep = PICTURE.astype(np.uint16) * 256 + 200
    cv2.imwrite(str(tmp_path / "a.png"), deep[..., ::-1])
    tifffile.imwrite(tmp_path / "a.tif", deep, photometric="rgb")
    tifffile.imwrite(tmp_path / "grey.tif", deep[..., 0], photometric="minisblack")
    np.testing.assert_array_equal(pixels(tmp_path / "a.png"), PICTURE)
    np.testing.assert_array_equal(pixels(tmp_path / "a.tif"), PICTURE)
    np.testing.assert_array_equal(pixels(tmp_path / "grey.tif"), np.repeat(PICTURE[..., :1], 3, axis=2))


@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_twelve_bits_in_sixteen_are_refused_not_black(tmp_path: Path, suffix: str, grey: bool) -> None:
    path = tmp_path / f"camera.{suffix}"
    camera = (PICTURE[..., 0] if grey else PICTURE).astype(np.uint16) * 16
    if suffix == "png":
        cv2.imwrite(str(path), camera)
    else:
        tifffile.imwrite(path, camera, photometric="minisblack" if grey else "rgb")
    with pytest.raises(SlideUnreadableError, match=r"camera of 12 bits.*save it with 8 bits"):
        pixels(path)


def test_white_as_zero_is_turned_round_or_refused(tmp_path: Path) -> None:
    grey = PICTURE[..., 0]
    tifffile.imwrite(tmp_path / "eight.tif", 255 - grey, photometric="miniswhite")
    assert np.array_equal(pixels(tmp_path / "eight.tif")[..., 0], grey)
    tifffile.imwrite(tmp_path / "sixteen.tif", 65535 - grey.astype(np.uint16) * 257, photometric="miniswhite")
    with pytest.raises(SlideUnreadableError, match="16 bits in which white is 0"):
        pixels(tmp_path / "sixteen.tif")


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.jpg"])
def test_grey_becomes_three_channels(tmp_path: Path, name: str) -> None:
    Image.fromarray(PICTURE[..., 0]).save(tmp_path / name)
    found = pixels(tmp_path / name).astype(int)
    assert (found == found[..., :1]).all()
    assert np.abs(found[..., 0] - PICTURE[..., 0]).mean() < 4


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_palette_and_transparency(tmp_path: Path, name: str) -> None:
    few = Image.fromarray(PICTURE).quantize(8)
    few.save(tmp_path / name)
    np.testing.assert_array_equal(pixels(tmp_path / name), np.asarray(few.convert("RGB")))
    alpha = np.full(PICTURE.shape[:2], 255, np.uint8)
    alpha[:, 40:] = 0
    alpha[:10] = 100
    Image.fromarray(np.dstack([PICTURE, alpha])).save(tmp_path / name)
    with opened(tmp_path / name) as slide:
        read = slide.read_window(0, 0, 61, 47, 61, 47)
    np.testing.assert_array_equal(read.scanned, alpha > 0)
    np.testing.assert_array_equal(read.pixels[20:, :40], PICTURE[20:, :40])
    assert (read.pixels[20:, 40:] == 255).all()
    mixed = (PICTURE[:10] * 100.0 + 255 * 155) / 255
    assert np.abs(read.pixels[:10] - mixed).max() <= 1


@pytest.mark.parametrize("name", ["a.jpg", "a.png"])
def test_orientation_turns_nothing(tmp_path: Path, name: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(PICTURE).save(tmp_path / name, exif=exif)
    with opened(tmp_path / name) as slide:
        assert (slide.info.width, slide.info.height) == (61, 47)
    assert np.abs(pixels(tmp_path / name).astype(int) - PICTURE).mean() < 15


def test_header_is_enough_to_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(PICTURE).save(tmp_path / "a.png")
    decoded: list[str] = []
    decode = plain.decode
    monkeypatch.setattr(plain, "decode", lambda *given: decoded.append("once") or decode(*given))
    with opened(tmp_path / "a.png") as slide:
        assert slide.info.vendor == "plain"
        assert slide.info.mpp_source == "option"
        assert decoded == []
        read = slide.read_window(0, 0, 61, 47, 61, 47)
        read.pixels[:] = 0  # a reader may change what it got without changing the slide
        with slide.reopen() as again:
            np.testing.assert_array_equal(again.read_window(0, 0, 61, 47, 61, 47).pixels, PICTURE)
        assert decoded == ["once"]


def test_an_image_bomb_is_refused_before_decoding(tmp_path: Path) -> None:
    path = write_png_claiming(tmp_path / "bomb.png", 60000, 60000)
    with pytest.raises(
        SlideUnreadableError, match=r"60000 x 60000 px .* 400 megapixels .*convert to tiled TIFF"
    ):
        opened(path)


def test_a_picture_that_lies_about_its_size_is_refused(tmp_path: Path) -> None:
    path = write_png_claiming(tmp_path / "a.png", 3000, 2000)
    with opened(path) as slide, pytest.raises(SlideUnreadableError, match=r"^a\.png: a damaged PNG"):
        slide.overview(8)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "raw.tif", "lzw.tif", "progressive.jpg"])
@pytest.mark.parametrize("kept", [0.05, 0.5, 0.97])
def test_a_cut_picture_is_refused_never_half_grey(tmp_path: Path, name: str, kept: float) -> None:
    path = tmp_path / name
    options: dict[str, object] = {"progressive": True} if name.startswith("prog") else {}
    if name == "lzw.tif":
        options = {"compression": "tiff_lzw"}
    Image.fromarray(smooth(400, 300, grain=3)).save(path, **options)
    data = path.read_bytes()
    keep = int(len(data) * kept)
    paddings = [b"", b"\0" * (len(data) - keep)]  # cut, or left empty by an interrupted copy
    for padding in paddings[:1] if name == "raw.tif" else paddings:  # raw zeros are black pixels
        path.write_bytes(data[:keep] + padding)
        with pytest.raises(SlideUnreadableError, match=rf"^{name}: "), opened(path) as slide:
            slide.overview(8)


def test_damaged_lzw_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    Image.fromarray(smooth(400, 300, grain=1)).save(path, compression="tiff_lzw")
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 60] = b"\xff" * 60
    path.write_bytes(data)
    with opened(path) as slide:
        for _ in range(2):  # a failure is remembered
            with pytest.raises(SlideUnreadableError, match="damaged TIFF"):
                slide.read_window(0, 0, 40, 40, 40, 40)


def test_pillows_own_limit_is_lifted_and_put_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(PICTURE).save(tmp_path / "a.tif", compression="tiff_lzw")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    np.testing.assert_array_equal(pixels(tmp_path / "a.tif"), PICTURE)
    assert Image.MAX_IMAGE_PIXELS == 100


def test_kinds_that_are_refused_say_what_to_save(tmp_path: Path) -> None:
    Image.fromarray(PICTURE).convert("CMYK").save(tmp_path / "cmyk.jpg")
    Image.fromarray(PICTURE).convert("CMYK").save(tmp_path / "cmyk.tif")
    Image.fromarray(PICTURE[..., 0] > 100).save(tmp_path / "fax.tif", compression="group4")
    tifffile.imwrite(tmp_path / "float.tif", PICTURE.astype(np.float32), photometric="rgb")
    tifffile.imwrite(tmp_path / "turned.tif", PICTURE, photometric="rgb", extratags=[(274, "H", 1, 6, True)])
    tifffile.imwrite(tmp_path / "stack.tif", np.stack([PICTURE] * 3), photometric="rgb")
    for path in sorted(tmp_path.iterdir()):
        with pytest.raises(SlideUnreadableError, match=rf"^{path.name}: .*save"):
            opened(path)


def test_resolution_of_a_plain_picture(tmp_path: Path) -> None:
    Image.fromarray(PICTURE).save(tmp_path / "a.jpg", dpi=(25400, 25400))
    tifffile.imwrite(
        tmp_path / "cm.tif", PICTURE, photometric="rgb", resolution=(2e4, 2e4), resolutionunit="CENTIMETER"
    )
    tifffile.imwrite(
        tmp_path / "print.tif", PICTURE, photometric="rgb", resolution=(118, 118), resolutionunit="CENTIMETER"
    )
    tifffile.imwrite(
        tmp_path / "inch.tif", PICTURE, photometric="rgb", resolution=(25400, 25400), resolutionunit="INCH"
    )
    with opened(tmp_path / "cm.tif", Resolution()) as slide:
        assert (slide.info.mpp, slide.info.mpp_source) == (pytest.approx(0.5), "file")
    for name in ("a.jpg", "print.tif", "inch.tif"):
        with pytest.raises(ResolutionError, match=r"no resolution in the file; pass --mpp"):
            opened(tmp_path / name, Resolution())
        with pytest.raises(SlideSkippedError, match=name):
            open_slide(tmp_path / name, name, Resolution(), walked=True)
        with open_slide(tmp_path / name, name, Resolution(2.0, "csv"), walked=True) as slide:
            assert (slide.info.mpp, slide.info.mpp_source) == (2.0, "csv")


def test_a_picture_that_merely_lies_there_is_skipped_whatever_is_wrong_with_it(tmp_path: Path) -> None:
    Image.new("CMYK", (8, 8)).save(tmp_path / "figure.jpg")
    (tmp_path / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\n torn")
    Image.new("1", (8, 8)).save(tmp_path / "mask.tif")
    Image.new("CMYK", (8, 8)).save(tmp_path / "figure.tif")
    tifffile.imwrite(tmp_path / "stack.tif", np.zeros((3, 8, 8), np.uint8), photometric="minisblack")
    for name in ("figure.jpg", "torn.png", "mask.tif", "figure.tif", "stack.tif"):
        with pytest.raises(SlideSkippedError, match=name):
            open_slide(tmp_path / name, name, Resolution(), walked=True)
        for said, walked in ((Resolution(), False), (ONE_UM, True)):
            with pytest.raises(SlideUnreadableError, match=name):
                open_slide(tmp_path / name, name, said, walked)


def test_headers_of_any_bytes_end_in_our_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain, "LARGEST_MEGAPIXELS", 2)
    rng = np.random.default_rng(1)
    starts = [b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"II+\0"]
    whole = {}
    for name in ("a.png", "a.jpg", "a.tif"):
        Image.fromarray(PICTURE).save(tmp_path / name)
        whole[name] = (tmp_path / name).read_bytes()
    path = tmp_path / "noise"
    for round_number in range(80):
        data = bytearray(starts[round_number % 5] + rng.bytes(300))
        if round_number >= 20:
            data = bytearray(list(whole.values())[round_number % 3])
            at = rng.integers(8, min(200, len(data)), 6)
            data[:] = [int(rng.integers(256)) if i in at else byte for i, byte in enumerate(data)]
        path.write_bytes(data)
        with contextlib.suppress(GloInOneError), opened(path) as slide:
            assert slide.overview(8).pixels.ndim == 3


def test_a_picture_that_vanishes_before_it_is_decoded(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(PICTURE).save(path)
    with opened(path) as slide:
        path.unlink()
        with pytest.raises(SlideUnreadableError, match=r"a\.png: cannot be read"):
            slide.overview(8)


@pytest.mark.shared
def test_a_biopsy_of_the_shared_data(shared_data: Path) -> None:
    with opened(shared_data / "biopsies-he" / "biopsy-002.jpg") as slide:
        assert (slide.info.width, slide.info.height) == (7000, 5000)
        overview = slide.overview(8)
    assert overview.pixels.shape == (625, 875, 3)
    assert (overview.pixels == 244).all(axis=2).mean() > 0.1
