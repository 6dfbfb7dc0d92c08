"""Whether a run could use a model that lies on disk."""

from gloinone.pipeline.stages import decision_of
from gloinone.weights.card import ModelCard, read_card
from gloinone.weights.features import load_features
from gloinone.weights.store import ModelPaths, load_state


def check_model(paths: ModelPaths) -> ModelCard:
    """The card of a model whose weights are the card's own and fill the network that it describes, every one of them.

    Raises WeightsError, or UsageError for an unknown backbone, that says what is wrong.
    """
    from gloinone.classification.build import build_classifier
    from gloinone.detection.build import build_detector
    from gloinone.learning.backbones import ResNetFeatures
    from gloinone.learning.device import pick_device
    from gloinone.segmentation.build import build_segmenter
    from gloinone.weights.starting import fill

    card = read_card(paths.card)
    state, here = load_state(paths, card), pick_device("cpu")
    if card.task == "detector":
        build_detector(card, state, here)
    elif card.task == "classifier":
        decision_of(card)
        build_classifier(card, state, here)
        load_features(paths, card)
    elif card.task == "segmenter":
        build_segmenter(card, state, here)
    else:
        fill(ResNetFeatures(card.architecture.name), state, f"card {card.name}")
    return card
