"""The doctor: right where all is well, and a mend for everything that is not."""

import hashlib
import shutil
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from gloinone.cli import doctor
from gloinone.cli.main import program
from gloinone.weights import store
from gloinone.weights.card import Architecture, ModelCard, card_to_json


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three made-up models, and nothing else to be found."""
    folder = tmp_path / "models"
    for task in ("detector", "classifier", "segmenter"):
        (folder / task).mkdir(parents=True)
        weights = b"weights of the " + task.encode()
        (folder / task / "weights.safetensors").write_bytes(weights)
        card = ModelCard(
            name=task,
            task=task,  # type: ignore[arg-type]
            architecture=Architecture("none"),
            edge_px=8,
            mean=(0, 0, 0),
            std=(1, 1, 1),
            labels=("a",),
            licence="CC0-1.0",
            training_data=(),
            split="none",
            created_by="test",
            sha256=hashlib.sha256(weights).hexdigest(),
        )
        (folder / task / "card.json").write_text(card_to_json(card))
    monkeypatch.setattr(store, "model_dirs", lambda asked=(): (*asked, folder))
    return folder


def _lines(arguments: list[str]) -> tuple[int, str]:
    result = CliRunner().invoke(program, ["doctor", *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, result.stdout


def test_all_is_well(models: Path) -> None:
    status, text = _lines(["--device", "cpu"])
    assert status == 0, text
    assert "FAIL" not in text
    for what in ("python", "torch", "device", "openslide", "detector", "classifier", "segmenter", "scratch"):
        assert what in text


def test_damaged_weights_are_named(models: Path) -> None:
    (models / "detector" / "weights.safetensors").write_bytes(b"other weights")
    status, text = _lines(["--device", "cpu"])
    assert status == 1
    assert text.count("FAIL") == 2  # the damaged one, and that no detector is left
    assert "damaged" in text
    assert "copy the model's folder again" in text


def test_missing_weights_are_named(models: Path) -> None:
    (models / "segmenter" / "card.json").unlink()
    status, text = _lines(["--device", "cpu"])
    assert status == 1
    assert "no usable segmenter" in text
    assert "--models DIR" in text


def test_a_folder_of_models_that_does_not_exist(tmp_path: Path) -> None:
    status, text = _lines(["--device", "cpu", "--models", str(tmp_path / "none")])
    assert status == 1
    assert "no such folder of models" in text


def test_a_device_that_does_not_exist(models: Path) -> None:
    status, text = _lines(["--device", "abacus"])
    assert status == 1
    assert "use auto, cpu, cuda or cuda:N" in text


@pytest.mark.gpu
def test_the_gpu_is_named(models: Path) -> None:
    status, text = _lines(["--device", "cuda"])
    assert status == 0, text
    assert "GiB" in text


def test_an_old_python_is_refused() -> None:
    assert doctor.check_python((3, 10, 4)).mend
    assert not doctor.check_python((3, 11, 0)).mend


def test_a_scratch_folder_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    assert "TMPDIR" in doctor.check_scratch().mend


@pytest.mark.parametrize(
    ("free", "said", "well"),
    [(4 << 20, "4 MiB", False), (63 << 20, "63 MiB", True), (9 << 30, "9 GiB", True)],
)
def test_scratch_as_small_as_an_images_is_enough(
    free: int, said: str, well: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=free))
    check = doctor.check_scratch()
    assert check.found.endswith(f", {said} free")
    assert ("larger disk" not in check.mend) is well
