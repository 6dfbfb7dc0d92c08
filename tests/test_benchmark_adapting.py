"""The table of priors and scales: one row each, of the slides that were named."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks.adapting import cached, main
from gloinone.detection.build import build_network
from gloinone.detection.cases import save_case
from gloinone.detection.make import MakeConfig, start_card
from gloinone.detection.train import detector_recipe
from gloinone.errors import UsageError
from gloinone.weights.store import save_model
from tests.detection.test_detection_samples import disc_case


def test_each_prior_has_a_row_for_each_of_the_scales(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    config = MakeConfig(out=tmp_path / "model", recipe=detector_recipe(steps=1), arch="resnet18")
    card = replace(start_card(config, [disc_case()], []), floor=0.0, edge_px=320, margin_um=40.0)
    state = build_network(card).state_dict()
    state["heat.2.weight"] *= 50  # scores that the table's three digits tell apart
    save_model(config.out, state, card)
    for key, name in (("1", "a.tif"), ("2", "b.tif")):
        save_case(tmp_path / "cache", key, disc_case(name))
    asked = [
        *map(str, (config.out, tmp_path / "cache")),
        "--slide",
        "b.tif",
        "--prior",
        "none",
        "--prior",
        "0",
    ]
    main(asked)
    head, titles, *rows = capsys.readouterr().out.splitlines()
    assert head == "1 slides, 3 glomeruli"
    assert titles.split() == ["prior", "scales", "AP50", "AP", "best", "at", "s"]
    taught, shifted = (row.split() for row in rows)
    assert [taught[:2], shifted[:2]] == [["none", "1,0.8,1.25"], ["0", "1,0.8,1.25"]]  # the card's
    assert taught[4] != shifted[4]
    main([*asked, "--scales", "1", "--scales", "1,1"])
    rows = capsys.readouterr().out.splitlines()[2:]
    by_asked = {tuple(row.split()[:2]): row.split()[4] for row in rows}
    assert list(by_asked) == [("none", "1"), ("none", "1,1"), ("0", "1"), ("0", "1,1")]
    assert len(set(by_asked.values())) == 4


def test_a_slide_that_was_not_read_is_named(tmp_path: Path) -> None:
    save_case(tmp_path, "1", disc_case("a.tif"))
    assert [case.name for case in cached(tmp_path, ["a.tif"])] == ["a.tif"]
    with pytest.raises(UsageError, match=r"has no b\.tif; it has a\.tif"):
        cached(tmp_path, ["a.tif", "b.tif"])
