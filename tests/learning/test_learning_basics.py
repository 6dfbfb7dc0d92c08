"""Device, batches, moving average, checkpoints, log and augmentation."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from gloinone.errors import UsageError, WeightsError
from gloinone.learning import device as devices
from gloinone.learning.augment import ColourConfig, augment_colour, jitter_stain, recompress, restain
from gloinone.learning.backbones import Normalise, ResNetFeatures
from gloinone.learning.batches import answers_of, fixed_batches, stack_padded
from gloinone.learning.checkpoint import load_checkpoint, save_checkpoint
from gloinone.learning.ema import WeightAverage
from gloinone.learning.journal import Journal, read_journal
from gloinone.weights.starting import fill_backbone, filled


def test_devices_that_are_not_there(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert devices.pick_device("auto").type == "cpu"
    with pytest.raises(UsageError, match="--gpus all"):
        devices.pick_device("cuda")
    with pytest.raises(UsageError, match="not a device"):
        devices.pick_device("gpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(UsageError, match="1 GPU"):
        devices.pick_device("cuda:3")
    assert devices.pick_device("cuda:0") == torch.device("cuda", 0)


def test_torch_and_opencv_get_the_cores_that_are_ours(monkeypatch: pytest.MonkeyPatch):
    before = torch.get_num_threads(), cv2.getNumThreads()
    monkeypatch.setattr(devices, "available_cores", lambda: 3)
    try:
        assert devices.use_available_threads() == 3
        assert (torch.get_num_threads(), cv2.getNumThreads()) == (3, 3)
        assert devices.use_available_threads(1) == 1
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])


@pytest.mark.parametrize(
    ("vendor", "flags", "expected"),
    [
        ("GenuineIntel", "fpu avx512f", torch.float32),
        ("AuthenticAMD", "fpu avx512_bf16", torch.bfloat16),
        ("GenuineIntel", "fpu avx512_bf16", torch.bfloat16),
        ("GenuineIntel", "fpu avx512_bf16 avx512_fp16 amx_bf16", torch.bfloat16),
        ("GenuineIntel", "fpu avx512_bf16 avx512_fp16", torch.float32),
        ("AuthenticAMD", "fpu avx512_bf16 avx512_fp16", torch.bfloat16),
    ],
)
def test_bf16_only_where_the_processor_is_faster_with_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, vendor: str, flags: str, expected: torch.dtype
):
    info = tmp_path / "cpuinfo"
    monkeypatch.setattr(devices, "_CPU_INFO", info)
    monkeypatch.setattr(devices.platform, "machine", lambda: "x86_64")
    info.write_text(f"processor\t: 0\nvendor_id\t: {vendor}\nflags\t\t: {flags}\n\nprocessor\t: 1\n")
    assert devices.precision_of(torch.device("cpu")) == expected


@pytest.mark.parametrize("room", [5, 4, 3, 1])
def test_a_batch_that_does_not_fit_goes_in_halves_and_nothing_is_lost(room: int):
    sizes = []

    def predict(items: list[int], size: int) -> np.ndarray:
        assert len(items) <= size
        sizes.append(size)
        if size > room:
            raise torch.OutOfMemoryError("no room on the device")
        return np.array(items) * 10.0

    assert answers_of(predict, [1, 2, 3, 4, 5], 8).tolist() == [10, 20, 30, 40, 50]
    assert max(sizes) == 8
    assert min(sizes) == {5: 4, 4: 4, 3: 2, 1: 1}[room]
    with pytest.raises(torch.OutOfMemoryError, match="no room"):
        answers_of(_never, [1, 2], 2)


def _never(items: list[int], size: int) -> np.ndarray:
    raise torch.OutOfMemoryError("no room on the device")


@pytest.mark.parametrize("name", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_pictures_reach_the_device_channels_last(name: str):
    images = np.arange(2 * 3 * 4 * 5, dtype=np.uint8).reshape(2, 3, 4, 5)
    there = devices.to_device(images, torch.device(name))
    assert there.device.type == name
    assert there.is_contiguous(memory_format=torch.channels_last)
    assert np.array_equal(there.cpu().numpy(), images)


def test_freed_memory_is_kept_where_the_library_can():
    devices.keep_freed_memory()
    devices.keep_freed_memory()


def test_batches():
    assert list(fixed_batches([], 3)) == []
    assert list(fixed_batches(range(7), 3)) == [[0, 1, 2], [3, 4, 5], [6]]
    with pytest.raises(ValueError, match="at least one"):
        list(fixed_batches([1], 0))
    image = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    batch = stack_padded([image], 2)
    assert batch.shape == (2, 3, 2, 3)
    assert np.array_equal(batch[0].transpose(1, 2, 0), image)
    assert not batch[1].any()
    with pytest.raises(ValueError, match="do not fit"):
        stack_padded([image] * 3, 2)


def test_average_forgets_its_start_and_follows():
    network = nn.Linear(1, 1)
    nn.init.zeros_(network.weight)
    average = WeightAverage(network, 0.9)
    nn.init.ones_(network.weight)
    expected = 0.0
    for step in range(1, 30):
        average.update(network)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = expected * decay + (1 - decay)
    assert float(average.network.weight.detach()) == pytest.approx(expected, rel=1e-5)
    assert expected > 0.9
    again = WeightAverage(network, 0.9)
    again.load_state_dict(average.state_dict())
    assert again.steps == 29
    assert torch.equal(again.network.weight, average.network.weight)


def test_checkpoints_come_back_and_damage_is_named(tmp_path: Path):
    path = tmp_path / "deep" / "state.pt"
    assert load_checkpoint(path) is None
    save_checkpoint(path, {"step": 3, "w": torch.ones(2)})
    assert load_checkpoint(path)["step"] == 3  # type: ignore[index]
    assert [p.name for p in path.parent.iterdir()] == ["state.pt"]
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(WeightsError, match="damaged training state"):
        load_checkpoint(path)


def test_a_checkpoint_cannot_run_code(tmp_path: Path):
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str, ...]]:
            return (Path.touch, (tmp_path / "ran",))  # type: ignore[return-value]

    path = tmp_path / "evil.pt"
    torch.save({"step": Evil()}, path)
    with pytest.raises(WeightsError):
        load_checkpoint(path)
    assert not (tmp_path / "ran").exists()


def test_journal_drops_what_comes_after_the_resumed_step(tmp_path: Path):
    path = tmp_path / "log.csv"
    first = Journal(path, ("loss", "ap"), 0)
    for step in (1, 2, 3):
        first.add(step, {"loss": step / 10})
    Journal(path, ("loss", "ap"), 2).add(3, {"loss": 0.5, "ap": 1.0})
    rows = read_journal(path)
    assert [(r["step"], r["loss"], r["ap"]) for r in rows] == [
        ("1", "0.1", ""),
        ("2", "0.2", ""),
        ("3", "0.5", "1"),
    ]


def test_starting_weights_must_be_of_the_backbone(tmp_path: Path):
    from safetensors.torch import save_file

    backbone = ResNetFeatures("resnet18")
    state = {
        k: torch.full_like(v, 0.5).half() for k, v in backbone.state_dict().items() if v.is_floating_point()
    }
    good = tmp_path / "good.safetensors"
    save_file(state | {"fc.weight": torch.zeros(10, 512)}, good)
    fill_backbone(backbone, good)
    assert torch.all(backbone.conv1.weight == 0.5)
    shorter = ResNetFeatures("resnet18", stages=3)
    fill_backbone(shorter, good)
    assert torch.all(shorter.conv1.weight == 0.5)
    assert [tuple(f.shape[1:]) for f in shorter(torch.zeros(1, 3, 64, 64))] == [
        (64, 16, 16),
        (128, 8, 8),
        (256, 4, 4),
    ]
    bad = tmp_path / "bad.safetensors"
    save_file({k: v for k, v in state.items() if k != "conv1.weight"}, bad)
    with pytest.raises(WeightsError, match=r"1 missing \(conv1.weight\)"):
        fill_backbone(backbone, bad)
    with pytest.raises(WeightsError, match="no such file"):
        fill_backbone(backbone, tmp_path / "none.safetensors")
    (tmp_path / "text.safetensors").write_text("no weights")
    with pytest.raises(WeightsError, match="not a readable"):
        fill_backbone(backbone, tmp_path / "text.safetensors")
    with pytest.raises(UsageError, match="unknown backbone"):
        ResNetFeatures("vgg")


@pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnet50"])
def test_a_backbone_is_torchvision_s_resnet(name: str):
    """The same names in the same order, on which the state of an optimizer depends, and the same numbers."""
    from torchvision import models
    from torchvision.models.feature_extraction import create_feature_extractor

    theirs, ours = getattr(models, name)(weights=None).eval(), ResNetFeatures(name).eval()
    state = {key: value for key, value in theirs.state_dict().items() if not key.startswith("fc.")}
    assert list(ours.state_dict()) == list(state)
    drawn = ours.state_dict()["layer3.1.conv2.weight"].std() / state["layer3.1.conv2.weight"].std()
    assert abs(float(drawn) - 1) < 0.02  # those that are not trained, too
    ours.load_state_dict(state)
    stages = create_feature_extractor(theirs, [f"layer{n}" for n in (1, 2, 3, 4)])
    x = torch.randn(1, 3, 64, 96)
    with torch.inference_mode():
        for own, other in zip(ours(x), stages(x).values(), strict=True):
            assert torch.equal(own, other)


def test_weights_are_not_drawn_where_they_are_given():
    given = {
        key: torch.full_like(value, 0.5) for key, value in ResNetFeatures("resnet18").state_dict().items()
    }
    before = torch.get_rng_state()
    network = filled(lambda: ResNetFeatures("resnet18"), given, "here")
    assert torch.equal(torch.get_rng_state(), before)
    for key, value in network.state_dict().items():
        assert torch.equal(value, given[key]), key
    with pytest.raises(WeightsError, match="here: weights of another network"):
        filled(lambda: ResNetFeatures("resnet34"), given, "here")
    ResNetFeatures("resnet18")
    assert not torch.equal(torch.get_rng_state(), before)


def test_normalisation_is_part_of_the_network():
    out = Normalise((10, 20, 30), (1, 2, 3))(torch.tensor([[[[11]], [[24]], [[36]]]], dtype=torch.uint8))
    assert out.flatten().tolist() == [1, 2, 2]


def test_augmentation_keeps_shape_and_repeats_by_seed():
    picture = np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8)
    always = ColourConfig(1, 0.25, 1, 0.5, 1, 1, 1, 1)
    first = augment_colour(picture, np.random.default_rng(7), always)
    assert first.shape == picture.shape
    assert first.dtype == np.uint8
    assert np.array_equal(first, augment_colour(picture, np.random.default_rng(7), always))
    assert np.array_equal(
        augment_colour(picture, np.random.default_rng(1), ColourConfig(0, 0, 0, 0, 0, 0, 0, 0)), picture
    )


def test_stain_jitter_keeps_white_nearly_white_and_order_of_darkness():
    ramp = np.repeat(np.linspace(20, 255, 64).astype(np.uint8)[None, :, None], 3, axis=2).repeat(4, 0)
    for seed in range(10):
        rng = np.random.default_rng(seed)
        for changed in (jitter_stain(ramp, rng, 0.25), restain(ramp, rng)):
            assert changed[:, -1].min() >= 235
            assert (np.diff(changed[0].astype(int), axis=0) >= -1).all()


def test_recompression_loses_little():
    smooth = np.full((32, 32, 3), (200, 120, 160), np.uint8)
    assert np.abs(recompress(smooth, 60).astype(int) - smooth).max() <= 4
