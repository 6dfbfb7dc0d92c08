"""contact.jpg: the glomeruli of a slide, sclerosed first, each with its id, class and probability."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from gloinone.labels import CLASSES, COLOURS, NONGLOMERULAR, NORMAL, SCLEROSED, p_sclerosed
from gloinone.pipeline.drawing import GREY, INK, WHITE, Text, draw_ring, draw_texts, leading_group
from gloinone.records import Glomerulus, Pixels, SlideResult

MAX_SHOWN = 200
MIN_COLUMNS, MAX_COLUMNS = 4, 8
CELL_PX = 200
"""Edge of a crop on the sheet."""
NO_PICTURE = 225
"""Grey of a cell without a picture."""
GAP_PX = 10
CAPTION_PX = 44
HEADING_PX = 44
TITLES = {SCLEROSED: "Sclerosed", NORMAL: "Normal", NONGLOMERULAR: "Not a glomerulus (kept on request)"}
KINDS_NOTE = "The kinds of sclerosis are not validated by a pathologist."


@dataclass(frozen=True)
class Group:
    """One heading of the sheet and what stands under it."""

    name: str
    shown: tuple[Glomerulus, ...]
    total: int

    @property
    def heading(self) -> str:
        """Says how many there are, and how many of them are left out."""
        left_out = self.total - len(self.shown)
        return f"{TITLES[self.name]}: {self.total}" + (
            f"  ({left_out} of them not shown)" if left_out else ""
        )


def draw_contact(result: SlideResult) -> Pixels:
    """The contact sheet: (H, W, 3)."""
    found = groups(result.glomeruli)
    columns = max([MIN_COLUMNS, *(min(MAX_COLUMNS, len(group.shown)) for group in found)])
    width_px = columns * (CELL_PX + GAP_PX) + GAP_PX
    blocks: list[Pixels] = [_draw_group(group, columns) for group in found]
    if not blocks:
        return _line("No glomerulus at or over the threshold.", width_px)
    if any(leading_group(g) == SCLEROSED for g in result.glomeruli):
        blocks.append(_line(KINDS_NOTE, width_px))
    return np.vstack(blocks)


def groups(glomeruli: Sequence[Glomerulus], max_shown: int = MAX_SHOWN) -> list[Group]:
    """Sclerosed, normal and the rest, in reading order; evenly thinned when there are more than fit.

    The sclerosed may take half of the sheet, or more where the others leave room.
    """
    members = {name: [g for g in glomeruli if leading_group(g) == name] for name in TITLES}
    n_other = len(glomeruli) - len(members[SCLEROSED])
    room = max_shown
    found: list[Group] = []
    for name, group in members.items():
        allowed = max(max_shown // 2, max_shown - n_other) if name == SCLEROSED else room
        shown = _thinned(group, min(allowed, room))
        room -= len(shown)
        if group:
            found.append(Group(name, shown, len(group)))
    return found


def _thinned(group: Sequence[Glomerulus], n: int) -> tuple[Glomerulus, ...]:
    """At most n, evenly spaced."""
    if len(group) <= n:
        return tuple(group)
    return tuple(group[int(i)] for i in (np.arange(n) * len(group) / max(n, 1)))


def _line(words: str, width_px: int, size_px: int = 18) -> Pixels:
    """A strip with one line of small grey text."""
    strip = np.full((HEADING_PX, width_px, 3), 255, np.uint8)
    return draw_texts(strip, [Text(GAP_PX, 12, words, size_px, GREY)])


def _draw_group(group: Group, columns: int) -> Pixels:
    """Heading and rows of cells."""
    rows = -(-len(group.shown) // columns)
    step_x, step_y = CELL_PX + GAP_PX, CELL_PX + CAPTION_PX + GAP_PX
    block = np.full((HEADING_PX + rows * step_y, columns * step_x + GAP_PX, 3), 255, np.uint8)
    texts = [Text(GAP_PX, 10, group.heading, 24)]
    for place, glomerulus in enumerate(group.shown):
        x, y = GAP_PX + place % columns * step_x, HEADING_PX + place // columns * step_y
        block[y : y + CELL_PX, x : x + CELL_PX] = _draw_crop(glomerulus)
        texts.append(Text(x, y + CELL_PX + 3, f"{glomerulus.id}  {group_words(glomerulus)}", 17))
        texts.append(Text(x, y + CELL_PX + 24, detail_words(glomerulus), 14, GREY))
        texts.append(Text(x + 5, y + 3, warning_words(glomerulus), 14, WHITE, INK))
    return draw_texts(block, texts)


def _draw_crop(glomerulus: Glomerulus) -> Pixels:
    """(CELL_PX, CELL_PX, 3) crop with its outline; plain where no picture was kept."""
    if glomerulus.crop is None:
        crop = np.full((CELL_PX, CELL_PX, 3), NO_PICTURE, np.uint8)
    else:
        resized = cv2.resize(glomerulus.crop, (CELL_PX, CELL_PX), interpolation=cv2.INTER_AREA)
        crop = np.array(resized, np.uint8)
    window = glomerulus.outline.window
    scale = np.array([CELL_PX / window.width_px, CELL_PX / window.height_px])
    draw_ring(crop, window.image_from_l0(glomerulus.outline.ring) * scale, COLOURS[glomerulus.label], 2)
    return crop


def group_words(glomerulus: Glomerulus) -> str:
    """What leads, with its probability as in glomeruli.csv: `sclerosed 0.93`."""
    name, probabilities = leading_group(glomerulus), glomerulus.candidate.probabilities
    value = p_sclerosed(probabilities) if name == SCLEROSED else probabilities[CLASSES.index(name)]
    return f"{name} {value:.2f}"


def detail_words(glomerulus: Glomerulus) -> str:
    """Score and kind of sclerosis."""
    kind = f" · {glomerulus.label}" if leading_group(glomerulus) == SCLEROSED else ""
    return f"score {glomerulus.candidate.score:.2f}{kind}"


def warning_words(glomerulus: Glomerulus) -> str:
    """What a reader should look at twice."""
    words = []
    if glomerulus.outline.source == "circle":
        words.append("circle, no outline")
    elif glomerulus.outline.flagged:
        words.append("check outline")
    if glomerulus.at_edge:
        words.append("at edge")
    return " · ".join(words)
