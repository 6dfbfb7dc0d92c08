"""The columns that say what to distrust, of slides and of glomeruli."""

from gloinone.annotations.column import Column, count_column, float_column
from gloinone.doubts import USUAL_NUCLEI_UM, WORDS

_SHARED = (
    float_column(
        "blur_um", "um", 2, "by how much the picture is blurred: sigma of a Gaussian that would do the same"
    ),
    float_column("pen_share", "0..1", 4, "share of its area that lies under a pen's stroke"),
    float_column("fold_share", "0..1", 4, "share of its area that is folded: tissue over tissue"),
)
_SUM = (
    float_column(
        "doubt", "-", 3, "the largest of these numbers, each divided by its limit: from 1 on it is flagged"
    ),
    Column(
        "flags", "-", "which numbers are over their limits, the largest first: " + ", ".join(WORDS.values())
    ),
)

SLIDE_DOUBTS: tuple[Column, ...] = (
    *_SHARED,
    float_column(
        "stain_distance",
        "degrees",
        2,
        "angle between its stains' optical densities and those of the nearest slide that the shipped weights "
        "learned from; empty for a single stain",
    ),
    float_column(
        "nuclei_um",
        "um",
        2,
        f"diameter of the nuclei at that mpp; far from {USUAL_NUCLEI_UM:g} um: the mpp may be wrong",
    ),
    count_column("n_flagged", "glomeruli with a flag of their own"),
    *_SUM,
    float_column(
        "feature_distance",
        "-",
        3,
        "how unlike the classifier's training slides its circles look to the classifier, over the limit on its card; "
        "empty for under 5 circles, and where the card states no limit",
    ),
    float_column(
        "score_shift",
        "log-odds",
        3,
        "by how much every score was raised, since the det_score of what is kept lay lower than it usually does; empty "
        "where the detector's card does not state what is usual, and with several detectors or views",
    ),
)
"""In summary.csv."""

GLOMERULUS_DOUBTS: tuple[Column, ...] = (
    *_SHARED,
    float_column(
        "near_cut",
        "0..1",
        4,
        "how near score, p_nonglomerular or the sclerosed share are to their cut; 1: on it",
    ),
    *_SUM,
    float_column(
        "votes_missing",
        "0..1",
        4,
        "share of the detectors or views that did not find the circle; empty where there is but one",
    ),
)
"""Last in glomeruli.csv."""
