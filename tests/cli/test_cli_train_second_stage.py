"""`gloinone train classifier` and `segmenter` on a drawn slide and on tight crops, from slide to model."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

from gloinone.annotations.truth import Truth, read_truth
from gloinone.cli.main import program
from gloinone.cli.training_crops import place_tight, read_crop_folder
from gloinone.cli.training_set import read_circles
from gloinone.cli.training_slides import (
    SlideOrigin,
    background_places,
    false_places,
    read_patches,
    truth_places,
)
from gloinone.drawn.config import SceneConfig
from gloinone.drawn.slide import draw_slide
from gloinone.errors import AnnotationError
from gloinone.geometry import circle_iou
from gloinone.labels import NONGLOMERULAR
from gloinone.learning.patches import CROP_IN_PATCH_PX, PATCH_PX, UNKNOWN
from gloinone.slide.reader import open_slide
from gloinone.slide.resolution import Resolution
from gloinone.slide.tissue import tissue_overview
from gloinone.weights.store import ModelPaths, check_hash, read_card


@pytest.fixture(scope="module")
def slides(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two drawn slides with their truth."""
    folder = tmp_path_factory.mktemp("slides")
    for seed in (1, 2):
        draw_slide(
            folder / f"s{seed}.tif",
            SceneConfig(
                1800,
                1400,
                normal=2,
                obsolescent=1,
                solidified=1,
                disappearing=1,
                decoys=2,
                seed=seed,
                mpp=1.0,
            ),
        )
    return folder


def train(kind: str, folder: Path, out: Path, *more: str) -> Result:
    command = ["train", kind, "--slides", str(folder), "--truth", str(folder), "--out", str(out)]
    small = ["--steps", "1", "--batch-size", "2", "--edge", "32", "--threads", "1", "--device", "cpu"]
    return CliRunner().invoke(program, [*command, *small, *more])


def test_patches_show_the_glomerulus_in_the_middle(slides: Path) -> None:
    truth = read_truth(slides / "s1.truth.geojson")
    with open_slide(slides / "s1.tif", "s1.tif", Resolution()) as slide:
        places = truth_places(truth)
        patches = read_patches(slide, places, SlideOrigin("s1.tif", "p", "drawn"))
        background = background_places(slide, tissue_overview(slide), truth, 5, np.random.default_rng(0))
    assert len(patches) == 7
    assert patches.labels.count(NONGLOMERULAR) == 2
    for i, place in enumerate(places):
        context = 12.5 * place.circle[2] / place.circle[2]  # mpp 1: um are px
        expected = place.circle[2] / (place.circle[2] + context) * CROP_IN_PATCH_PX / 2
        assert patches.radius[i] == pytest.approx(expected)
        if place.ring is not None:
            inside = np.argwhere(patches.masks[i] == 1)
            assert np.abs(inside.mean(axis=0) - PATCH_PX / 2).max() < 2
            assert np.sqrt(len(inside) / np.pi) == pytest.approx(expected, rel=0.02)
    for place in background:
        assert circle_iou(place.circle[None], truth.circles()).max() == 0


def test_false_circles_touch_no_truth() -> None:
    class Box:
        def __init__(self, x: float, y: float, r: float) -> None:
            self.ring = np.array([[x - r, y - r], [x + r, y - r], [x + r, y + r], [x - r, y + r]])

    truth = Truth((Box(0, 0, 100),), (Box(1000, 0, 100),))  # type: ignore[arg-type]
    free = [[500.0, 500 + 300 * i, 50, 0.1 * i] for i in range(1, 9)]
    circles = np.array([[0, 0, 100, 0.9], [1000, 10, 90, 0.8], *free])
    all_of_them = false_places(circles, truth, incomplete=False)
    assert [p.circle[1] for p in all_of_them] == [500 + 300 * i for i in range(8, 0, -1)]
    assert {p.label for p in all_of_them} == {NONGLOMERULAR}
    careful = false_places(circles, truth, incomplete=True)
    assert [p.circle[1] for p in careful] == [500 + 300 * i for i in range(6, 0, -1)]
    assert len(false_places(np.repeat(circles, 9, axis=0), truth, False)) == 8


