"""The image that ``make image`` built, the engine that runs it, and slides to run it on.

$ENGINE is the engine with its options (docker, else podman), $IMAGE the image's name (renaltool).
"""

import os
import shlex
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from built_image import Image

from gloinone.drawn.config import SceneConfig
from gloinone.drawn.slide import Truth, draw_slide


@pytest.fixture(scope="session")
def image() -> Image:
    """Skips where there is no engine, or nothing was built."""
    engine = (
        shlex.split(os.environ.get("ENGINE", ""))
        or [name for name in ("docker", "podman") if shutil.which(name)][:1]
    )
    if not engine or not shutil.which(engine[0]):
        pytest.skip("no container engine; name one with $ENGINE")
    found = Image(tuple(engine), os.environ.get("IMAGE", "renaltool"))
    if found.call("image", "inspect", found.name).returncode:
        pytest.skip(f"no image {found.name}; make image")
    return found


@pytest.fixture(scope="session")
def slides(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small drawn slide; everyone may read it."""
    folder = tmp_path_factory.mktemp("slides")
    _small(folder / "a.svs", seed=3)
    return _open(folder)


@pytest.fixture(scope="session")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Truth:
    """What stands on the slide of ``slides``."""
    return _small(tmp_path_factory.mktemp("truth") / "a.svs", seed=3)


@pytest.fixture(scope="session")
def two_slides(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two, so that one can be done while the other is not."""
    folder = tmp_path_factory.mktemp("two")
    _small(folder / "a.svs", seed=3)
    _small(folder / "b.svs", seed=4)
    return _open(folder)


def _small(path: Path, seed: int) -> Truth:
    return draw_slide(
        path,
        SceneConfig(
            1800, 1300, normal=4, obsolescent=1, solidified=1, disappearing=0, decoys=2, mpp=1.0, seed=seed
        ),
    )


def _open(folder: Path) -> Path:
    """Make a temporary folder reachable for any user of a container."""
    for part in (folder, *folder.parents):
        if part == Path(tempfile.gettempdir()):
            break
        part.chmod(part.stat().st_mode | 0o055)
    return folder


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A folder for results, made as ``mkdir -p out`` does."""
    folder = tmp_path / "out"
    folder.mkdir(mode=0o755)
    return _open(folder)


@pytest.fixture
def volume(image: Image) -> Iterator[tuple[str, str]]:
    """Names of two fresh volumes."""
    names = f"slides-{uuid4().hex[:8]}", f"out-{uuid4().hex[:8]}"
    yield names
    image.call("volume", "rm", "--force", *names)
