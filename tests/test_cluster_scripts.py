"""cluster/submit.sh and renaltool.sbatch, with stand-ins for SLURM, Apptainer and the program."""

import os
import shlex
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

CLUSTER = Path(__file__).resolve().parents[1] / "cluster"
SCRIPTS = (CLUSTER / "submit.sh", CLUSTER / "renaltool.sbatch")
SLURM = {
    "scontrol": 'echo "scontrol $*" >>"$CALLS"; echo "MaxArraySize            = ${LONGEST-1001}"',
    "sbatch": 'for word; do printf "%s\\0" "$word"; done >>"$CALLS.$$"; cat >/dev/null; echo "77;there"',
}
PROGRAM = """#!/bin/bash
# list IN OUT: as many lines as IN has entries; run: until it is told to stop, or as a dry one
case " $* " in *" --dry-run "*)
  echo "would do a.svs"; printf "%s\\0" "$@" >>"$CALLS.dry"
  case " $* " in *" --min-scor "*) echo "Error: No such option: --min-scor" >&2; exit 2 ;; esac
  exit 0 ;;
esac
[ "$1" != run ] || { trap 'echo "stopped $*"; exit 143' TERM; echo "running $*"; sleep 60 & wait; }
[ "$1" != list ] || ls "$2" >"$3/slides.txt"
"""

