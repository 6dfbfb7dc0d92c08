"""A run that ends when it has read its first tile: what `benchmarks.speed` times as the start-up.

    python -m benchmarks.first_tile SLIDE

Everything is done that `gloinone run` does until then; nothing is kept.
"""

import argparse
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from gloinone.pipeline.progress import Silent
from gloinone.pipeline.run_folder import run_folder
from gloinone.pipeline.stages import Networks, StagesConfig
from gloinone.pipeline.tasks import RunConfig


class FirstTileRead(BaseException):
    """It is enough."""


class UntilFirstTile(Silent):
    """Ends the run."""

    def tiles(self, done: int, total: int) -> None:
        """Of the first slide, which comes first."""
        raise FirstTileRead


def add_slide_options(parser: argparse.ArgumentParser) -> None:
    """What says which slide, which weights and where."""
    parser.add_argument("slide", type=Path)
    parser.add_argument("--device", default="auto", help="as of gloinone run")
    parser.add_argument("--mpp", type=float, help="microns per pixel, if the file does not say it")
    parser.add_argument("--mpp-csv", type=Path, help="table with columns slide and mpp")
    parser.add_argument(
        "--models", type=Path, action="append", default=[], help="look for weights here first"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run until then."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_slide_options(parser)
    given = parser.parse_args(arguments)
    networks = Networks(StagesConfig(device=given.device, models=tuple(given.models)))
    with TemporaryDirectory() as out, suppress(FirstTileRead):
        config = RunConfig(given.slide, Path(out) / "out", mpp=given.mpp, mpp_csv=given.mpp_csv)
        run_folder(config, networks, UntilFirstTile())
        raise SystemExit(f"{given.slide}: no tile was read")


if __name__ == "__main__":
    main()
