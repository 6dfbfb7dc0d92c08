"""The published Glo-In-One segmenter: how it is recognised and used."""

from collections.abc import Mapping

from torch import Tensor

from gloinone.labels import GLOMERULUS
from gloinone.segmentation.build import DEEPLAB, build_network
from gloinone.slide.crops import CONTEXT_UM, CROP_PX
from gloinone.weights.card import Architecture, ModelCard
from gloinone.weights.published import ImportOptions, PublishedLayout

PAD_PX = 64
NETWORK_PX = 512


def deeplab_card(state: Mapping[str, Tensor], options: ImportOptions) -> ModelCard:
    """The published convention: edges repeated to 384 px, enlarged to 512, divided by 255; the likelier class."""
    return ModelCard(
        name=options.name,
        task="segmenter",
        architecture=Architecture(DEEPLAB, {"pad_px": PAD_PX, "network_px": NETWORK_PX}),
        edge_px=CROP_PX,
        mean=(0.0, 0.0, 0.0),
        std=(255.0, 255.0, 255.0),
        labels=(GLOMERULUS,),
        licence=options.licence,
        training_data=("not stated in the file",),
        split="not stated in the file",
        created_by=options.created_by,
        context_um=CONTEXT_UM,
        threshold=0.5,
        not_validated=("Imported: nothing was measured with these weights in gloinone.",),
    )


LAYOUTS = (
    PublishedLayout(
        what="torchvision DeepLabv3-ResNet101 segmenter",
        task="segmenter",
        marker="classifier.0.convs.0.0.weight",
        card=deeplab_card,
        build=build_network,
        unused=("aux_classifier.",),
    ),
)