pytestmark = pytest.mark.skipif(not shutil.which("bash"), reason="no bash")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with three slides in ``in``, a program, an image, and SLURM and Apptainer on the PATH."""
    stand_ins = {f"bin/{name}": f"#!/bin/bash\n{text}\n" for name, text in SLURM.items()}
    # an apptainer that passes no signal on, and runs whatever follows the image
    stand_ins["bin/apptainer"] = (
        f'#!/bin/bash\nwhile [ "${{1%.sif}}" = "$1" ]; do shift; done; shift\n"{tmp_path}/gloinone" "$@"\n'
    )
    for name, text in {**stand_ins, "gloinone": PROGRAM}.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
    (tmp_path / "in").mkdir()
    for name in ("a.svs", "b.svs", "c.svs"):
        (tmp_path / "in" / name).touch()
    (tmp_path / "renaltool.sif").touch()
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def submit(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(SCRIPTS[0]), *options], capture_output=True, text=True, check=False)


def array_of(*options: str) -> list[str]:
    """What sbatch would be given for the array."""
    done = submit("--dry-run", *options)
    assert done.returncode == 0, done.stderr
    return shlex.split(done.stdout.splitlines()[-1])


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="no shellcheck")
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_shellcheck_finds_nothing(script: Path) -> None:
    done = subprocess.run(["shellcheck", str(script)], capture_output=True, text=True, check=False)
    assert done.stdout == ""


def test_the_array_has_the_size_of_the_list(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def size(*options: str) -> tuple[str, str]:
        words = array_of("--program", "./gloinone", *options, "in", "out")
        return words[2], words[words.index(str(SCRIPTS[1])) + 1]

    assert size() == ("--array=0-0", "1")
    assert size("--slides-per-task", "2") == ("--array=0-1", "2")
    assert size("--slides-per-task", "1", "--tasks-at-once", "5") == ("--array=0-2%5", "3")
    monkeypatch.setenv("LONGEST", "2")
    assert size("--slides-per-task", "1") == ("--array=0-1", "2"), "no longer than the site allows"


def test_what_is_given_to_sbatch(place: Path) -> None:
    words = array_of(
        *("--gpu", "--partition=gpu --gres=gpu:1", "--sbatch", "--account=a b", "--cpus", "3", "--time", "5"),
        *("--bind", "in", "in", "odd % name", "--", "--mpp", "0.25"),
    )
    before = words[: words.index(str(SCRIPTS[1]))]
    assert {"--partition=gpu", "--gres=gpu:1", "--account=a b", "--cpus-per-task=3", "--time=5"} <= set(
        before
    )
    assert f"--output={place}/odd %% name/logs/shard-%a.txt" in before
    after = words[words.index(str(SCRIPTS[1])) + 2 :]
    assert "--nv" in after
    assert f"{place}/in:{place}/in:ro" in after
    assert f"{place}/odd % name:{place}/odd % name" in after
    assert after[-6:] == [
        f"{place}/renaltool.sif",
        "run",
        f"{place}/in",
        f"{place}/odd % name",
        "--mpp",
        "0.25",
    ]
    assert "--nv" not in array_of("in", "out")
    assert f"{place}/in:{place}/in" in array_of("in", "out", "--", "--xml-beside-slide"), (
        "may write beside slides"
    )


def test_the_merge_waits_for_the_array_however_that_ends(place: Path) -> None:
    done = submit("--program", "./gloinone", "in", "it's out")
    assert done.returncode == 0, done.stderr
    calls = [path.read_text().split("\0") for path in place.glob("calls.*")]
    (merge,) = [call for call in calls if any(word.startswith("--dependency") for word in call)]
    assert "--dependency=afterany:77" in merge
    assert "array 77, merge 77" in done.stdout


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["in"], "SLIDES and OUT"),
        (["none", "out"], "none: no such"),
        (["--slides-per-task", "0", "in", "out"], "--slides-per-task 0"),
        (["--mpp", "1", "in", "out"], "follow --"),
        (["--gpu"], "needs a value"),
        (["--sif", "none.sif", "in", "out"], "none.sif: no such image"),
        (["--program", "./none", "in", "out"], "./none: no such program"),
        (["in", "o:ut"], "comma or colon"),
    ],
)
def test_what_makes_no_sense(options: list[str], says: str, place: Path) -> None:
    done = submit(*options)
    assert done.returncode == 2
    assert says in done.stderr
    assert not list(place.glob("calls*"))


@pytest.mark.parametrize("how", [(), ("--dry-run",)], ids=["", "dry"])
def test_options_that_a_run_refuses_are_not_submitted(how: tuple[str, ...], place: Path) -> None:
    done = submit(*how, "--program", "./gloinone", "in", "out", "--", "--min-scor", "0.3")
    assert (done.returncode, done.stderr) == (2, "Error: No such option: --min-scor\n")
    assert "sbatch" not in done.stdout
    assert not [path for path in place.glob("calls.*") if path.name != "calls.dry"]


@pytest.mark.parametrize("program", [("--program", "./gloinone"), ()], ids=["program", "image"])
def test_options_are_tried_on_one_slide(program: tuple[str, ...], place: Path) -> None:
    (place / "in").rename(place / "the 'slides'")
    done = submit(*program, "the 'slides'", "odd out", "--", "--mpp-csv", "a b.csv")
    assert done.returncode == 0, done.stderr
    assert "would do" not in done.stdout
    tried = (place / "calls.dry").read_text().split("\0")[:-1]
    places = [f"{place}/the 'slides'", f"{place}/odd out"]
    assert tried == ["run", *places, "--mpp-csv", "a b.csv", "--shard", "0/3", "--dry-run"]


def task(place: Path, restarts: int, *command: str) -> "subprocess.Popen[str]":
    """Task 2 of array 7, of 5, at work."""
    environment = {
        **os.environ,
        "SLURM_ARRAY_JOB_ID": "7",
        "SLURM_ARRAY_TASK_ID": "2",
        "SLURM_JOB_ID": "7",
        "SLURM_RESTART_COUNT": str(restarts),
    }
    process = subprocess.Popen(
        ["bash", str(SCRIPTS[1]), "5", *command, "run", "in", "out"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert "task 7_2 on" in process.stdout.readline()
    assert process.stdout.readline() == "running run in out --shard 2/5\n"
    return process


def calls(place: Path) -> str:
    path = place / "calls"
    return path.read_text() if path.exists() else ""


@pytest.mark.parametrize(
    "command", [["./gloinone"], ["apptainer", "run", "--nv", "renaltool.sif"]], ids=" ".join
)
def test_when_time_is_up_the_program_ends_and_the_task_is_queued_again(
    command: list[str], place: Path
) -> None:
    process = task(place, 3, *command)
    process.send_signal(signal.SIGUSR1)
    said, _ = process.communicate(timeout=60)
    assert (
        said == "stopped run in out --shard 2/5\ntime is up; queued again\nMaxArraySize            = 1001\n"
    )
    assert calls(place) == "scontrol requeue 7_2\n"
    assert process.returncode == 143


def test_not_for_ever(place: Path) -> None:
    process = task(place, 20, "./gloinone")
    process.send_signal(signal.SIGUSR1)
    _, said = process.communicate(timeout=60)
    assert "longer --time" in said
    assert (process.returncode, calls(place)) == (1, "")


def test_a_task_that_is_cancelled_is_not_queued_again(place: Path) -> None:
    process = task(place, 0, "./gloinone")
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=60)
    assert said == "stopped run in out --shard 2/5\n"
    assert (process.returncode, calls(place)) == (143, "")


def test_what_a_clean_container_must_know(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "gloinone").write_text(
        '#!/bin/bash\nenv | grep -c "ENV_SLURM_CPUS_PER_TASK=3"; env | grep -c ENV_CUDA\nexit 1\n'
    )
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "3")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    done = subprocess.run(
        ["bash", str(SCRIPTS[1]), "5", "./gloinone"],
        env={**os.environ, "SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "2"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines()[1:] == ["2", "0"]
    assert done.returncode == 1, "the program's own"
