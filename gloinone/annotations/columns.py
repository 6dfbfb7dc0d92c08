"""Every column of the tables: name, unit, meaning; docs/columns.md is printed from here (columns_page)."""

from gloinone.annotations.column import Column
from gloinone.annotations.column import count_column as _count
from gloinone.annotations.column import float_column as _float
from gloinone.annotations.doubt_columns import GLOMERULUS_DOUBTS, SLIDE_DOUBTS
from gloinone.labels import CLASSES, GLOMERULAR, SCLEROSED_KINDS

SLIDE = Column("slide", "-", "the slide's path relative to the input folder, with forward slashes")
PATIENT = Column(
    "patient", "-", "patient of the slide, by --mpp-csv; with --pseudonyms P and the number of a slide"
)
STAIN = Column("stain", "-", "stain of the slide, by --mpp-csv")
_ORIGIN = (PATIENT, STAIN)

_INTERVAL = "of the Wilson 95 % interval of percent_sclerosed; it knows of chance only, not of wrong classes"
_COUNTS = (
    _count("n_glomeruli", "circles at or over the threshold that are not non-glomerular"),
    *(_count(f"n_{name}", f"glomeruli of the class {name}") for name in GLOMERULAR),
    _count(
        "n_sclerosed", "globally sclerosed glomeruli: " + " + ".join(f"n_{name}" for name in SCLEROSED_KINDS)
    ),
    _float("percent_sclerosed", "%", 2, "100 n_sclerosed / n_glomeruli; empty without glomeruli"),
    _float("percent_sclerosed_low", "%", 2, "lower end " + _INTERVAL),
    _float("percent_sclerosed_high", "%", 2, "upper end " + _INTERVAL),
)
_BY_SLIDE = (
    "of the 95 % interval of percent_sclerosed by drawing whole slides again and again (bootstrap); empty for fewer "
    "than two slides with glomeruli; of few slides it is too narrow, and slides of one core repeat glomeruli"
)
_UNVALIDATED = "; unvalidated: tried on drawn slides only"
_LEVEL_OF = (
    Column(
        "core",
        "-",
        "number of the core that the piece is a level of, from the outlines of the pieces; empty on slides of over 24 "
        "pieces" + _UNVALIDATED,
        "int",
    ),
    Column("level", "-", "which level of its core, from 1, in reading order" + _UNVALIDATED, "int"),
)
_VOLUME = _float(
    "volume_um3_profile",
    "um3",
    0,
    "mean volume of the glomeruli seen at two levels or more, of each the sphere about its largest profile; those "
    "at_edge there are left out" + _UNVALIDATED,
)
_MODEL = "name@first 12 digits of the SHA-256 of the weights"
_CROP = (
    "of the square that was cut out around the circle (the circle's box plus 12.5 um on every side; in "
    "glomeruli.csv the larger one in which it was outlined, where it reached over that; its class was told from the "
    "crop in circles.csv)"
)

SUMMARY: tuple[Column, ...] = (
    SLIDE,
    Column(
        "status",
        "-",
        "done; partial: some tissue could not be read; failed; skipped: not part of the job; pending: listed in "
        "slides.txt, and no run has come to it yet",
    ),
    Column("reason", "-", "why the status is not done"),
    Column("width_px", "level-0 px", "width of the slide", "int"),
    Column("height_px", "level-0 px", "height of the slide", "int"),
    _float("mpp", "um/px", 6, "microns per level-0 pixel that were used"),
    Column("mpp_source", "-", "where mpp came from: csv, file or option"),
    Column("vendor", "-", "maker of the scanner's format, as OpenSlide names it"),
    _float("tissue_mm2", "mm2", 4, "area of tissue"),
    _float(
        "tissue_read_fraction", "0..1", 4, "share of the tissue area that could be read; below 1 if partial"
    ),
    Column("n_circles", "circles", "circles found down to the detector's floors: rows of circles.csv", "int"),
    *_COUNTS,
    _float("glomeruli_per_mm2", "1/mm2", 4, "n_glomeruli / tissue_mm2; empty without tissue"),
    _float("diameter_um_median", "um", 2, "median diameter_um of the glomeruli that are not at_edge"),
    _float("area_um2_median", "um2", 1, "median area_um2 of the glomeruli that are not at_edge"),
    Column("detector", "-", _MODEL),
    Column("classifier", "-", _MODEL),
    Column("segmenter", "-", _MODEL),
    Column("version", "-", "version of gloinone"),
    Column(
        "n_pieces",
        "pieces",
        "pieces of tissue, rows of pieces.csv; of several the counts are the sum, and levels of one core repeat "
        "glomeruli: the interval does not allow for it",
        "int",
    ),
    _float(
        "percent_sclerosed_piece_mean", "%", 2, "mean percent_sclerosed of the pieces that have glomeruli"
    ),
    Column(
        "n_cores", "cores", "cores that the pieces are levels of, rows of cores.csv" + _UNVALIDATED, "int"
    ),
    _count(
        "n_glomeruli_once",
        "glomeruli of which those seen at several levels of a core count once" + _UNVALIDATED,
    ),
    _float(
        "volume_um3_weibel_gomez",
        "um3",
        0,
        "mean volume of a glomerulus by Weibel and Gomez: 1.38 / 1.1 area_um2_median^1.5" + _UNVALIDATED,
    ),
    _VOLUME,
    *_ORIGIN,
    *SLIDE_DOUBTS,
    _float("min_score", "0..1", 6, "the threshold: circles whose score is below were left out"),
)
"""OUT/summary.csv: a row per slide."""

