"""Several detectors on one slide, each at its own resolution, and what they agree on."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gloinone.detection.fuse import Scored
from gloinone.detection.predict import Core, Detector, SlideTiles
from gloinone.detection.voting import VoteConfig, Voted, common_threshold, rescaled, vote
from gloinone.records import Overview
from gloinone.slide.sampling import Slide

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Agreed:
    """Circles of one slide and what of it was not seen."""

    circles: Voted
    """Level-0 px; scores on the scale of the common threshold."""
    unread: tuple[Core, ...]
    """Level-0 rectangles that some detector could not read."""


@dataclass(frozen=True)
class Reading:
    """A slide whose tiles for the first detector are being read; those for the others come when it has done."""

    slide: Slide
    overview: Overview
    first: SlideTiles

    def close(self) -> None:
        """Stop reading."""
        self.first.close()


class Ensemble:
    """Detectors whose circles are voted on; each of their views has a vote.

    ``thresholds``: on the card of each; with one detector its scores stay as they are.
    """

    def __init__(
        self, detectors: Sequence[Detector], thresholds: Sequence[float], config: VoteConfig
    ) -> None:
        self.detectors = tuple(detectors)
        self.thresholds = tuple(thresholds)
        self.config = config
        self.threshold = common_threshold(thresholds)
        # Of cards that differ the strictest, so that their order does not matter
        self.max_iou = min(detector.config.max_iou for detector in detectors)

    def read(self, slide: Slide, overview: Overview) -> Reading:
        """Begin to read what ``detect`` needs first; the caller closes it before the slide."""
        return Reading(slide, overview, self.detectors[0].read(slide, overview))

    def detect(self, reading: Reading, on_tile: Callable[[int, int], None]) -> Agreed:
        """All circles of a slide; ``on_tile(done, total)`` counts the tiles of all, once they are known."""
        voters: list[Scored] = []
        unread: dict[Core, None] = {}
        for place, (detector, threshold) in enumerate(zip(self.detectors, self.thresholds, strict=True)):

            def told(done: int, total: int, before: int = place) -> None:
                on_tile(before * total + done, len(self.detectors) * total)

            tiles = reading.first if place == 0 else detector.read(reading.slide, reading.overview)
            found = detector.detect(tiles, told)
            voters.extend(rescaled(view, threshold, self.threshold) for view in found.views)
            unread |= dict.fromkeys(found.unread)
        if len(found_by := [len(v) for v in voters]) > 1 and any(found_by) and not all(found_by):
            logger.warning(
                "%d of %d votes have no circle at all, others up to %d: is the mpp on each detector's card right?",
                found_by.count(0),
                len(found_by),
                max(found_by),
            )
        return Agreed(vote(voters, self.config, self.max_iou), tuple(unread))
