"""The table of priors: one row each, of the slides that were named."""

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


def test_each_prior_has_a_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    config = MakeConfig(out=tmp_path / "model", recipe=detector_recipe(steps=1), arch="resnet18")
    card = replace(start_card(config, [disc_case()], []), floor=0.0)
    save_model(config.out, build_network(card).state_dict(), card)
    for key, name in (("1", "a.tif"), ("2", "b.tif")):
        save_case(tmp_path / "cache", key, disc_case(name))
    main([*map(str, (config.out, tmp_path / "cache")), "--slide", "b.tif", "--prior", "none", "--prior", "0"])
    head, titles, taught, shifted = capsys.readouterr().out.splitlines()
    assert head == "1 slides, 3 glomeruli"
    assert titles.split() == ["prior", "AP50", "AP", "best", "at"]
    assert [taught.split()[0], shifted.split()[0]] == ["none", "0"]
    assert taught.split()[3] != shifted.split()[3]


def test_a_slide_that_was_not_read_is_named(tmp_path: Path) -> None:
    save_case(tmp_path, "1", disc_case("a.tif"))
    assert [case.name for case in cached(tmp_path, ["a.tif"])] == ["a.tif"]
    with pytest.raises(UsageError, match=r"has no b\.tif; it has a\.tif"):
        cached(tmp_path, ["a.tif", "b.tif"])