_CIRCLE = (
    _float(
        "x", "level-0 px", 2, "centre of the detected circle, from the left border of the uncropped plane"
    ),
    _float("y", "level-0 px", 2, "centre of the detected circle, from the top border of the uncropped plane"),
    _float("radius", "level-0 px", 2, "radius of the detected circle"),
    _float(
        "det_score",
        "0..1",
        6,
        "score of the detector alone, times the share of the circle that lies on the slide; of several, or of views, "
        "the mean of those that found the circle, on one scale",
    ),
    _float(
        "score",
        "0..1",
        6,
        "score after the second stage, raised by the slide's score_shift; ranked by, and cut at the threshold",
    ),
    Column("class", "-", "by the classifier's rule: " + ", ".join(CLASSES)),
)
_VOTES = Column(
    "votes",
    "detectors or views",
    "how many detectors, or views of `--tta`, found the circle; 1 where there is but one",
    "int",
)
_PROBABILITIES = (
    *(
        _float(f"p_{name.replace('-', '')}", "0..1", 6, f"the classifier's probability of the class {name}")
        for name in CLASSES
    ),
    _float("p_sclerosed", "0..1", 6, "sum of p_" + ", p_".join(SCLEROSED_KINDS)),
)
_CROP_FRAME = (
    _float("crop_x", "level-0 px", 3, "left border " + _CROP + "; may lie outside the slide"),
    _float("crop_y", "level-0 px", 3, "top border of that square; may lie outside the slide"),
    _float("crop_width", "level-0 px", 3, "width of that square"),
    _float("crop_height", "level-0 px", 3, "height of that square"),
    _float("crop_mpp", "um/px", 6, "microns per pixel of the crop's picture and mask"),
)

GLOMERULI: tuple[Column, ...] = (
    SLIDE,
    Column("id", "-", "G001 and on, top to bottom and left to right; the same in every file of the slide"),
    *_CIRCLE,
    *_PROBABILITIES,
    Column(
        "subtype_validated",
        "-",
        "whether pathologists validated which kind of sclerosis is named, by the classifier's card",
        "bool",
    ),
    _float("diameter_um", "um", 2, "diameter of the circle of the same area as the outline"),
    _float("area_um2", "um2", 1, "area inside the outline"),
    _float("perimeter_um", "um", 2, "length of the outline"),
    _float("circularity", "0..1", 4, "4 pi area / perimeter^2 of the outline; 1 for a circle"),
    Column(
        "at_edge",
        "-",
        "touches the border of the slide, of what was scanned or of its piece of tissue, so may be cut",
        "bool",
    ),
    Column(
        "outline",
        "-",
        "mask: from the segmenter; circle: the detected circle stands in, since the segmenter found nothing or, after "
        "an export, was never asked",
    ),
    _float("mpp", "um/px", 6, "microns per level-0 pixel of the slide"),
    *_CROP_FRAME,
    Column(
        "crop",
        "-",
        "picture of the crop in which it was outlined, path relative to OUT; empty if not written",
    ),
    Column("mask", "-", "mask of the crop, same size and frame, path relative to OUT; empty if not written"),
    Column(
        "outline_flagged",
        "-",
        "over 5 % of the mask was dropped or filled to get one outline, or it meets the border of its crop, "
        "or nothing was left: look at it",
        "bool",
    ),
    _VOTES,
    Column("piece", "-", "number of the piece of tissue it lies on; empty on a crumb of tissue", "int"),
    *_LEVEL_OF,
    Column(
        "glomerulus_track",
        "-",
        "the same number for the same glomerulus at several levels of a core" + _UNVALIDATED,
        "int",
    ),
    *_ORIGIN,
    *GLOMERULUS_DOUBTS,
)
"""OUT/glomeruli.csv and the slide's own: a row per glomerulus."""

