"""What the built image holds, and what it leaves out."""

import json
import re

import pytest
from built_image import HARDENED, Image

pytestmark = pytest.mark.container

ABSENT = "gcc cc clang ld as ptxas nvcc make pip pip3 git curl wget"
PYTHON = "/opt/venv/bin/python"
SITE = "/opt/venv/lib/python3.11/site-packages"


def test_in_and_out_take_files_of_any_user(image: Image) -> None:
    assert image.shell("stat -c '%a %U %n' /in /out; ls -A /in /out").splitlines() == [
        "1777 root /in",
        "1777 root /out",
        "/in:",
        "",
        "/out:",
    ]


def test_no_compiler_no_pip_no_caches(image: Image) -> None:
    found = image.shell(
        f"for name in {ABSENT}; do command -v $name; done; find / -xdev \\( -name ptxas -o -name protoc \\);"
        f"find {SITE} -maxdepth 1 \\( -name 'pip*' -o -name 'setuptools*' -o -name 'triton*' \\);"
        "ls -A /tmp; find / -xdev -name .cache"
    )
    assert found == ""


def test_no_tests_no_test_data(image: Image) -> None:
    assert image.shell("find /opt -type d \\( -name tests -o -name test \\)") == ""


def test_only_what_the_program_needs_lies_beside_it(image: Image) -> None:
    assert image.shell("ls -A /opt/gloinone").split() == ["LICENSE", "README.md", "gloinone", "models"]


def test_bytecode_is_compiled(image: Image) -> None:
    """Every module of ours and of torch has some that Python takes: unchecked, or made from the very source."""
    script = (
        "import pathlib, sys, importlib.util as u\n"
        "def good(path):\n"
        "    cache, source = pathlib.Path(u.cache_from_source(str(path))), path.stat()\n"
        "    head = cache.read_bytes()[:16] if cache.exists() else bytes(16)\n"
        "    flags, mtime, size = (int.from_bytes(head[i:i + 4], 'little') for i in (4, 8, 12))\n"
        "    fresh = (mtime, size) == (int(source.st_mtime), source.st_size)\n"
        "    return head[:4] == u.MAGIC_NUMBER and (flags == 1 or fresh)\n"
        "found = [good(path) for folder in sys.argv[1:] for path in pathlib.Path(folder).rglob('*.py')]\n"
        "print(len(found) > 1000, all(found))\n"
    )
    done = image.run("-c", script, "/opt/gloinone", f"{SITE}/torch", options=(f"--entrypoint={PYTHON}",))
    assert done.stdout.strip() == "True True", done.stderr


def test_everyone_may_read_it(image: Image) -> None:
    assert image.shell("find /opt /usr/local/bin ! -perm -a=r -o -type d ! -perm -a=x") == ""


def test_a_change_of_the_code_makes_small_layers_alone(image: Image) -> None:
    """The libraries are the base of what comes after, and not a copy that some builders read anew each time."""
    done = image.call("history", "--no-trunc", "--format={{.Size}}|{{.CreatedBy}}", image.name)
    layers = [line.split("|", 1) for line in done.stdout.splitlines()]  # the youngest first
    libraries = next(place for place, (_, made_by) in enumerate(layers) if "pip install" in made_by)
    assert _bytes(layers[libraries][0]) > 1e9
    assert sum(_bytes(size) for size, _ in layers[:libraries]) < 300e6


def _bytes(size: str) -> float:
    """7.1GB of docker, 7.1 GB of podman."""
    number, unit = re.fullmatch(r"([\d.]+) ?([kMG]?)B", size).groups()
    return float(number) * {"": 1, "k": 1e3, "M": 1e6, "G": 1e9}[unit]


def test_its_settings(image: Image) -> None:
    config = image.config
    environment = dict(pair.split("=", 1) for pair in config["Env"])
    assert config["Entrypoint"][-1] == "/usr/local/bin/renaltool"
    assert not config.get("Cmd")
    assert not config.get("User")
    assert not config.get("ExposedPorts")
    assert config.get("Healthcheck", {"Test": ["NONE"]})["Test"] == ["NONE"]
    assert environment["HOME"] == "/tmp"
    assert all(
        environment[name].startswith("/tmp/") for name in ("XDG_CACHE_HOME", "MPLCONFIGDIR", "TORCH_HOME")
    )
    assert {
        f"org.opencontainers.image.{name}" for name in ("title", "description", "licenses", "revision")
    } <= set(config["Labels"])
    assert config["Labels"]["org.opencontainers.image.revision"] == environment["GLOINONE_COMMIT"]


def test_the_doctor_finds_it_well(image: Image) -> None:
    done = image.run("doctor", "--device", "cpu", options=HARDENED)
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("hash right") == 3
    assert "FAIL" not in done.stdout


def test_the_bill_of_materials_is_what_is_installed(image: Image) -> None:
    python = json.loads(image.shell("cat /usr/share/doc/renaltool/python.cdx.json"))
    debian = json.loads(image.shell("cat /usr/share/doc/renaltool/debian.cdx.json"))
    assert python["bomFormat"] == debian["bomFormat"] == "CycloneDX"
    listed = {f"{part['name']}=={part['version']}" for part in python["components"]}
    script = (
        "from importlib.metadata import distributions as d\nprint(*{f'{x.name}=={x.version}' for x in d()})"
    )
    installed = image.run("-c", script, options=(f"--entrypoint={PYTHON}",)).stdout.split()
    assert "torch==2.10.0" in listed
    assert listed == set(installed)
    packages = image.shell("dpkg-query -W -f '${Package}=${Version}\\n'").split()
    assert {f"{part['name']}={part['version']}" for part in debian["components"]} == set(packages)


def test_the_licences_of_what_is_inside(image: Image) -> None:
    text = image.shell("cat /usr/share/doc/renaltool/LICENSES.txt")
    for words in (
        "torch",
        "NVIDIA",
        "openslide",
        "python3.11",
        "detector",
        "research use only",
        "Apache License",
    ):
        assert words in text
