"""Turned and mirrored views of a tile, and circles found in a view brought back to the tile."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class View:
    """Quarter turns counter-clockwise, then mirrored left to right or not."""

    turns: int = 0
    mirrored: bool = False

    def of(self, tiles: "Tensor") -> "Tensor":
        """(B, C, H, W) -> the same seen in this way; H and W change places after an odd number of turns."""
        seen = tiles.rot90(self.turns, (2, 3))
        return seen.flip(3) if self.mirrored else seen

    def back(self, circles: NDArray[np.float64], height: int, width: int) -> NDArray[np.float64]:
        """(..., 4) circles in view px -> tile px; ``height`` and ``width`` are the tile's.

        >>> View(1).back(np.array([[5.0, 10.0, 3.0, 0.9]]), 40, 60).tolist()
        [[50.0, 5.0, 3.0, 0.9]]
        """
        placed = circles.copy()
        x, y = circles[..., 0], circles[..., 1]
        if self.mirrored:
            x = (height if self.turns % 2 else width) - x
        for turn in range(self.turns, 0, -1):
            # one turn brings the right border up: what was its width is now its height
            x, y = (width if turn % 2 else height) - y, x
        placed[..., 0], placed[..., 1] = x, y
        return placed


AS_IT_IS = View()
TTA_VIEWS = (AS_IT_IS, View(2), View(1, True), View(3, True))
"""Of test-time augmentation: as it is, upside down, and mirrored along both diagonals; half of the eight there are."""