CIRCLES: tuple[Column, ...] = (
    SLIDE,
    *_CIRCLE,
    *_PROBABILITIES,
    Column("glomerulus", "-", "id of the glomerulus that this circle became; empty if it is not one of them"),
    *_CROP_FRAME,
    _VOTES,
)
"""The slide's circles.csv: a row per circle down to the detector's floors, `floor` or `deepest_floor` of its card."""

PIECES: tuple[Column, ...] = (
    SLIDE,
    Column(
        "piece",
        "-",
        "1 and on, in reading order, as on the overlay; tissue over 0.1 mm2 with gaps under 200 um closed",
        "int",
    ),
    _float("x", "level-0 px", 1, "left border of its box, from the left border of the uncropped plane"),
    _float("y", "level-0 px", 1, "top border of its box, from the top border of the uncropped plane"),
    _float("width", "level-0 px", 1, "width of its box"),
    _float("height", "level-0 px", 1, "height of its box"),
    _float("tissue_mm2", "mm2", 4, "area of its tissue"),
    *_COUNTS,
    *_LEVEL_OF,
    *_ORIGIN,
)
"""OUT/pieces.csv and the slide's own: a row per piece of tissue."""

CORES: tuple[Column, ...] = (
    SLIDE,
    Column("core", "-", "1 and on, in the order of their first pieces" + _UNVALIDATED, "int"),
    Column("n_levels", "pieces", "pieces that are levels of it" + _UNVALIDATED, "int"),
    *(
        Column(
            column.name,
            column.unit,
            column.meaning + "; one seen at several levels counts once, in the class of its largest profile"
            if column.kind == "int"
            else column.meaning,
            column.kind,
            column.decimals,
        )
        for column in _COUNTS
    ),
    _VOLUME,
    *_ORIGIN,
)
"""OUT/cores.csv and the slide's own: a row per core; wholly unvalidated."""

PATIENTS: tuple[Column, ...] = (
    Column(
        "sum_over",
        "-",
        "patient: all slides of the patient; stain: those of one stain. Never add both: they are the same slides",
    ),
    Column("patient", "-", PATIENT.meaning),
    Column("stain", "-", "the one stain; empty in a sum over all of them"),
    Column("n_slides", "slides", "slides with results", "int"),
    Column(
        "n_slides_missing",
        "slides",
        "further slides in OUT: failed, skipped or pending; rows of --mpp-csv without a slide are not among them",
        "int",
    ),
    _float("tissue_mm2", "mm2", 4, "area of tissue of the slides"),
    Column("n_pieces", "pieces", "pieces of tissue on the slides", "int"),
    *_COUNTS[:-2],
    _float("percent_sclerosed_low", "%", 2, "lower end " + _BY_SLIDE),
    _float("percent_sclerosed_high", "%", 2, "upper end " + _BY_SLIDE),
)
"""OUT/patients.csv: a row per patient, and one per patient and stain."""

TABLES = {
    "summary.csv": (SUMMARY, "a row per slide"),
    "glomeruli.csv": (GLOMERULI, "a row per glomerulus"),
    "circles.csv": (CIRCLES, "a row per detected circle, kept or not"),
    "pieces.csv": (PIECES, "a row per piece of tissue"),
    "cores.csv": (
        CORES,
        "a row per core, its levels taken together; unvalidated, tried on drawn slides only",
    ),
    "patients.csv": (PATIENTS, "a row per patient, and one per patient and stain"),
}
