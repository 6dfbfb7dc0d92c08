"""Files of weights are read without executing anything, and refused in words that say what to do."""

import collections
import os
import pickle
import zipfile
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest
import torch
from published_files import beside, bit_r101x1, dla_34, parameters, save

from gloinone.errors import WeightsError
from gloinone.weights.checkpoint import read_checkpoint

STATE = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.zeros(2)}


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("numpy_1", [False, True], ids=["numpy", "numpy 1"])
def test_the_state_is_found_beside_scores_and_optimiser(tmp_path: Path, legacy: bool, numpy_1: bool) -> None:
    if numpy_1 and not legacy:
        pytest.skip("the names lie packed in a zip")
    path = save(tmp_path / "classifier_model.pth.tar", beside(STATE), legacy, numpy_1)
    assert not numpy_1 or b"numpy.core.multiarray" in path.read_bytes()
    found = read_checkpoint(path)
    assert list(found) == list(STATE)  # without module.
    assert all(torch.equal(found[name], STATE[name]) for name in STATE)


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_a_bare_state_is_read(tmp_path: Path, legacy: bool) -> None:
    path = save(tmp_path / "s.pth", collections.OrderedDict(STATE), legacy)
    assert torch.equal(read_checkpoint(path)["a.weight"], STATE["a.weight"])


class Hostile:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_a_hostile_file_is_refused_and_nothing_is_executed(tmp_path: Path, legacy: bool) -> None:
    mark = tmp_path / "executed"
    path = save(tmp_path / "h.pth", {"state_dict": STATE, "best_f1": Hostile(mark)}, legacy)
    with pytest.raises(WeightsError, match="nothing of it was executed") as caught:
        read_checkpoint(path)
    assert not mark.exists()
    assert f"it names {os.system.__module__}.system" in str(caught.value)
    for advice in ("weights_only", "safe_globals", "trust"):  # torch's, which is to load it unsafely
        assert advice not in str(caught.value)
    pickle.loads(pickle.dumps(Hostile(mark)))
    assert mark.exists()  # it would have worked


@pytest.mark.parametrize(
    "other", [PurePosixPath("a"), np.int64(3), np.zeros(2), np.float32(1), collections.deque()], ids=repr
)
def test_any_other_name_is_refused(tmp_path: Path, other: object) -> None:
    with pytest.raises(WeightsError, match="refused"):
        read_checkpoint(save(tmp_path / "o.pth", {"state_dict": STATE, "other": other}))


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_a_tensor_larger_than_the_file_is_refused(tmp_path: Path, legacy: bool) -> None:
    path = save(
        tmp_path / "huge.pth", {"w": torch.zeros(1).expand(1 << 40, 3)}, legacy
    )  # a few bytes, twelve terabytes
    with pytest.raises(WeightsError, match="larger than what the file holds"):
        read_checkpoint(path)


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_truncated_file_is_refused(tmp_path: Path, legacy: bool, share: float) -> None:
    path = save(tmp_path / "t.pth", {"state_dict": {"w": torch.randn(100, 100)}}, legacy)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(WeightsError, match=r"t\.pth"):
        read_checkpoint(path)


def test_other_files_are_refused(tmp_path: Path) -> None:
    text = tmp_path / "a.pth"
    text.write_text("no weights")
    with pytest.raises(WeightsError):
        read_checkpoint(text)
    with pytest.raises(WeightsError, match="no such file"):
        read_checkpoint(tmp_path / "absent.pth")
    for data in ([1, 2], {}, {"state_dict": {}}, {"state_dict": 3}, {"a": "text"}, {3: torch.zeros(1)}):
        with pytest.raises(WeightsError, match="state_dict"):
            read_checkpoint(save(tmp_path / "d.pth", data))
    with pytest.raises(WeightsError, match="plain tensor"):
        read_checkpoint(save(tmp_path / "s.pth", {"a": torch.zeros(3, 3).to_sparse()}))
    with pytest.raises(WeightsError, match="with and without"):
        read_checkpoint(save(tmp_path / "m.pth", {"a": torch.zeros(1), "module.a": torch.ones(1)}))


def test_a_packed_file_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = save(tmp_path / "w.pth", {"state_dict": {"w": torch.zeros(1000, 1000)}})
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(tmp_path / "p.pth", "w") as packed:
        for entry in archive.namelist():
            packed.writestr(entry, archive.read(entry), zipfile.ZIP_DEFLATED)
    with pytest.raises(WeightsError, match="packed"):
        read_checkpoint(tmp_path / "p.pth")


def test_the_lists_of_keys_are_those_of_the_published_files() -> None:
    assert (len(dla_34()), parameters(dla_34())) == (400, 20_168_332)
    assert (len(bit_r101x1()), parameters(bit_r101x1())) == (306, 42_502_725)
