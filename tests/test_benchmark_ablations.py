"""What each group of the ablations changes, which slides are on which side, and how the table is reckoned."""

from dataclasses import asdict
from pathlib import Path

import pytest

from benchmarks.ablations import (
    ABLATIONS,
    COLUMNS,
    DRAWN,
    GROUPS,
    LEARN,
    Ablation,
    add_row,
    read_rows,
    recipe_of,
    sample_of,
    side_of,
    table,
)
from gloinone.detection.samples import SampleConfig
from gloinone.errors import UsageError

BASE = sample_of(frozenset(), 256)


def changed(group: str) -> set[str]:
    """Fields in which the tiles of a group differ from the base's, those of the colour among them."""
    one, base = asdict(sample_of(frozenset({group}), 256)), asdict(BASE)
    one |= one.pop("colour")
    base |= base.pop("colour")
    return {name for name in base if one[name] != base[name]}


def test_the_base_sees_tissue_as_it_is() -> None:
    shares = {name: value for name, value in asdict(BASE.colour).items() if name.endswith("share")}
    assert set(shares.values()) == {0}
    assert (BASE.min_scale, BASE.max_scale, BASE.transfer_share, BASE.false_share) == (1, 1, 0, 0)
    assert BASE.source_power == 1
    assert recipe_of(ABLATIONS[0], 10, 2).average_decay == 0


def test_each_group_changes_its_own_and_all_are_what_ships() -> None:
    assert changed("scale") == {"min_scale", "max_scale"}
    assert changed("colour") == {
        *("stain_share", "restain_share", "light_share", "grey_share", "transfer_share"),
    }
    assert changed("focus") == {"blur_share", "jpeg_share", "noise_share"}
    assert changed("sampling") == {"false_share", "source_power"}
    assert changed("average") == set()
    assert recipe_of(Ablation("average", frozenset({"average"})), 10, 2).average_decay > 0.9
    everything = SampleConfig(edge_px=256, sure_weight=1.0)
    assert sample_of(frozenset(GROUPS), 256) == everything


def test_what_is_scored_is_never_learned_from() -> None:
    left_out = frozenset({"pas-b", "biopsy-078"})
    assert side_of("hubmap-wsi", "pas-a.tif", left_out) == LEARN
    assert side_of("hubmap-wsi", "pas-b.tif", left_out) is None
    assert side_of("biopsies-he", "biopsy-078.jpg", left_out) == "biopsies-he"
    assert side_of("biopsies-he", "biopsy-000.jpg", left_out) is None
    assert side_of("regions-he", "h1-s1-r1.jpg", left_out) == LEARN
    assert side_of("regions-he", "h2-s1-r1.jpg", left_out) == "h2"
    assert side_of("fields", "p00-pasm-r1.jpg", left_out) == "fields"
    assert side_of("images", "SAS_1.png", left_out) == LEARN
    assert side_of("drawn", "drawn-01.tif", left_out) == DRAWN


def row(name: str, value: float, steps: int = 5) -> dict[str, str]:
    return dict.fromkeys(COLUMNS, f"{value:.4f}") | {"name": name, "steps": str(steps)}


def test_the_table_tells_what_the_noise_of_the_base_does_not_reach() -> None:
    rows = [row("base-0", 0.4), row("base-1", 0.5), row("base-2", 0.6), row("scale", 0.55), row("all", 0.7)]
    lines = table(rows).splitlines()
    assert lines[0].startswith("| | biopsies-he AP50 | biopsies-he AP | h2 AP50 |")
    cells = {line.split(" | ")[0].strip("| "): line.split(" | ")[1] for line in lines[2:]}
    assert cells == {
        "base, mean of 3": "0.500",
        "its range": "0.400 to 0.600",
        "base-0": "-0.100",
        "all": "**+0.200**",
        "scale": "+0.050",
    }
    assert {line.count("|") for line in lines} == {len(COLUMNS) - 7 + 2}
    assert "no base" in table(rows[3:])


def test_rows_are_added_and_another_schedule_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    assert read_rows(path, 5) == []
    for name in ("base-0", "scale"):
        add_row(path, row(name, 0.25))
    assert read_rows(path, 5) == [row("base-0", 0.25), row("scale", 0.25)]
    with pytest.raises(UsageError, match="trainings of 5 steps"):
        read_rows(path, 6)