def test_tight_crops_get_the_jobs_framing(tmp_path: Path) -> None:
    y, x = np.mgrid[:224, :224] + 0.5
    mask = np.hypot(x - 112, y - 112) < 110
    picture = np.repeat(np.where(mask, 60, 220).astype(np.uint8)[..., None], 3, axis=2)
    patch, placed, radius = place_tight(picture, mask, 75.0)
    assert radius == pytest.approx(100 * 75 / 87.5)
    assert np.sqrt((placed == 1).sum() / np.pi) == pytest.approx(radius, rel=0.01)
    assert (placed == UNKNOWN).mean() > 0.4
    assert (patch[placed == 1] < 120).mean() > 0.98
    assert (place_tight(picture, None, 75.0)[1] == UNKNOWN).all()
    cv2.imwrite(str(tmp_path / "a.jpg"), picture)
    (tmp_path / "labels.csv").write_text("name,slide,centre,label\na,s,c,sclerosed\n", "utf-8")
    patches = read_crop_folder(tmp_path, tmp_path / "labels.csv", None)
    assert (patches.labels, patches.groups, patches.sources) == (("sclerosed",), ("s",), ("c",))
    with pytest.raises(AnnotationError, match="missing"):
        read_crop_folder(tmp_path, tmp_path / "labels.csv", tmp_path)
    (tmp_path / "labels.csv").write_text("name\na\n", "utf-8")
    with pytest.raises(AnnotationError, match="needs a name and a label"):
        read_crop_folder(tmp_path, tmp_path / "labels.csv", None)


def test_circles_of_a_run(tmp_path: Path) -> None:
    table = tmp_path / "circles.csv"
    table.write_text("slide,x,y,radius,det_score,score\na,1,2,3,0.5,0.4\n", "utf-8")
    assert read_circles(table).tolist() == [[1, 2, 3, 0.5]]
    with pytest.raises(AnnotationError, match="no circles"):
        read_circles(tmp_path / "absent.csv")


def test_classifier_from_slides(slides: Path, tmp_path: Path) -> None:
    result = train("classifier", slides, tmp_path / "c", "--val", "s2", "--backbone", "resnet18")
    assert result.exit_code == 0, result.output
    paths = ModelPaths(tmp_path / "c")
    card = read_card(paths.card)
    check_hash(paths, card)
    assert card.class_rule is not None
    assert card.split.startswith("validation: s2;")
    assert {m.what for m in card.measured} >= {"AUC sclerosed vs normal", "AUC glomerulus vs none"}
    before = paths.weights.read_bytes()
    again = train("classifier", slides, tmp_path / "c", "--val", "s2", "--backbone", "resnet18")
    assert again.exit_code == 0, again.output
    assert paths.weights.read_bytes() == before  # nothing was left to train
    other = train("classifier", slides, tmp_path / "c", "--val", "s1", "--backbone", "resnet18")
    assert other.exit_code == 2
    assert "another training" in other.output


def test_segmenter_from_slides(slides: Path, tmp_path: Path) -> None:
    options = ("--test", "s1", "--encoder", "resnet18", "--arch", "deeplabv3plus")
    result = train("segmenter", slides, tmp_path / "s", *options)
    assert result.exit_code == 0, result.output
    card = read_card(tmp_path / "s" / "card.json")
    assert [(m.what, m.n) for m in card.measured] == [("mean Dice per glomerulus", 5)]


@pytest.mark.parametrize(
    ("more", "word"),
    [
        (("--val", "nobody"), "no such patient"),
        (("--val", "s1", "--val", "s2"), "nothing to train on"),
        (("--truth", "."), "one --truth for every --slides"),
        (("--init", "absent"), "no classifier named"),
        (("--leave-out", "s1", "--leave-out", "s2"), "no training crops"),
    ],
)
def test_refused(slides: Path, tmp_path: Path, more: tuple[str, ...], word: str) -> None:
    result = train("classifier", slides, tmp_path / "x", "--backbone", "resnet18", *more)
    assert result.exit_code == 2
    assert word in result.output
