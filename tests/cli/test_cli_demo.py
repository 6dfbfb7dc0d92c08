"""The demo judges the job by what was drawn: a perfect job passes, a blind one does not."""

import functools
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from gloinone.annotations.region import Region
from gloinone.annotations.truth import read_truth
from gloinone.cli.main import program
from gloinone.drawn import config as drawn_config
from gloinone.drawn.config import SceneConfig
from gloinone.evaluation import planted
from gloinone.geometry import circle_ring
from gloinone.labels import CLASSES, NORMAL, ClassRule
from gloinone.pipeline import batch, stages
from gloinone.pipeline.run_slide import Begun, Stages
from gloinone.records import Crop, Detection, Outline, Overview
from gloinone.slide.reader import Slide

SMALL = functools.partial(
    SceneConfig,
    width_um=1200,
    height_um=900,
    normal=2,
    obsolescent=1,
    solidified=0,
    disappearing=0,
    decoys=1,
    mpp=1.0,
)


class Found:
    """What a detector says."""

    def __init__(self, circles: np.ndarray) -> None:
        self.circles = circles
        self.unread = ()


class Oracle:
    """A method that knows the truth, or shuts its eyes."""

    models: Mapping[str, str] = dict.fromkeys(("detector", "classifier", "segmenter"), "oracle@000000000000")
    settings: Mapping[str, str] = {}
    cards: Mapping[str, Mapping[str, object]] = {}
    device = "none"

    def __init__(self, eyes_open: bool, config: object) -> None:
        self.eyes_open = eyes_open
        self.truth: Sequence[Region] = ()

    def load(self) -> Callable[[Slide], Begun]:
        return self._begin

    def _begin(self, slide: Slide) -> Begun:
        self.truth = read_truth(slide.path.with_name("demo.truth.geojson")).glomeruli
        oracle = Stages(self._read, self._detect, self._classify, self._segment, ClassRule(), "detector", 0.5)
        return Begun(slide, oracle)

    def _read(self, slide: Slide, overview: Overview) -> io.BytesIO:
        return io.BytesIO()  # nothing but something to close

    def _detect(self, tiles: object, on_tile: Callable[[int, int], None]) -> Found:
        circles = [(*planted.ring_circle(region.ring), 0.9) for region in self.truth]
        return Found(np.array(circles if self.eyes_open else [], np.float64).reshape(-1, 4))

    def _classify(self, crops: Sequence[Crop]) -> np.ndarray:
        rows = np.zeros((len(crops), len(CLASSES)))
        for row, crop in zip(rows, crops, strict=True):
            middle = np.array([crop.window.x + crop.window.width / 2, crop.window.y + crop.window.height / 2])
            nearest = min(
                self.truth, key=lambda region: float(np.abs(region.ring.mean(axis=0) - middle).sum())
            )
            row[CLASSES.index(nearest.label)] = 1
        return rows

    def _segment(
        self, crops: Sequence[Crop], detections: Sequence[Detection], size: tuple[int, int]
    ) -> list[Outline]:
        return [
            Outline(circle_ring(d.cx, d.cy, d.radius), "circle", False, np.zeros((256, 256), bool), c.window)
            for c, d in zip(crops, detections, strict=True)
        ]


def _demo(out: Path, monkeypatch: pytest.MonkeyPatch, eyes_open: bool = True) -> Result:
    monkeypatch.setattr(drawn_config, "SceneConfig", SMALL)
    monkeypatch.setattr(stages, "Networks", functools.partial(Oracle, eyes_open))
    return CliRunner().invoke(program, ["demo", str(out)])


def test_a_perfect_job_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = _demo(tmp_path / "out", monkeypatch)
    assert result.exit_code == 0, result.output
    assert "found where nothing was planted: 0" in result.stdout
    assert "rightly called normal or sclerosed: 100%; with its kind: 100%" in result.stdout
    normal = next(line for line in result.stdout.splitlines() if line.startswith(NORMAL))
    assert normal.split() == ["normal", "2", "2", "0", "2", "normal"]
    report = tmp_path / "out" / "results" / "report.html"
    assert f"report: {report}" in result.stdout
    assert report.is_file()
    assert (tmp_path / "out" / "drawn" / "demo.svs").is_file()


def test_a_blind_job_fails_the_check_and_may_be_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = _demo(tmp_path / "out", monkeypatch, eyes_open=False)
    assert result.exit_code == 1
    assert "the check failed: 0% of the planted glomeruli were found" in result.stderr
    assert "report: " in result.stdout
    assert _demo(tmp_path / "out", monkeypatch).exit_code == 0


def test_a_job_that_fails_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "finish_slide", _fail)
    result = _demo(tmp_path / "out", monkeypatch)
    assert result.exit_code == 1
    assert "log.txt" in result.stderr


def _fail(*_: object) -> None:
    raise RuntimeError("broken")


def test_a_place_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "drawn").write_text("a file")
    result = _demo(tmp_path / "out", monkeypatch)
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")


def test_missing_weights_are_said_before_anything_is_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gloinone.weights import store

    monkeypatch.setattr(stages, "model_dirs", lambda _: (tmp_path,))
    assert store.list_models([tmp_path]) == []
    result = CliRunner().invoke(program, ["demo", str(tmp_path / "out")])
    assert result.exit_code == 2
    assert "there is no detector at all" in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_the_weights_that_ship_pass_the_demo(tmp_path: Path) -> None:
    result = CliRunner().invoke(program, ["demo", str(tmp_path / "out"), "--device", "cpu"])
    assert result.exit_code == 0, result.output
