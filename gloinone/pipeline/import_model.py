"""Weights that other programs published -> a model of ours: recognised, checked whole, and given its card."""

from pathlib import Path

import gloinone
from gloinone.errors import UsageError, WeightsError
from gloinone.weights.card import ModelCard
from gloinone.weights.store import CARD, file_sha256, save_model

NO_LICENCE = "not stated in the file; ask who gave it to you"


def import_model(
    source: Path,
    name: str,
    models: Path,
    licence: str = NO_LICENCE,
    mpp: float | None = None,
    labels: tuple[str, ...] | None = None,
) -> ModelCard:
    """Write ``models/name`` from a checkpoint, weights unchanged; raises WeightsError, UsageError or OutputError.

    ``mpp`` (of detectors alone) and ``labels`` (of classifiers alone) go before what is known of the layout.
    """
    from gloinone.classification import published as classifiers
    from gloinone.detection import published as detectors
    from gloinone.segmentation import published as segmenters
    from gloinone.weights.checkpoint import read_checkpoint
    from gloinone.weights.published import ImportOptions, fitted, recognise

    folder = new_folder(models, name)
    state = read_checkpoint(source)
    layout = recognise(state, (*detectors.LAYOUTS, *classifiers.LAYOUTS, *segmenters.LAYOUTS), str(source))
    if mpp is not None and (layout.task != "detector" or not 0.05 <= mpp <= 20):
        raise UsageError(
            f"--mpp {mpp:g}: of a detector, 0.05 to 20 um/px, e.g. --mpp 4; this is a {layout.task}"
        )
    if labels is not None and layout.task != "classifier":
        raise UsageError(f"--labels: for classifiers alone; {source} is a {layout.task}")
    created_by = (
        f"gloinone {gloinone.__version__} models import of {source.name} "
        f"(sha256 {str(file_sha256(source))[:12]}), {layout.what}"
    )
    options = ImportOptions(name, created_by, licence, mpp, labels)
    card = layout.card(state, options)
    return save_model(folder, fitted(state, layout, card, str(source)), card, exact=True)


def new_folder(models: Path, name: str) -> Path:
    """Where the model will lie. Raises UsageError for no name of a folder, WeightsError for one that is taken."""
    if not name or name.startswith(".") or set(name) & set('/\\:*?"<>|') or not name.isprintable():
        raise UsageError(f"--as {name!r}: not a name for a folder; use letters, digits, - and _")
    folder = models / name
    if (folder / CARD).exists():
        raise WeightsError(f"{folder}: there is a model of that name; choose another with --as")
    return folder
