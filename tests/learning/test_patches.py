"""Patches are framed as the job frames crops, split without leaks, and survive the disk."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gloinone.errors import UsageError
from gloinone.learning.bootstrap import interval
from gloinone.learning.comparison import compare, tell_comparison
from gloinone.learning.fit import fit_picture
from gloinone.learning.holdout import Origins, a_fifth, held_out, join_origins, left_out_patients
from gloinone.learning.patches import (
    CROP_IN_PATCH_PX,
    PATCH_PX,
    UNKNOWN,
    FramingConfig,
    Patches,
    balanced_shares,
    cut_mask,
    cut_pixels,
    framing,
    join_patches,
    load_patches,
    save_patches,
    split_patches,
)


def some_patches(groups: list[str], slides: list[str] | None = None) -> Patches:
    count = len(groups)
    rng = np.random.default_rng(count)
    pixels = rng.integers(0, 255, (count, PATCH_PX, PATCH_PX, 3), np.uint8)
    masks = rng.integers(0, 2, (count, PATCH_PX, PATCH_PX)).astype(np.uint8)
    names = tuple(slides or groups)
    return Patches(
        pixels, masks, np.full(count, 80.0), ("normal",) * count, tuple(groups), names, ("s",) * count
    )


def test_true_framing_is_the_middle_of_the_patch() -> None:
    patch = some_patches(["a"]).pixels[0]
    affine = framing(80, CROP_IN_PATCH_PX, None, FramingConfig())
    margin = (PATCH_PX - CROP_IN_PATCH_PX) // 2
    assert np.array_equal(cut_pixels(patch, affine, CROP_IN_PATCH_PX), patch[margin:-margin, margin:-margin])


def test_jittered_circle_stays_in_the_crop_and_mask_follows() -> None:
    y, x = np.mgrid[:PATCH_PX, :PATCH_PX] + 0.5
    disc = (np.hypot(x - 160, y - 160) < 85).astype(np.uint8)
    picture = np.repeat(disc[..., None] * 200, 3, axis=2)
    for seed in range(20):
        affine = framing(85, 128, np.random.default_rng(seed), FramingConfig())
        crop, mask = cut_pixels(picture, affine, 128), cut_mask(disc, affine, 128)
        assert ((crop[..., 0] > 100) == (mask == 1)).mean() > 0.985
        centre = np.argwhere(mask == 1).mean(axis=0)
        assert np.abs(centre - 63.5).max() < 16
        assert 0.35 < (mask == 1).mean() < 0.85


def test_beyond_the_patch_is_unknown() -> None:
    mask = np.ones((PATCH_PX, PATCH_PX), np.uint8)
    wide = framing(100, 64, np.random.default_rng(0), FramingConfig(scale=(3, 3), turn=False))
    assert set(np.unique(cut_mask(mask, wide, 64))) == {1, UNKNOWN}


def test_split_keeps_patients_and_slides_apart() -> None:
    patches = some_patches(["a", "b", "a", "c"])
    train, validation = split_patches(patches, frozenset({"a"}))
    assert (train.groups, validation.groups) == (("b", "c"), ("a", "a"))
    assert np.array_equal(validation.pixels, patches.pixels[[0, 2]])
    with pytest.raises(UsageError, match="no slide or patient named d; patients: a, b, c"):
        split_patches(patches, frozenset({"d"}))
    with pytest.raises(UsageError, match="both sides"):
        split_patches(some_patches(["a", "b"], ["same", "same"]), frozenset({"a"}))
    with pytest.raises(UsageError, match="nothing to train on"):
        split_patches(patches, frozenset({"a", "b", "c"}))


def test_a_slide_named_holds_out_its_whole_patient() -> None:
    origins = Origins(["p", "p", "q"], ["1.svs", "sub/2.svs", "3.svs"], ["s"] * 3)
    for name in ("p", "1.svs", "1", "2"):
        assert held_out(origins, frozenset({name})).tolist() == [True, True, False]
    assert not held_out(origins, frozenset({"none"})).any()


def test_a_name_of_leave_out_stands_for_its_patient_whatever_folder_has_it() -> None:
    slides = Origins(["p", "p", "q"], ["1.svs", "sub/2.svs", "3.svs"], ["s"] * 3)
    crops = Origins(["q", "r"], ["r-9", "r-10"], ["c"] * 2)
    both = join_origins([slides, crops])
    for name, patient in (("p", "p"), ("1.svs", "p"), ("2", "p"), ("r-9", "q"), ("r-10", "r")):
        assert left_out_patients(both, frozenset({name})) == {patient}
    assert left_out_patients(both, frozenset()) == set()
    with pytest.raises(
        UsageError, match=r"--leave-out: no slide or patient named 4, r-11; patients: p, q, r"
    ):
        left_out_patients(both, frozenset({"1", "4", "r-11"}))
    with pytest.raises(UsageError, match=r"s/1: on both sides of --leave-out"):
        left_out_patients(Origins(["p", "q"], ["1", "1"], ["s", "s"]), frozenset({"p"}))


def test_a_fifth_is_held_out_the_same_whoever_asks() -> None:
    patients = [f"p{i}" for i in range(20)]
    origins = Origins(patients, patients, ["s"] * 20)
    chosen = a_fifth(origins)
    assert len(chosen) == 4
    backwards = Origins(patients[::-1] * 3, patients[::-1] * 3, ["s"] * 60)
    assert a_fifth(backwards) == chosen
    beside = [f"q{i}" for i in range(15)]
    crops = Origins([*patients, *beside], [*patients, *beside], ["s"] * 20 + ["crops"] * 15)
    assert a_fifth(crops) & set(patients) == chosen
    assert len(a_fifth(crops) - chosen) == 3
    assert a_fifth(Origins(["alone"] * 2, ["1", "2"], ["s"] * 2)) == set()
    assert len(a_fifth(Origins(["a", "b", "c"], ["1", "2", "3"], ["s", "t", "u"]))) == 1
    is_out = held_out(Origins(patients, patients, ["s"] * 20), None)
    assert {p for p, out in zip(patients, is_out, strict=True) if out} == chosen


def test_a_copied_glomerulus_is_refused_and_like_backgrounds_are_not() -> None:
    one = some_patches(["a"])
    copy = replace(one, groups=("b",), slides=("b",))
    with pytest.raises(UsageError, match="s/b shows the same as s/a, which --val holds out"):
        split_patches(join_patches([one, copy]), frozenset({"a"}))
    ground = [replace(p, labels=("non-glomerular",)) for p in (one, copy)]
    assert [len(p) for p in split_patches(join_patches(ground), frozenset({"a"}))] == [1, 1]


def test_disk_and_joining(tmp_path: Path) -> None:
    patches = join_patches([some_patches(["a", "b"]), some_patches(["ç"])])
    save_patches(tmp_path / "deep" / "x.npz", patches)
    again = load_patches(tmp_path / "deep" / "x.npz")
    assert again.groups == ("a", "b", "ç")
    assert np.array_equal(again.pixels, patches.pixels)
    assert np.array_equal(again.masks, patches.masks)
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["x.npz"]
    with pytest.raises(UsageError, match="no training crops"):
        join_patches([])
    with pytest.raises(ValueError, match="different numbers"):
        Patches(patches.pixels[:2], patches.masks, patches.radius, *[("a",) * 3] * 4)


def test_rare_cells_are_drawn_more_often() -> None:
    count = 5
    base = some_patches(["a"] * count)
    labels = ("normal",) * 4 + ("sclerosed",)
    patches = Patches(base.pixels, base.masks, base.radius, labels, base.groups, base.slides, base.sources)
    shares = balanced_shares(patches)
    assert shares.sum() == pytest.approx(1)
    assert shares[4] / shares[:4].sum() == pytest.approx(0.5)  # root of 1 to root of 4


def test_fit_picture() -> None:
    picture = np.dstack([np.full((8, 8), v, np.uint8) for v in (10, 20, 30)])
    assert fit_picture(picture, 4, "RGB")[0, 0].tolist() == [10, 20, 30]
    assert fit_picture(picture, 16, "BGR")[0, 0].tolist() == [30, 20, 10]
    assert fit_picture(picture, 8, "RGB") is picture


def test_interval_follows_groups() -> None:
    values = np.repeat([0.0, 1.0], 50)
    groups = ["a"] * 50 + ["b"] * 50
    assert interval(lambda i: float(values[i].mean()), groups) == (0, 1)  # two patients: nothing is known
    many = [str(i) for i in range(100)]
    low, high = interval(lambda i: float(values[i].mean()), many)
    assert 0.35 < low < 0.45 < 0.55 < high < 0.65
    assert np.isnan(interval(lambda _: float("nan"), many)).all()
    assert np.isnan(interval(lambda i: float(values[i].mean()), ["one patient"] * 100)).all()


def test_one_patient_is_compared_without_an_interval(tmp_path: Path) -> None:
    shipped, retrained = (np.array(values) for values in ([0.5, 0.6], [0.7, 0.9]))
    said: list[str] = []
    for groups in (["a", "a"], ["a", "b"]):
        scores = (lambda i, v=v: float(v[i].mean()) for v in (shipped, retrained))
        tell_comparison(compare("Dice", groups, *scores), tmp_path, said.append)
        with (tmp_path / "comparison.csv").open(encoding="utf-8", newline="") as file:
            row = next(csv.DictReader(file))
        known = ("", "") if groups[1] == "a" else ("0.2000", "0.3000")
        assert (row["difference"], row["low"], row["high"]) == ("0.2500", *known)
    assert "difference +0.250: no difference shown" in said[0]
    assert "difference +0.250 (+0.200 to +0.300)" in said[1]
