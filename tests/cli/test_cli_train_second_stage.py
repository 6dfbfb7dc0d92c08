"""`gloinone train classifier` and `segmenter` on a drawn slide and on tight crops, from slide to model."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

from gloinone.annotations.region import Region
from gloinone.annotations.truth import Truth, read_truth
from gloinone.cli.main import program
from gloinone.cli.training_inputs import patches_from
from gloinone.drawn.config import SceneConfig
from gloinone.drawn.slide import draw_slide
from gloinone.errors import AnnotationError, UsageError
from gloinone.geometry import circle_iou
from gloinone.labels import NONGLOMERULAR
from gloinone.learning.patches import CROP_IN_PATCH_PX, PATCH_PX, UNKNOWN, split_patches
from gloinone.slide.reader import open_slide
from gloinone.slide.resolution import Resolution
from gloinone.slide.tissue import tissue_overview
from gloinone.training.crop_patches import place_tight, read_crop_folder, read_labels
from gloinone.training.patch_set import read_circles
from gloinone.training.slide_patches import (
    SlideOrigin,
    background_places,
    false_places,
    read_patches,
    truth_places,
)
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


def train(
    kind: str, folder: Path, out: Path, *more: str, truth: Path | None = None, steps: bool = True
) -> Result:
    """One step of two small crops; ``steps`` False: as many as there are by default."""
    command = ["train", kind, "--slides", str(folder), "--truth", str(truth or folder), "--out", str(out)]
    command += ["--complete", "yes", "--init", "none", "--batch-size", "2", "--edge", "32"]
    command += ["--threads", "1", "--device", "cpu", *(["--steps", "1"] if steps else [])]
    return CliRunner().invoke(program, [*command, *more])


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


def test_what_is_no_outline_teaches_no_segmenter() -> None:
    ring, box = np.array([[0.0, 0], [9, 0], [9, 9], [0, 9]]), (0.0, 0.0, 9.0, 9.0)
    drawn = (
        Region(ring, "normal"),
        Region(ring, "normal", shape="ellipse", box=box),
        Region(ring, "normal", shape="rectangle"),
        Region(ring, "normal", properties={"from": "box"}),
    )
    assert [place.ring is not None for place in truth_places(Truth(drawn, ()))] == [True, False, False, False]


def test_false_circles_touch_no_truth() -> None:
    class Box:
        def __init__(self, x: float, y: float, r: float) -> None:
            self.ring = np.array([[x - r, y - r], [x + r, y - r], [x + r, y + r], [x - r, y + r]])

    truth = Truth((Box(0, 0, 100),), (Box(1000, 0, 100),))  # type: ignore[arg-type]
    free = [[500.0, 500 + 300 * i, 50, 0.1 * i] for i in range(1, 9)]
    circles = np.array([[0, 0, 100, 0.9], [1000, 10, 90, 0.8], *free])
    all_of_them = false_places(circles, truth)
    assert [p.circle[1] for p in all_of_them] == [500 + 300 * i for i in range(8, 0, -1)]
    assert {p.label for p in all_of_them} == {NONGLOMERULAR}
    partial = replace(truth, complete=())
    assert false_places(circles, partial) == []
    assert len(false_places(np.repeat(circles, 9, axis=0), truth)) == 8


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


@pytest.mark.parametrize(
    ("rows", "word"),
    [
        ("a,normal\nb,\n", "labels.csv, line 3: every row needs a name and a label"),
        ("a,normal\n,sclerosed\n", "labels.csv, line 3: every row needs a name and a label"),
        ("a,Sclerosed\n", "labels.csv, line 2: a is of unknown class 'Sclerosed'; known: normal,"),
        ("a,normal\nb,normal\na,sclerosed\n", "labels.csv, line 4: a is listed twice"),
        ("", "labels.csv: an empty table"),
    ],
)
def test_labels_that_cannot_be_learned_from_are_refused(rows: str, word: str, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text(f"name,label\n{rows}", "utf-8")
    with pytest.raises(AnnotationError, match=word):
        read_labels(tmp_path / "labels.csv")


def test_labels_that_nobody_looks_at_may_be_any(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("name,label\na,whatever\nb,\n", "utf-8")
    assert [row["name"] for row in read_labels(tmp_path / "labels.csv", any_label=True)] == ["a", "b"]


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
    assert "held out: s2" in result.output
    assert "network busy" in result.output
    assert "AUC glomerulus vs none, held-out patients: shipped" in result.output
    assert "kind of sclerosis, given sclerosed, held-out patients: shipped" in result.output
    assert (card.class_rule.nonglomerular_cut, card.score_combination) == (0.95, "odds")
    assert (tmp_path / "c" / "training.png").is_file()
    with (tmp_path / "c" / "comparison.csv").open(encoding="utf-8", newline="") as file:
        compared = {row["what"]: float(row["retrained"]) for row in csv.DictReader(file)}
    told = next(m.value for m in card.measured if m.what == "AUC sclerosed vs normal")
    assert compared["AUC sclerosed vs normal, held-out patients"] == pytest.approx(told, abs=1e-3)
    assert {m.what for m in card.measured} >= {"AUC sclerosed vs normal", "AUC glomerulus vs none"}
    before = paths.weights.read_bytes()
    again = train("classifier", slides, tmp_path / "c", "--val", "s2", "--backbone", "resnet18")
    assert again.exit_code == 0, again.output
    assert paths.weights.read_bytes() == before  # nothing was left to train
    other = train("classifier", slides, tmp_path / "c", "--val", "s1", "--backbone", "resnet18")
    assert other.exit_code == 2
    assert "another training" in other.output


def test_nobody_is_held_out_without_being_told_and_regions_are_kept_to(slides: Path, tmp_path: Path) -> None:
    """s2 is complete in its left half only; a fifth of two patients is one."""
    truth = tmp_path / "truth"
    truth.mkdir()
    for name in ("s1", "s2"):
        document = json.loads((slides / f"{name}.truth.geojson").read_text("utf-8"))
        half = [[0, 0], [900, 0], [900, 1400], [0, 1400], [0, 0]]
        area = {"type": "Polygon", "coordinates": [half]}
        properties = {"classification": {"name": "region"}}
        document["features"].append({"type": "Feature", "geometry": area, "properties": properties})
        (truth / f"{name}.geojson").write_text(json.dumps(document), "utf-8")
    options = {"slides": (slides,), "truth": (truth,), "mpp_csv": (), "mpp": None, "classes": None}
    options |= {"crops": (), "labels": (), "masks": (), "leave_out": (), "val": (), "test": ()}
    parts = patches_from(options | {"cache": tmp_path / "cache", "out": tmp_path}, background=3.0)  # type: ignore[arg-type]
    assert sorted((parts.train.groups[0], parts.validation.groups[0])) == ["s1", "s2"]
    assert set(parts.train.groups).isdisjoint(parts.validation.groups)
    known = read_truth(truth / "s1.geojson")
    with open_slide(slides / "s1.tif", "s1.tif", Resolution()) as slide:
        overview = tissue_overview(slide)
        for area, most in ((known, 900), (known.partial(), 900), (replace(known, complete=None), 1800)):
            places = background_places(slide, overview, area, 20, np.random.default_rng(0))
            assert most - 900 < max(place.circle[0] for place in places) <= most
        nowhere = replace(known, complete=())
        assert background_places(slide, overview, nowhere, 20, np.random.default_rng(0)) == []


def test_segmenter_from_slides(slides: Path, tmp_path: Path) -> None:
    options = ("--test", "s1", "--encoder", "resnet18", "--arch", "deeplabv3plus")
    result = train("segmenter", slides, tmp_path / "s", *options)
    assert result.exit_code == 0, result.output
    card = read_card(tmp_path / "s" / "card.json")
    assert [(m.what, m.n) for m in card.measured] == [("mean Dice per glomerulus", 5)]


def test_boxes_teach_no_segmenter(slides: Path, tmp_path: Path) -> None:
    """QuPath writes a rectangle as a polygon of four corners."""
    for name in ("s1", "s2"):
        document = json.loads((slides / f"{name}.truth.geojson").read_text("utf-8"))
        for feature in document["features"]:
            ring = np.array(feature["geometry"]["coordinates"][0])
            (x0, y0), (x1, y1) = ring.min(axis=0).tolist(), ring.max(axis=0).tolist()
            corners = [[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]]
            feature["geometry"]["coordinates"] = [corners]
        (tmp_path / f"{name}.geojson").write_text(json.dumps(document), "utf-8")
    result = train("segmenter", slides, tmp_path / "s", truth=tmp_path)
    assert result.exit_code == 2
    assert "no outlines to train on" in result.output


def test_an_epoch_is_what_is_learned_from(slides: Path, tmp_path: Path) -> None:
    more = ("--binary", "--background", "4", "--val", "none", "--epochs", "1", "--backbone", "resnet18")
    result = train("classifier", slides, tmp_path / "c", *more, steps=False)
    assert result.exit_code == 0, result.output
    assert "step 5/5" in result.output  # ten glomeruli, two a step
    assert "temperature 1.00" in result.output


def test_nobody_normal_or_sclerosed_is_no_binary_training(slides: Path, tmp_path: Path) -> None:
    names = tmp_path / "names.csv"
    kinds = ("normal", "obsolescent", "solidified", "disappearing", "non-glomerular")
    names.write_text("name,class\n" + "".join(f"{kind},glomerulus\n" for kind in kinds), "utf-8")
    result = train("classifier", slides, tmp_path / "c", "--binary", "--classes", str(names))
    assert result.exit_code == 2
    assert "none is named normal or sclerosed" in result.output


def test_crops_are_told_by_what_they_show_and_by_names_with_or_without_suffix(tmp_path: Path) -> None:
    pictures = np.random.default_rng(0).integers(0, 255, (2, 60, 60, 3), np.uint8)
    for name, picture in (("a.png", pictures[0]), ("b.PNG", pictures[1]), ("copy.png", pictures[0])):
        cv2.imwrite(str(tmp_path / name), picture)
    (tmp_path / "a.xml").write_text("<a/>", "utf-8")
    cv2.imwrite(str(tmp_path / "a.jpg"), pictures[0])
    everything = read_crop_folder(tmp_path, None, None)
    assert everything.slides == ("a", "b", "copy")
    (tmp_path / "labels.csv").write_text("name,label\ncopy.png,normal\nb,sclerosed\n", "utf-8")
    named = read_crop_folder(tmp_path, tmp_path / "labels.csv", None)
    assert named.slides == ("copy", "b")
    (tmp_path / "a.jpg").unlink()
    with pytest.raises(UsageError, match="shows the same as"):
        split_patches(read_crop_folder(tmp_path, None, None), frozenset({"copy"}))


def test_an_empty_file_is_no_crop(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(AnnotationError, match="a: missing or no picture"):
        read_crop_folder(tmp_path, None, None)


def test_names_do_not_matter_to_whoever_learns_without_them(slides: Path, tmp_path: Path) -> None:
    for name in ("s1", "s2"):
        text = (slides / f"{name}.truth.geojson").read_text("utf-8")
        (tmp_path / f"{name}.geojson").write_text(text.replace('"normal"', '"Glom"'), "utf-8")
    refused = train("classifier", slides, tmp_path / "c", truth=tmp_path)
    assert refused.exit_code == 2
    assert "unknown class names 'Glom'" in refused.output
    learned = train("ssl", slides, tmp_path / "b", "--backbone", "resnet18", truth=tmp_path)
    assert learned.exit_code == 0, learned.output


@pytest.mark.parametrize("kind", ["classifier", "segmenter"])
def test_reference_stains_are_pictures_of_tissue(kind: str, slides: Path, tmp_path: Path) -> None:
    refused = train(kind, slides, tmp_path / "m", "--stains", str(tmp_path))
    assert refused.exit_code == 2
    assert f"{tmp_path}: no picture of stained tissue" in refused.output


def test_who_is_left_out_is_left_out_of_slides_and_crops(slides: Path, tmp_path: Path) -> None:
    crops, labels, out = tmp_path / "crops", tmp_path / "labels.csv", tmp_path / "c"
    crops.mkdir()
    for name in "ab":
        cv2.imwrite(str(crops / f"{name}.png"), np.full((50, 50, 3), ord(name), np.uint8))
    # No picture c: what is left out is not read
    labels.write_text(
        "name,label,slide,patient\na,normal,one,s1\nb,sclerosed,two.svs,q\nc,normal,three,s1\n", "utf-8"
    )
    more = ("--crops", str(crops), "--labels", str(labels), "--val", "none", "--backbone", "resnet18")
    result = train("classifier", slides, out, *more, "--leave-out", "three")
    assert result.exit_code == 0, result.output
    assert "s1.tif: left out" in result.output
    card = read_card(out / "card.json")
    assert card.split.endswith("; left out: s1")
    assert [row for row in card.training_data if row.startswith("crops")] == ["crops: sclerosed 1"]
    assert not len(read_crop_folder(crops, labels, None, frozenset({"s1", "q"})))
    options = {"slides": (slides,), "truth": (slides,), "mpp_csv": (), "mpp": None, "classes": None}
    options |= {"crops": (crops,), "labels": (labels,), "val": ("none",), "complete": ("yes",)}  # type: ignore[dict-item]
    for name in ("two", "two.svs", "q"):
        parts = patches_from(
            options | {"leave_out": (name, "s1"), "cache": None, "out": tmp_path}, background=0.0
        )
        assert set(parts.train.groups) == {"s2"}
        assert parts.left_out == {"q", "s1"}
    refused = train("classifier", slides, out, *more, "--leave-out", "four")
    assert refused.exit_code == 2
    assert "--leave-out: no slide or patient named four" in refused.output


@pytest.mark.parametrize(
    ("more", "word"),
    [
        (("--val", "nobody"), "no slide or patient named nobody"),
        (("--val", "s1", "--val", "s2"), "nothing to train on"),
        (("--truth", "."), "one --truth for every --slides"),
        (("--init", "absent"), "no classifier named"),
        (("--complete", "no", "--complete", "yes"), "one --complete for all"),
        (("--leave-out", "s1", "--leave-out", "s2"), "no training crops"),
    ],
)
def test_refused(slides: Path, tmp_path: Path, more: tuple[str, ...], word: str) -> None:
    result = train("classifier", slides, tmp_path / "x", "--backbone", "resnet18", *more)
    assert result.exit_code == 2
    assert word in result.output
