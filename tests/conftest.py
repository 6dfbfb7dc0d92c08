"""What every test may ask for, and which tests this machine cannot run."""

import os
import shutil
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy and torch: two test processes share two cores

ROOT = Path(__file__).resolve().parents[1]
SHARED_DATA = ROOT.parent / "shared" / "data"
ENGINES = ("docker", "podman", "buildah")


def _has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skips what needs a GPU, the shared slides or a container engine where there is none.

    Container tests run only when asked for by ``-m container``: they build an image.
    """
    refused: dict[str, str] = {}
    if not SHARED_DATA.is_dir():
        refused["shared"] = "no ../shared/data beside the repository"
    if any(item.get_closest_marker("gpu") for item in items) and not _has_cuda():
        refused["gpu"] = "no CUDA device"
    if "container" not in (config.option.markexpr or ""):
        refused["container"] = "container tests run with -m container only"
    elif not any(shutil.which(engine) for engine in ENGINES):
        refused["container"] = f"no container engine ({', '.join(ENGINES)})"
    for item in items:
        for marker, reason in refused.items():
            if item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The annotated slides beside the repository; mark the test ``shared`` too."""
    if not SHARED_DATA.is_dir():
        pytest.skip("no ../shared/data beside the repository")
    return SHARED_DATA
