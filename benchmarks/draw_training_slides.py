"""The drawn slides that a training adds to the real ones: ten, of all stains and layouts, with truth beside them.

Example: python -m benchmarks.draw_training_slides drawn/
"""

import argparse
from pathlib import Path

from gloinone.drawn.config import SceneConfig
from gloinone.drawn.layout import Layout
from gloinone.drawn.slide import draw_slide
from gloinone.drawn.stains import Stain

STAINS: tuple[Stain, ...] = ("pas", "he", "silver", "trichrome")
LAYOUTS: tuple[Layout, ...] = ("section", "core", "section", "full")
COUNT = 10
FIRST_SEED = 1000
"""Far from those of the demo and the tests, so that neither is trained on."""


def config(number: int) -> SceneConfig:
    """The number-th slide; scarring grows with the number."""
    last_two = number >= 8
    return SceneConfig(
        width_um=5000,
        height_um=3500,
        stain=STAINS[number % 2 if last_two else number % 4],
        layout="section" if last_two else LAYOUTS[number // 2],
        normal=14,
        obsolescent=5,
        solidified=5,
        disappearing=5,
        decoys=16,
        seed=FIRST_SEED + number,
        mpp=1.0,
        scarring=0.1 + 0.06 * number,
    )


def main() -> None:
    """Draw them into the folder named on the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(COUNT):
        truth = draw_slide(folder / f"drawn-{number:02d}.tif", config(number))
        print(f"{truth.path.name}: {len(truth.glomeruli)} glomeruli, {len(truth.decoys)} decoys")


if __name__ == "__main__":
    main()
