"""Training crops: some in the stains of other slides, the same ones at the same step."""

import numpy as np
from numpy.typing import NDArray

from gloinone.learning.augment import ColourConfig
from gloinone.learning.patch_training import (
    Looks,
    PatchSet,
    PatchStains,
    cut_crops,
    patch_stains,
    patches_identity,
)
from gloinone.learning.patches import PATCH_PX, UNKNOWN, FramingConfig, Patches
from gloinone.learning.stains import stain_basis

PLAIN = Looks(FramingConfig(), ColourConfig(0, 0, 0, 0, 0, 0, 0, 0))
PINK, BROWN = (0.07, 0.99, 0.11), (0.3, 0.6, 0.8)


def stained(second: tuple[float, float, float]) -> NDArray[np.uint8]:
    """A patch of mixtures of hematoxylin with another stain."""
    amounts = np.random.default_rng(5).uniform(0, 1, (2, PATCH_PX, PATCH_PX, 1))
    density = amounts[0] * np.array([0.65, 0.70, 0.29]) + amounts[1] * np.array(second)
    return np.clip(256 * np.exp(-density) - 1, 0, 255).astype(np.uint8)


def of_slides(*pictures: NDArray[np.uint8]) -> Patches:
    count = len(pictures)
    names = tuple("abcd"[:count])
    masks = np.full((count, PATCH_PX, PATCH_PX), UNKNOWN, np.uint8)
    pixels = np.stack(pictures)
    return Patches(pixels, masks, np.full(count, 80.0), ("normal",) * count, names, names, names)


def blueness(patches: Patches, stains: PatchStains | None) -> list[float]:
    """Of 40 crops of the first patch; eosin lets blue through, the brown stain does not."""
    rng, numbers = np.random.default_rng(3), np.zeros(40, np.intp)
    images = cut_crops(patches, numbers, 64, rng, PLAIN, stains).images.astype(int)
    return [float(v) for v in (images[:, 2] - images[:, 1]).mean(axis=(1, 2))]


def test_a_quarter_of_the_crops_are_in_the_stains_of_another_slide_or_of_a_reference() -> None:
    pink, both = of_slides(stained(PINK)), of_slides(stained(PINK), stained(BROWN))
    brown = stain_basis(stained(BROWN))
    assert brown is not None
    assert min(blueness(pink, None)) > 60
    assert min(blueness(pink, patch_stains(pink))) > 60  # its own strengths alone vary
    for patches, stains in ((both, patch_stains(both)), (pink, patch_stains(pink, [brown]))):
        shown = np.array(blueness(patches, stains))
        assert 1 <= (shown < 30).sum() <= 12  # half of a quarter of 40
        assert (shown > 60).sum() >= 20


def test_what_has_no_two_stains_keeps_its_colours() -> None:
    grey = np.full((PATCH_PX, PATCH_PX, 3), 150, np.uint8)
    patches = of_slides(grey, stained(BROWN))
    stains = patch_stains(patches)
    assert stains.own[0] is None
    assert set(blueness(patches, stains)) == {0.0}


def test_a_step_that_is_drawn_again_has_the_same_crops() -> None:
    patches = of_slides(stained(PINK), stained(BROWN))
    stains = patch_stains(patches)
    numbers = np.array([0, 1, 1])
    one, again = (
        cut_crops(patches, numbers, 64, np.random.default_rng((1, 7)), PLAIN, stains) for _ in range(2)
    )
    assert np.array_equal(one.images, again.images)


def test_other_reference_stains_are_another_training() -> None:
    patches = of_slides(stained(PINK))
    parts = PatchSet(patches, patches, patches)
    bases = [basis for basis in map(stain_basis, (stained(PINK), stained(BROWN))) if basis is not None]
    assert len({patches_identity(parts, "{}", references) for references in ((), bases[:1], bases)}) == 3
