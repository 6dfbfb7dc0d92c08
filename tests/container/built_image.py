"""The built image, and how a test calls it."""

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

HARDENED = (
    "--read-only",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
    "--user=12345:12345",
    "--tmpfs=/tmp",
)
RUN_LIMIT_S = 1200


@dataclass(frozen=True)
class Image:
    """The image that is tested."""

    engine: tuple[str, ...]
    name: str

    def call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The engine itself."""
        return subprocess.run(
            [*self.engine, *arguments], capture_output=True, text=True, check=False, timeout=RUN_LIMIT_S
        )

    def run(self, *arguments: str, options: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
        """``docker run --rm --network none OPTIONS renaltool ARGUMENTS``."""
        return self.call("run", "--rm", "--network=none", *options, self.name, *arguments)

    def shell(self, script: str, *options: str) -> str:
        """What a shell in the image prints; it runs as root, beside the entrypoint."""
        done = self.run("-c", script, options=("--entrypoint=/bin/sh", "--user=0", *options))
        assert done.returncode == 0, done.stderr
        return done.stdout

    @property
    def config(self) -> dict[str, Any]:
        """The image's own settings: Env, Entrypoint, Labels ..."""
        settings: dict[str, Any] = json.loads(self.call("image", "inspect", self.name).stdout)[0]["Config"]
        return settings
