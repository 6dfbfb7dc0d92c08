"""Nothing of the hospital that is left out reaches a training; a second call goes on where the first was stopped."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks import left_out

PICTURES = {
    "hubmap-wsi": ("pas-a.tif", "pas-b.tif"),
    "biopsies-he": ("biopsy-000.jpg", "biopsy-008.jpg"),
    "regions-he": ("h1-s1-r1.jpg", "h1-s4-r1.jpg", "h2-s5-r1.jpg"),
    "fields": ("p00-pasm-r1.jpg", "p20-masson-r1.jpg"),
    "aidpath-tiles/images": ("SAS_1.png",),
    "stain-references": ("01_he.png", "03_jones.png"),
}
WITH_TABLE = ("biopsies-he", "regions-he", "fields")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Names as in the real folder, nothing in the files."""
    data = tmp_path / "data"
    (data / "aidpath-tiles" / "masks").mkdir(parents=True)
    for folder, names in PICTURES.items():
        (data / folder).mkdir(parents=True)
        for name in names:
            (data / folder / name).touch()
            (data / folder / name).with_suffix(".geojson").touch()
        if folder in WITH_TABLE:
            rows = "".join(f"{name},1.5,{name[:5]},9\n" for name in names)
            (data / folder / "slides.csv").write_text("slide,mpp,patient,width_px\n" + rows, encoding="utf-8")
    return data


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[Sequence[str]]:
    """What would have been run, without the interpreter; models and drawn slides are there afterwards."""
    seen: list[Sequence[str]] = []

    def run(command: Sequence[str], check: bool) -> None:
        assert check, "a failed command stops the chain"
        seen.append(command[3:])
        if "train" in command:
            model = Path(command[command.index("--out") + 1])
            model.mkdir(parents=True)
            (model / "card.json").touch()
        if "benchmarks.draw_training_slides" in command:
            for name in ("drawn-00.tif", "drawn-01.tif", "drawn-01.truth.geojson"):
                Path(command[-1]).mkdir(exist_ok=True)
                (Path(command[-1]) / name).touch()

    monkeypatch.setattr(subprocess, "run", run)
    return seen


def _call(monkeypatch: pytest.MonkeyPatch, source: str, data: Path, out: Path) -> None:
    given = ["left_out", source, str(data), "--init", "resnet34.safetensors", "--out", str(out)]
    monkeypatch.setattr("sys.argv", given)
    left_out.main()


@pytest.mark.parametrize("source", left_out.HOSPITALS)
def test_no_training_sees_the_hospital(
    source: str, data: Path, tmp_path: Path, commands: list[Sequence[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    _call(monkeypatch, source, data, out)
    scored = str(out / "sources" / source)
    *before, last_run, evaluation = commands
    assert all(scored not in command and f"{scored}.csv" not in command for command in before)
    names = {path.name for path in (out / "sources" / source).iterdir()}
    validation = {path.name for path in (out / "sources" / "validation").iterdir()}
    assert validation
    assert not validation & names
    assert last_run[:3] == ["run", scored, str(out / "results")]
    assert evaluation[:3] == ["evaluate", "run", str(out / "results")]
    trainings = [command for command in before if command[0] == "train"]
    assert [command[1] for command in trainings] == ["detector", "classifier"]
    for training in trainings:
        learned = {Path(training[i + 1]).name for i, word in enumerate(training) if word == "--slides"}
        assert learned == {*left_out.SOURCES, left_out.DRAWN} - {source}
        assert (
            training[training.index("--init") + 1]
            == {
                "detector": "resnet34.safetensors",
                "classifier": str(out / "detector"),
            }[training[1]]
        )
        chosen = {training[i + 1] for i, word in enumerate(training) if word == "--val"}
        slides = [path.name for path in (out / "sources" / source).iterdir()]
        assert chosen
        assert not [name for name in chosen for slide in slides if slide.startswith(name)]
        stains = [path.name for path in Path(training[training.index("--stains") + 1]).iterdir()]
        assert ("03_jones.png" in stains) == (source != "fields")


def test_false_circles_are_given_in_the_order_of_the_folders(
    data: Path, tmp_path: Path, commands: list[Sequence[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    _call(monkeypatch, "h1", data, tmp_path / "out")
    (training,) = [command for command in commands if command[:2] == ["train", "classifier"]]
    slides = [Path(training[i + 1]).name for i, word in enumerate(training) if word == "--slides"]
    false = [Path(training[i + 1]).name for i, word in enumerate(training) if word == "--false-circles"]
    assert false == [*slides[:-1], "-"], "none of the drawn slides, which have decoys"
    assert slides[-1] == left_out.DRAWN


def test_hospitals_of_one_folder_are_parted_with_their_tables(
    data: Path, tmp_path: Path, commands: list[Sequence[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    _call(monkeypatch, "h2", data, tmp_path / "out")
    sources = tmp_path / "out" / "sources"
    assert sorted(path.name for path in (sources / "h1").iterdir()) == ["h1-s1-r1.jpg", "h1-s4-r1.jpg"]
    table = (sources / "h1.csv").read_text(encoding="utf-8")
    assert table == "slide,mpp,patient\nh1-s1-r1.jpg,1.5,h1-s1\nh1-s4-r1.jpg,1.5,h1-s4\n"
    assert not (sources / "hubmap.csv").exists(), "these slides say it themselves"
    assert {path.name for path in (sources / "drawn").iterdir()} == {"drawn-01.tif", "drawn-01.truth.geojson"}


def test_both_choose_the_threshold_on_the_validation_slides(
    data: Path, tmp_path: Path, commands: list[Sequence[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    _call(monkeypatch, "fields", data, out)
    *_, run, choice, last_run, _ = commands
    sources = out / "sources"
    assert run[:3] == ["run", str(sources / "validation"), str(out / "chosen")]
    classifier = ["--classifier", str(out / "classifier")]
    assert run[-4:] == ["--detector", str(out / "detector"), *classifier]
    assert choice[-4:] == last_run[-4:] == ["--detector", str(out / "suited"), *classifier]
    assert (out / "suited" / "card.json").is_file(), (
        "a copy, so that the runs before it stay those of one detector"
    )
    table = (sources / "validation.csv").read_text(encoding="utf-8").splitlines()
    assert [row.split(",")[0] for row in table[1:]] == ["biopsy-008.jpg", "h1-s4-r1.jpg", "h2-s5-r1.jpg"]
    truth = sorted(path.name for path in (sources / "validation-truth").iterdir())
    assert truth == ["biopsy-008.geojson", "h1-s4-r1.geojson", "h2-s5-r1.geojson"]


def test_what_is_trained_is_not_trained_again(
    data: Path, tmp_path: Path, commands: list[Sequence[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    _call(monkeypatch, "hubmap", data, tmp_path / "out")
    first = len(commands)
    _call(monkeypatch, "hubmap", data, tmp_path / "out")
    again = [command[0] for command in commands[first:]]
    assert "train" not in again
    assert again.count("run") == len(left_out.SOURCES) + 1, "runs resume by themselves"
