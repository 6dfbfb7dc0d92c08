"""What of a slide could not be read: its share, and what a reader of the results should know."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gloinone.annotations.imagescope_write import frame_note
from gloinone.records import Overview, SlideInfo

Core = tuple[float, float, float, float]


def read_share(overview: Overview, unread: Sequence[Core]) -> float:
    """Share of the tissue's area outside the unread rectangles (level-0 px), 0..1; 1 without tissue.

    Where the overview itself could not be read nobody knows what is tissue: that counts as unread too.
    """
    total = int(np.count_nonzero(overview.tissue))
    damaged = overview.unread is not None and bool(overview.unread.any())
    if not total or not (unread or damaged):
        return 1.0
    seen = overview.tissue.copy() if overview.unread is None else overview.tissue & ~overview.unread
    for x0, y0, x1, y1 in unread:
        # the borders of a whole core are those of the overview's pixels, but for rounding to level-0 px
        corners = overview.window.image_from_l0(np.array([[x0, y0], [x1, y1]]))
        (left, top), (right, bottom) = np.maximum(np.rint(corners), 0).astype(int)
        seen[top:bottom, left:right] = False
    # an unread stretch without tissue still leaves the slide partial: something was not looked at
    return min(int(np.count_nonzero(seen)) / total, 1 - 1e-6)


def box_of(circle: NDArray[np.float64]) -> Core:
    cx, cy, radius = (float(v) for v in circle[:3])
    return cx - radius, cy - radius, cx + radius, cy + radius


def notes_of(
    info: SlideInfo, overview: Overview, unread: Sequence[Core], lost: Sequence[NDArray[np.float64]]
) -> tuple[str, ...]:
    """What a reader of the results should know, a sentence each."""
    notes = []
    if (frame := frame_note(info)) is not None:
        notes.append(frame)
    if overview.unread is not None and overview.unread.any():
        notes.append(
            f"{float(overview.unread.mean()):.2%} of the overview could not be read and count as tissue: "
            "the area of tissue is at most what is stated"
        )
    if unread:
        places = "; ".join(f"x {x0:.0f} to {x1:.0f}, y {y0:.0f} to {y1:.0f}" for x0, y0, x1, y1 in unread[:5])
        more = f" and {len(unread) - 5} more" if len(unread) > 5 else ""
        notes.append(f"{len(unread)} places could not be read (level-0 px: {places}{more})")
    if lost:
        notes.append(
            f"{len(lost)} circles were found whose surroundings could not be read again; they are left out"
        )
    return tuple(notes)
