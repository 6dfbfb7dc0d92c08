"""The published Glo-In-One classifier and other BiT-M-R101x1 checkpoints: how they are recognised and used."""

from collections.abc import Mapping

from torch import Tensor

from gloinone.classification.build import BIT, build_network
from gloinone.errors import UsageError, WeightsError
from gloinone.labels import CLASSES, ClassRule
from gloinone.slide.crops import CONTEXT_UM
from gloinone.weights.card import Architecture, ModelCard
from gloinone.weights.published import ImportOptions, PublishedLayout

EDGE_PX = 224
IMAGENET_MEAN = (0.485 * 255, 0.456 * 255, 0.406 * 255)
IMAGENET_STD = (0.229 * 255, 0.224 * 255, 0.225 * 255)
HEAD = "head.conv.weight"


def bit_card(state: Mapping[str, Tensor], options: ImportOptions) -> ModelCard:
    """The published convention; the order of the classes is known for five outputs alone."""
    outputs = len(state[HEAD]) if HEAD in state and state[HEAD].dim() else 0
    labels = options.labels or (CLASSES if outputs == len(CLASSES) else None)
    if labels is None:
        raise WeightsError(
            f"a BiT classifier of {outputs} outputs; say what they are, in their order, with --labels, "
            f"each one of {', '.join(CLASSES)}"
        )
    if unknown := sorted(set(labels) - set(CLASSES)):
        raise UsageError(f"--labels: {', '.join(unknown)}: unknown; each is one of {', '.join(CLASSES)}")
    if len(labels) != outputs:
        raise UsageError(f"--labels names {len(labels)} outputs, the file has {outputs}")
    return ModelCard(
        name=options.name,
        task="classifier",
        architecture=Architecture(BIT),
        edge_px=EDGE_PX,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        labels=labels,
        licence=options.licence,
        training_data=("not stated in the file",),
        split="not stated in the file",
        created_by=options.created_by,
        context_um=CONTEXT_UM,
        score_combination="detector",
        class_rule=ClassRule("argmax"),
        not_validated=("Imported: nothing was measured with these weights in gloinone.",),
    )


LAYOUTS = (
    PublishedLayout(
        what="BiT-M-R101x1 classifier",
        task="classifier",
        marker="body.block1.unit01.gn1.weight",
        card=bit_card,
        build=build_network,
    ),
)
